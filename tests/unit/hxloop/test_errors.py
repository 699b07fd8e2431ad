import pytest

from hxloop import errors
from hxloop.errors import HxloopError, error_from_code

ALL = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, HxloopError)]


@pytest.mark.parametrize("cls", ALL)
def test_an_error_survives_the_wire(cls):
    error = error_from_code(cls.code, "broken", field="a.b[3]", hint="mend it")
    assert type(error) is cls
    assert (error.message, error.field, error.hint) == ("broken", "a.b[3]", "mend it")
    assert str(error) == "a.b[3]: broken (mend it)"


def test_codes_are_unique_and_exit_codes_one_or_two():
    assert len({cls.code for cls in ALL}) == len(ALL)
    assert {cls.exit_code for cls in ALL} == {1, 2}
    assert all(cls.exit_code == 2 for cls in ALL if issubclass(cls, errors.InvalidInputError))


def test_an_unknown_code_is_still_an_error():
    assert type(error_from_code("from_the_future", "x")) is HxloopError


def test_the_text_does_not_repeat_a_field_it_names():
    assert str(HxloopError("tick[3] is late", field="tick[3]")) == "tick[3] is late"


def test_every_class_says_what_it_means():
    assert all(cls.__doc__ for cls in ALL)
