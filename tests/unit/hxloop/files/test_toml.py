import os
import time
import tomllib

import pytest
from pydantic import BaseModel, ConfigDict, Field

from hxloop.errors import InvalidInputError, MissingFileError, UnknownKeyError, UnreadableFileError
from hxloop.files.toml import load_preset, load_toml, toml_text


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


def test_a_mark_in_front_is_no_text(write):
    """Windows editors begin UTF-8 files with a byte order mark."""
    assert load_toml(write(b"\xef\xbb\xbfepochs = 7\n"), Outer).epochs == 7


HOSTILE = {
    "other encoding": "epochs = 7".encode("utf-16"),
    "arrays in arrays": "a = " + "[" * 5000 + "]" * 5000,
    "tables in tables": "a = " + "{a = " * 5000 + "1" + "}" * 5000,
    "deep, but parsed": "a = " + "[" * 60 + "]" * 60,
    "a key of many parts": ".".join("a" * 30_000) + " = 1",
    "a header of many parts": "[" + ".".join(["'a'"] * 30_000) + "]",
    "many digits": "epochs = " + "1" * 5000,
    "more than 64 bits": "epochs = 9223372036854775808",
    "more than 64 bits, in hexadecimal": "epochs = 0x" + "f" * 4000,
    "large": "# " + "x" * 2**20,
    "zero bytes": bytes(1000),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_at_once(write, case):
    text = HOSTILE[case]
    path = write(text)
    begin = time.process_time()
    with pytest.raises(UnreadableFileError, match=r"cannot read .*settings\.toml: ") as caught:
        load_toml(path, Outer)
    assert time.process_time() - begin < 0.5
    assert caught.value.exit_code == 2 and len(str(caught.value)) < 300


def test_long_keys_are_cut_in_messages(write):
    with pytest.raises(UnknownKeyError) as caught:
        load_toml(write("k" * 100_000 + " = 1"), Outer)
    assert len(str(caught.value)) < 400


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "settings.toml")
    with pytest.raises(UnreadableFileError, match="a pipe"):
        load_toml(tmp_path / "settings.toml", Outer)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "x" * 300 + ".toml"])
def test_names_no_file_can_have(name):
    with pytest.raises(InvalidInputError):
        load_preset(name, Outer, ["quick"], lambda _: Outer())


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere\.toml"):
        load_toml(tmp_path / "nowhere.toml", Outer)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot read"):
        load_toml(tmp_path, Outer)


def test_what_is_written_is_read_back():
    tree = {
        "top": 1, "size": [1, 2], "none": None,
        "part one": {"rate": 1e-5, "far": float("inf"), "on": True},
        "text": {"name": "a \"b\" \\ \n\x7f \U0001f600", "empty": []},
        "rows": {"many": [{"a": 1, "b": None, "c": [0.5]}, {"a": 2}], "inner": {"deep": {"x": -1}}},
        "tables": [{"kind": "shift", "pixels": 1.0}],
    }  # fmt: skip
    read = tomllib.loads(toml_text(tree))
    del tree["none"], tree["rows"]["many"][0]["b"]
    assert read == tree
