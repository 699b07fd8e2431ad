import pytest
from pydantic import BaseModel, ConfigDict, Field

from hxloop.errors import InvalidInputError, MissingFileError, UnknownKeyError
from hxloop.toml import load_toml


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    learning_rate: float = Field(0.1, gt=0)
    batch_size: int = 40


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    epochs: int = 10
    training: Inner = Inner()


@pytest.fixture
def write(tmp_path):
    def file(text):
        path = tmp_path / "settings.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return file


def test_a_good_file(write):
    settings = load_toml(write("epochs = 3\n[training]\nlearning_rate = 0.5\n"), Outer)
    assert (settings.epochs, settings.training.learning_rate, settings.training.batch_size) == (3, 0.5, 40)


@pytest.mark.parametrize(
    ("text", "field", "suggestion"),
    [
        ("epoch = 3", "epoch", "'epochs'"),
        ("[training]\nlearningrate = 0.5", "training.learningrate", "'training.learning_rate'"),
        ("[trainig]\nbatch_size = 1", "trainig", "'training'"),
    ],
)
def test_a_misspelt_key_gets_a_suggestion(write, text, field, suggestion):
    with pytest.raises(UnknownKeyError) as caught:
        load_toml(write(text), Outer)
    assert caught.value.field == field
    assert suggestion in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_key_like_no_other_gets_the_list(write):
    with pytest.raises(UnknownKeyError) as caught:
        load_toml(write("qqqqqqqq = 1"), Outer)
    assert "epochs" in caught.value.hint
    assert "training.batch_size" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("epochs = '3'", "epochs"),
        ("epochs = 3.5", "epochs"),
        ("[training]\nlearning_rate = -1.0", "training.learning_rate"),
        ("epochs = ", "settings"),
        (b"\xff\xfe", "settings"),
    ],
)
def test_bad_values_name_the_field(write, text, field):
    with pytest.raises(InvalidInputError) as caught:
        load_toml(write(text), Outer)
    assert caught.value.field == field
    assert "settings.toml" in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere\.toml"):
        load_toml(tmp_path / "nowhere.toml", Outer)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot read"):
        load_toml(tmp_path, Outer)
