"""Tables on terminals of any width: nothing is cut, and no name is broken."""

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
    hidden = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in HOSTILE)
    wanted = "".join(map(str, [*HEADINGS, *ROWS[0], hidden, *ROWS[1][1:]]))
    assert letters(shown) == letters(wanted)


PROSE = "the transconductance of a synaptic input, in uS, of each circuit and sign"
NAMED = [["synaptic_reference_residual_mv of a chip", 20.0, PROSE, "https://example.org/a/page/with/a/long/name"]]


@pytest.mark.parametrize("width", [20, 40, 80, 100, 120, 200])
@pytest.mark.parametrize("plain", [False, True])
def test_no_name_and_no_word_is_broken(capsys, monkeypatch, width, plain):
    monkeypatch.setenv("COLUMNS", str(width))
    title = "typical[synaptic_reference_residual_mv=0,jitter_trial_us=0]/1 in a folder with a long name"
    print_table(["name", "value", "meaning", "source"], NAMED, plain=plain, title=title)
    shown = capsys.readouterr().out
    for name in (title, NAMED[0][0], "20.0", NAMED[0][3], *PROSE.split()):
        assert name in shown
    least = sum(map(len, (NAMED[0][0], "value", "transconductance", NAMED[0][3]))) + (10 if plain else 13)
    lines = [line for line in shown.splitlines() if line != title]
    assert max(map(len, lines)) <= max(width, least)


def test_room_that_is_there_is_used(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    print_table(["name", "meaning"], [["tau", PROSE]])
    assert PROSE in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "60")
    print_table(["name", "meaning"], [["tau", PROSE]])
    lines = capsys.readouterr().out.splitlines()
    assert {len(line) for line in lines} == {60} and len(lines) == 6  # in two lines


@pytest.mark.parametrize("width", ["40", "80", None])
def test_tables_of_names_are_not_broken_at_all(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width) if width else monkeypatch.delenv("COLUMNS", raising=False)
    print_table(HEADINGS, ROWS[:1], whole=True)
    line = capsys.readouterr().out.splitlines()[3]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [*map(str, ROWS[0])]


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
