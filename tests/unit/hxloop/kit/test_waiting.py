"""What a user sees who has to wait: on a terminal, in a file, in a log; and nothing when there is nothing to say."""

import io
import logging
import subprocess
import sys
import time

import pytest

from hxloop.kernels.compiling import Compilations, Compiling
from hxloop.kit import waiting
from hxloop.kit.terminal import say
from hxloop.kit.waiting import LogLine, Silence, StatusLine, board, doing, listener, tell, told_elsewhere


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_one_line_that_goes(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    line = StatusLine(terminal)
    for second in range(3):
        line.show(f"waiting for a \x1b chip, {second} s")
    line.close()
    line.close()
    say("done", terminal)
    shown = terminal.getvalue().split("\r\x1b[K")
    assert shown == [*[f"waiting for a \\x1b chip, {s} s"[:19] for s in range(3)], "done\n"]


def test_elsewhere_it_is_a_line_now_and_then(monkeypatch):
    file = io.StringIO()
    line = StatusLine(file)
    line.show("first")
    line.show("second")
    monkeypatch.setattr(waiting.time, "monotonic", lambda: time.perf_counter() + 1e9)
    line.show("third")
    monkeypatch.setattr(waiting.time, "monotonic", lambda: time.perf_counter() + 1e9 + 12.0)
    line.show("third")
    line.close()
    assert file.getvalue() == "first\nthird\nthird, 12 s\n"


def test_a_closed_stream_stops_nothing():
    for stream in (Terminal(), io.StringIO()):
        stream.close = lambda: None
        line = StatusLine(stream)
        io.StringIO.close(stream)
        line.show("anything")
        line.close()


def test_a_log_gets_it_so_that_it_can_be_found_again(caplog):
    caplog.set_level(logging.INFO)
    state = Compiling(12, 82, 34.4)
    line = LogLine(logging.getLogger("worker"))
    line.show(str(state))
    line.show(str(state))
    line.close()
    assert [Compiling.found_in(record.message) for record in caplog.records] == [Compiling(12, 82, 34.0)]
    assert Compiling.found_in("2026 INFO worker: nothing of the kind: 12 of 82, 34 s") is None


@pytest.fixture
def told():
    texts = []

    class Listener:
        def show(self, text):
            texts.append(text)

        def close(self):
            texts.append("closed")

        def say(self, text):
            texts.append(text)

    tell(Listener)
    yield texts
    tell(StatusLine)


def test_compilations_are_counted_and_told_while_they_last(told, monkeypatch):
    monkeypatch.setattr("hxloop.kernels.compiling._TELL_EVERY_S", 0.05)
    compilations, begun_s = Compilations(range(5)), time.monotonic()
    compilations.began()
    compilations.began()  # what the first one calls
    compilations.ended()
    time.sleep(0.3)
    compilations.ended()
    time.sleep(0.3)
    assert told[0] == "compiling kernels, only once: 1 of at most 5, 0 s"
    assert told[-2:] == ["closed", "compiled 2 kernels in 0 s"]
    assert told.count("closed") == 1
    assert 2 < len(told) <= 3 + (time.monotonic() - begun_s - 0.3) / 0.05  # both sleeps may take longer than asked


def test_more_than_expected_is_no_more_than_all(told):
    compilations = Compilations(range(1))
    for _ in range(3):
        compilations.began()
    assert (compilations.state().done, compilations.state().total) == (0, 3)


def test_a_process_can_be_silent():
    tell(Silence)
    try:
        listener().show("anything")
        listener().close()
    finally:
        tell(StatusLine)


def test_the_first_word_is_said_if_nothing_else_is(capsys, monkeypatch):
    monkeypatch.setitem(waiting._FIRST_WORD_S, False, 0.1)
    with doing("getting ready"):
        time.sleep(0.4)
        say("ready")
    assert capsys.readouterr().err == "getting ready\nready\n"
    with doing("getting ready"):
        say("ready")
        time.sleep(0.4)
    with doing("getting ready"):
        pass
    time.sleep(0.4)
    assert capsys.readouterr().err == "ready\n"


def test_of_works_within_works_the_innermost_is_told(capsys, monkeypatch):
    monkeypatch.setitem(waiting._FIRST_WORD_S, False, 0.2)
    with doing("outer"):
        with doing("inner"):
            time.sleep(0.5)
        with doing("quick"):
            pass
    assert capsys.readouterr().err == "inner\n"


def test_it_is_said_again_that_it_goes_on(capsys, monkeypatch):
    monkeypatch.setitem(waiting._FIRST_WORD_S, False, 0.2)
    monkeypatch.setattr(waiting, "_AGAIN_S", 0.6)
    with doing("getting ready", "at work"):
        say("news")
        time.sleep(1.0)
    with doing("drawing"):
        time.sleep(1.5)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["news", "at work, 1 s"] and lines[2] == "drawing" and lines[3].startswith("drawing, 1 s")


def test_on_a_terminal_it_moves_once_a_second(monkeypatch):
    monkeypatch.setitem(waiting._FIRST_WORD_S, True, 0.1)
    monkeypatch.setattr(waiting, "_MOVES_S", 0.3)
    terminal = Terminal()
    monkeypatch.setattr(waiting.sys, "stderr", terminal)
    with doing("planning"):
        time.sleep(1.0)
    say("done", terminal)
    shown = terminal.getvalue().split("\r\x1b[K")
    assert len(shown) >= 3 and set(shown[:-1]) == {"planning"} and shown[-1] == "done\n"


def test_where_somebody_else_tells_it_nothing_is_said(capsys, monkeypatch):
    monkeypatch.setitem(waiting._FIRST_WORD_S, False, 0.2)
    with doing("outer"), told_elsewhere():
        time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_where_a_bar_moves_it_is_shown_beside_the_bar(capsys, monkeypatch):
    monkeypatch.setitem(waiting._FIRST_WORD_S, False, 0.2)
    shown = []
    with doing("outer"), board(shown.append):
        time.sleep(0.5)
        assert shown == []
        with doing("compiling"):
            time.sleep(0.5)
    assert set(shown) == {"compiling"} and capsys.readouterr().err == ""


PROGRAM = """
import time, typer
from hxloop.kit.entry import Group, run_program
app = typer.Typer(cls=Group)
@app.command()
def slow(name: str):
    time.sleep(1.5)
@app.command()
def other():
    pass
run_program(app, "program")
"""


def test_every_verb_of_a_program_says_something_soon():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "slow", "a\x1bb"], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("", "program slow a\\x1bb: getting ready\n")
