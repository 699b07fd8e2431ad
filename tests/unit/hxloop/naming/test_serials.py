"""Serial numbers as people write them."""

import pytest

from hxloop.errors import InvalidInputError
from hxloop.naming.serials import parse_serials


@pytest.mark.parametrize(
    ("text", "serials"),
    [
        ("7", (7,)),
        ("0", (0,)),
        ("1..4", (1, 2, 3, 4)),
        ("3..3", (3,)),
        ("1..3,8, 5", (1, 2, 3, 8, 5)),
        (" 101 .. 103 ", (101, 102, 103)),
    ],
)
def test_serials(text, serials):
    assert parse_serials(text) == serials


@pytest.mark.parametrize(
    "text", ["", "a", "1...3", "1..", "..3", "1-3", "-1", "4..1", "1,,2", "1..3,2", "1.5", "1..9999999999", "\u0661"]
)
def test_refused(text):
    with pytest.raises(InvalidInputError) as caught:
        parse_serials(text)
    assert caught.value.field == "serials"
