"""Tables on terminals of any width: nothing is cut, and narrow columns are not broken where there is room."""

import sys
from collections import Counter

import pytest
from support.strangers.hostile import HOSTILE, assert_harmless

from hxloop.kit.terminal import print_table, say

HEADINGS = ["run", "preset", "chip", "seed", "test"]
ROWS = [
    ["yin-yang-quick-typical-jitter_trial_us=0-1-seed0-001", "quick", "typical[jitter_trial_us=0]/1", 0, 0.775],
    [HOSTILE, "a rather long name of settings.toml", "ideal/1", 123456, "one\ntwo"],
]


def letters(text):
    return Counter(c for c in text if c.isascii() and not c.isspace())


@pytest.mark.parametrize("width", range(40, 200, 7))
@pytest.mark.parametrize("plain", [False, True])
def test_no_letter_is_lost(capsys, monkeypatch, width, plain):
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(HEADINGS, ROWS, plain=plain)
    shown = capsys.readouterr().out
    assert_harmless(shown)
    assert max(map(len, shown.splitlines())) <= width
    hidden = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in HOSTILE)
    wanted = "".join(map(str, [*HEADINGS, *ROWS[0], hidden, *ROWS[1][1:]]))
    assert letters(shown) == letters(wanted)


def test_narrow_columns_are_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_table(HEADINGS, ROWS[:1])
    line = capsys.readouterr().out.splitlines()[3]
    assert "quick" in line and "0.775" in line


def test_a_pipe_breaks_no_name(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table(HEADINGS, ROWS)
    shown = capsys.readouterr().out
    assert ROWS[0][0] in shown and ROWS[0][2] in shown


def test_saying_something_fails_never(monkeypatch, tmp_path):
    closed = (tmp_path / "file").open("w")
    closed.close()
    for stream in (closed, None, open("/dev/full", "w")):  # noqa: PTH123, SIM115
        monkeypatch.setattr(sys, "stderr", stream)
        say("hello")
