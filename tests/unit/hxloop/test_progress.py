"""The stream of progress, and the listeners that print."""

import io
import time

import pytest
from support.listeners import Heard, Stop

from hxloop.errors import InvalidInputError
from hxloop.kit import waiting
from hxloop.progress import (
    Advanced,
    Doing,
    Ended,
    EpochDone,
    Lines,
    Message,
    Progress,
    Started,
    StepDone,
    progress_of,
    silent,
)


def test_all_listeners_hear_everything_in_order_and_one_may_come_later():
    first, second = Heard(), Heard()
    progress = Progress([first])
    progress.tell(Started("a", 2, "step"))
    progress.join(second)
    progress.message("b")
    assert first.events == [Started("a", 2, "step"), Message("b")] and second.events == [Message("b")]


def test_a_listener_that_fails_is_told_nothing_more_and_that_is_said_once():
    def fails(event):
        calls.append(event)
        raise ValueError("no figure \x1b[2J")

    calls, heard = [], Heard()
    progress = Progress([fails, heard])
    for k in range(3):
        progress.tell(Advanced(k))
    assert calls == [Advanced(0)]
    assert heard.of(Advanced) == [Advanced(0), Advanced(1), Advanced(2)]
    assert len(heard.messages) == 1 and "fails" in heard.messages[0] and "ValueError: no figure" in heard.messages[0]


def test_the_last_listener_that_fails_is_told_on_stderr(capsys):
    def fails(_event):
        raise ValueError("no")

    progress = Progress([fails])
    progress.message("a")
    progress.message("b")
    assert capsys.readouterr().err.count("warning: fails listens no more") == 1


def test_ctrl_c_in_a_listener_ends_the_work_and_the_end_is_told():
    heard = Heard()
    progress = Progress([heard, Stop(Advanced)])
    with pytest.raises(KeyboardInterrupt), progress.during(Started("a", 1, "step")):
        progress.tell(Advanced(0))
    assert heard.events == [Started("a", 1, "step"), Advanced(0), Ended()]


def test_what_callers_may_give():
    heard = Heard()
    assert progress_of(progress := Progress()) is progress
    for report in (heard, [heard], (heard, silent)):
        progress_of(report).message("x")
    assert heard.messages == ["x"] * 3
    for report in ([], (), silent):
        progress_of(report).message("nobody hears it")


def test_lines_are_the_default(capsys):
    progress_of(None).message("x")
    assert capsys.readouterr().err == "x\n"


@pytest.mark.parametrize("report", [3, "lines", Heard, [silent, 3], {}, True])
def test_what_is_no_listener_is_refused(report):
    with pytest.raises(InvalidInputError, match="a listener") as caught:
        progress_of(report)
    assert caught.value.field == "report"


def lines_of(*events):
    stream = io.StringIO()
    lines = Lines(stream)
    for event in events:
        lines(event)
    return stream.getvalue().splitlines()


def test_lines_of_a_training_a_calibration_and_a_study():
    assert lines_of(
        Started("training x", 4, "epoch", 1, 3, "batch"), Advanced(1, 1),
        EpochDone(2, {"loss": 0.5, "train_accuracy": 0.8, "val_accuracy": None, "wall_s": 2.0}, "bumped 38 %"), Ended(),
    ) == [
        "training x: 4 epochs of 3 batches, continuing after epoch 1",
        "epoch 2/4  loss 0.5000  train  80.0 %  bumped 38 %  wall 2.00 s",
    ]  # fmt: skip
    assert lines_of(
        Started("calibrating c/1", 2, "routine"), Advanced(0, name="leak"), Advanced(0, name="leak"),
        StepDone(1, "leak", "fine"), Advanced(1, name="leak"),
    ) == [
        "calibrating c/1: 2 routines", " 1/2 leak ...", " 1/2 leak                     fine", " 2/2 leak ...",
    ]  # fmt: skip
    assert lines_of(Started("study", 1, "point"), Message("done already")) == ["study: 1 point", "done already"]


def test_lines_say_how_far_it_is_after_a_while_and_not_before(monkeypatch):
    now, stream = [100.0], io.StringIO()
    monkeypatch.setattr("hxloop.progress.time.monotonic", lambda: now[0])
    lines = Lines(stream)
    lines(Started("s", 4, "point"))
    for _ in range(41):
        lines(Advanced(1, share=0.3, left_s=130.0))
        now[0] += 0.25
    text = "1 of 4 points, 30 % of the work, 2 min left"
    assert stream.getvalue().splitlines()[1:] == [text, f"{text} (5 s so far)"]


def test_a_file_never_holds_a_line_twice_and_ever_fewer_of_what_stays_the_same(monkeypatch):
    """A step of a measurement may take minutes, and it has no parts to count."""
    now, stream = [100.0], io.StringIO()
    monkeypatch.setattr("hxloop.progress.time.monotonic", lambda: now[0])
    lines = Lines(stream)
    lines(Started("measuring", 2, "step"))
    for step in ("spreads", "drift"):
        for _ in range(200):
            lines(Advanced(int(step == "drift"), name=step))
            now[0] += 0.5
    said = stream.getvalue().splitlines()[1:]
    first = [" 1/2 spreads ...", *(f" 1/2 spreads ... ({s} s so far)" for s in (5, 15, 35, 75))]
    assert said == [*first, *(line.replace("1/2 spreads", "2/2 drift") for line in first)]


def test_what_has_no_steps_is_said_if_it_takes_long_and_only_then(capsys, monkeypatch):
    monkeypatch.setitem(waiting._FIRST_WORD_S, False, 0.2)
    stream = io.StringIO()
    for lines in (Lines(), Lines(stream)):
        progress = Progress([lines])
        with progress.doing("quick work"):
            pass
        with progress.doing("drawing \x1b pictures"):
            time.sleep(0.6)
        with progress.doing("talkative work"):
            for _ in range(4):
                progress.message("news")
                time.sleep(0.1)
    wanted = ["drawing \\x1b pictures", *["news"] * 4]
    assert capsys.readouterr().err.splitlines() == stream.getvalue().splitlines() == wanted


def test_an_end_ends_what_was_done_then(capsys, monkeypatch):
    monkeypatch.setitem(waiting._FIRST_WORD_S, False, 0.2)
    lines = Lines()
    lines(Doing("drawing pictures"))
    lines(Ended())
    time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_columns_that_nobody_knows_are_shown_by_their_names():
    columns = {
        "epoch": 1, "loss": 0.25, "gradient_norm": 0.125, "weight_fraction": 0.5, "layers": (1.0, 2.0), "spikes": 7,
        "chip_time_s": 0.5, "speedup_over_biology": 500.4, "bad": float("nan"),
    }  # fmt: skip
    assert EpochDone(1, columns).line() == (
        "loss 0.2500  gradient norm 0.1250  weight 50 %  spikes 7  chip 0.50 s  500 x biology"
    )
    assert EpochDone(1, columns, "sparse").line() == "loss 0.2500  sparse  chip 0.50 s  500 x biology"
