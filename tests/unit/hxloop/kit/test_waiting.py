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
from hxloop.kit.waiting import LogLine, Silence, StatusLine, first_word, listener, tell


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
    line.close()
    assert file.getvalue() == "first\nthird\n"


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
    with first_word("getting ready"):
        time.sleep(0.3)
        say("ready")
    assert capsys.readouterr().err == "getting ready\nready\n"
    with first_word("getting ready"):
        say("ready")
        time.sleep(0.3)
    with first_word("getting ready"):
        pass
    time.sleep(0.3)
    assert capsys.readouterr().err == "ready\n"


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
