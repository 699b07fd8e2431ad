"""Foreign text: what of it reaches a line of a terminal, a log or a table."""

import pytest

from hxloop.errors import InvalidInputError
from hxloop.text import cell, many_lines, one_line

HOSTILE = "a\x1b[2Jb\nc\rd\u202ee\u2066f\udcffg\x00h\x9bi\u2028j\ufeffk\x7fl"


def test_every_character_can_be_seen():
    shown = one_line(HOSTILE)
    assert shown == (
        r"a\x1b[2Jb\nc\rd\u202ee\u2066f\udcffg\x00h\x9bi\u2028j\ufeffk\x7fl"
    )  # fmt: skip
    shown.encode()  # no surrogates
    assert one_line(shown) == shown
    assert many_lines("one\ntwo\x1b") == "one\ntwo\\x1b"


@pytest.mark.parametrize(
    "text", ["typical[jitter_trial_us=0]", "1 µs ± é", "漢字 🙂", r"C:\new", "a\N{NO-BREAK SPACE}%"]
)
def test_plain_text_stays_as_it_is(text):
    assert one_line(text) == text


def test_an_error_is_one_line_above_its_details():
    error = InvalidInputError(f"no chip {HOSTILE}", field="chip\n", hint="try\x1b", details="first\nsecond\x1b[2J")
    lines = str(error).split("\n")
    assert len(lines) == 3
    assert lines[1:] == ["first", r"second\x1b[2J"]
    assert all(line.isprintable() for line in lines)
    assert error.message == f"no chip {HOSTILE}"  # as it was said, for programs


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "@SUM(A1)", "+x", "-x"])
def test_a_cell_is_no_formula(text):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-3", "+1e-3", "typical", "-inf"])
def test_a_cell_that_is_a_number_or_a_word_stays(text):
    assert cell(text) == text
