"""What a training, a calibration or a study says while it works: one stream of events, and any number of listeners.

A listener is a callable that takes one event. Everything that takes long has an argument `report`: None for lines on
stderr (`Lines`), one listener, or a list of them; an empty list is silence.

>>> losses = []
>>> def listener(event):
...     if isinstance(event, EpochDone):
...         losses.append(event.columns["loss"])
>>> Progress([listener]).tell(EpochDone(1, {"loss": 0.25}))
>>> losses
[0.25]
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TextIO

from hxloop.kit.arguments import refusal
from hxloop.kit.terminal import say
from hxloop.kit.waiting import OneAtATime
from hxloop.result import CHIP_USE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

QUIET_S: Final = 5.0
"""`Lines` say how far something is when nothing was said for this long."""
_LONGEST_QUIET_S: Final = 40.0


@dataclass(frozen=True)
class Started:
    """Something that takes long begins.

    Attributes
    ----------
    title : str
        What, in one line.
    total : int
        Steps when it is finished.
    unit : str
        What a step is called: ``epoch``, ``routine``, ``point``.
    done : int
        Steps that were done before.
    parts : int
        Parts of each step, 0: it has none.
    part : str
        What a part is called: ``batch``.
    """

    title: str
    total: int
    unit: str
    done: int = 0
    parts: int = 0
    part: str = ""

    def line(self) -> str:
        """For the user's eyes."""
        steps = several(self.total, self.unit) + (f" of {several(self.parts, self.part)}" if self.parts else "")
        return f"{self.title}: {steps}" + (f", continuing after {self.unit} {self.done}" if self.done else "")


@dataclass(frozen=True)
class Advanced:
    """It goes on; said as often as there is something new.

    Attributes
    ----------
    done : int
        Steps done.
    part : int
        Parts done of the step at work.
    name : str
        Step at work, where steps have names.
    share : float or None
        Of the whole work, 0..1, where steps are not equally long.
    left_s : float or None
        Time it may still take, where somebody knows.
    """

    done: int
    part: int = 0
    name: str = ""
    share: float | None = None
    left_s: float | None = None


@dataclass(frozen=True)
class StepDone:
    """A step that has a name is done.

    Attributes
    ----------
    done : int
        Steps done, with this one.
    name, text : str
        Its name, and what came of it.
    """

    done: int
    name: str
    text: str


@dataclass(frozen=True)
class EpochDone:
    """An epoch of a training is done and stored.

    Attributes
    ----------
    epoch : int
        Epochs done, with this one.
    columns : mapping of str to value
        Its line of the journal, by name. What is shown of it follows from names: ``loss``, and what ends in
        ``_accuracy`` or ``_fraction`` (0..1) or ``_s``; None and NaN stand for what was not measured.
    text : str
        What the rule has to say, shown instead of columns that `hxloop` does not know.
    """

    epoch: int
    columns: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""

    def line(self) -> str:
        """Figures for one line: what was learned, what the rule has to say, what it cost."""
        shown = {n: v for n, v in self.columns.items() if isinstance(v, int | float) and not math.isnan(v)}
        own = {name: value for name, value in shown.items() if name not in _KNOWN}
        parts = [_figure(name, shown[name]) for name in _LEARNED if name in shown]
        parts += [self.text] if self.text else [_figure(name, value) for name, value in own.items()]
        return "  ".join(parts + [_figure(name, shown[name]) for name in _COSTS if name in shown])


@dataclass(frozen=True)
class Message:
    """Something the user may want to know, in one line."""

    text: str


@dataclass(frozen=True)
class Doing:
    """Something without steps is done that may take a while; without a text: it is over.

    Attributes
    ----------
    text : str
        What, in a few words: ``drawing pictures``.
    """

    text: str = ""


@dataclass(frozen=True)
class Ended:
    """Nothing more will come of what was started, also after an error or Ctrl-C."""


Event = Started | Advanced | StepDone | EpochDone | Message | Doing | Ended
Listener = Callable[[Event], object]
Report = Listener | list[Listener] | tuple[Listener, ...] | None
"""What callers give as `report`."""

_LEARNED: Final = ("loss", "train_accuracy", "val_accuracy")
_COSTS: Final = ("chip_time_s", "wall_s", "speedup_over_biology")
_KNOWN: Final = {*_LEARNED, *_COSTS, *CHIP_USE, "epoch", "learning_rate", "gradient_steps"}


class Progress:
    """A stream of events that any number of listeners can join.

    It is a listener itself, so that one stream goes on in another.

    Parameters
    ----------
    listeners : iterable of callable
    """

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        self._listeners = list(listeners)

    def join(self, listener: Listener) -> None:
        """Tell this one too, from now on."""
        self._listeners.append(listener)

    def tell(self, event: Event) -> None:
        """Tell all listeners of an event.

        One that raises an `Exception` stops no work: that is said once, and it is told nothing more.
        `KeyboardInterrupt` is passed on.
        """
        for listener in [*self._listeners]:
            try:
                listener(event)
            except Exception as error:
                self._drop(listener, error)

    __call__ = tell

    def message(self, text: str) -> None:
        """Tell all listeners something in words."""
        self.tell(Message(text))

    @contextmanager
    def doing(self, text: str) -> Iterator[None]:
        """Tell that something without steps is done, and that it is over."""
        self.tell(Doing(text))
        try:
            yield
        finally:
            self.tell(Doing())

    @contextmanager
    def during(self, started: Started) -> Iterator[None]:
        """Tell that something starts, and that it ended, however it did."""
        self.tell(started)
        try:
            yield
        finally:
            self.tell(Ended())

    def _drop(self, listener: Listener, error: Exception) -> None:
        self._listeners.remove(listener)
        name = getattr(listener, "__name__", type(listener).__name__)
        text = f"warning: {name} listens no more to the progress, it failed: {type(error).__name__}: {error}"
        if self._listeners:
            self.message(text)
        else:
            say(text)


def progress_of(report: Report) -> Progress:
    """Stream for the listeners that a caller gave as `report`.

    Raises
    ------
    InvalidInputError
        Neither a listener nor a list of them.
    """
    if isinstance(report, Progress):
        return report
    listeners = [Lines()] if report is None else report if isinstance(report, list | tuple) else [report]
    for listener in listeners:
        if not callable(listener) or isinstance(listener, type):
            raise refusal(listener, "report", "a listener (called with events of hxloop.progress), or a list of them")
    return Progress(listeners)


class Lines:
    """Listener that prints a line for what happens, and one every few seconds in between.

    Parameters
    ----------
    stream : text file, optional
        Where to write, by default stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._said_s = self._news_s = time.monotonic()
        self._begun = Started("", 0, "step")
        self._step = (0, "")
        self._told, self._pause_s = "", QUIET_S
        self._work = OneAtATime(stream)

    def __call__(self, event: Event) -> None:
        """Print it, if there is something to print."""
        if isinstance(event, Started):
            self._begun, self._step, self._told = event, (0, ""), ""
            self._say(event.line())
        elif isinstance(event, Doing | Ended):
            self._work.turn_to(event.text if isinstance(event, Doing) else "")
        elif isinstance(event, Message):
            self._say(event.text)
        elif isinstance(event, StepDone):
            self._say(f"{event.done:2}/{self._begun.total} {event.name:<24} {event.text}")
        elif isinstance(event, EpochDone):
            self._say(f"{self._begun.unit} {event.epoch}/{self._begun.total}  {event.line()}")
        elif isinstance(event, Advanced):
            step = (event.done, event.name)
            if (event.name and step != self._step) or time.monotonic() - self._said_s >= self._pause_s:
                self._say_how_far(self._how_far(event))
            self._step = step

    def _how_far(self, event: Advanced) -> str:
        begun = self._begun
        if event.name:
            return f"{event.done + 1:2}/{begun.total} {event.name} ..."
        text = f"{event.done} of {several(begun.total, begun.unit)}"
        if begun.parts:
            text += f", {event.part} of {several(begun.parts, begun.part)}"
        if event.share is not None:
            text += f", {100 * event.share:.0f} % of the work"
        return text if event.left_s is None else f"{text}, {duration(event.left_s)} left"

    def _say_how_far(self, text: str) -> None:
        """Say it; what was said before is not said again, but how long it has been so, and ever less often."""
        now = time.monotonic()
        if text == self._told:
            self._say(f"{text} ({duration(now - self._news_s)} so far)")
            self._pause_s = min(2.0 * self._pause_s, _LONGEST_QUIET_S)
        else:
            self._say(text)
            self._told, self._news_s, self._pause_s = text, now, QUIET_S

    def _say(self, text: str) -> None:
        self._said_s = time.monotonic()
        say(text, self._stream)


def silent(_event: Event) -> None:
    """Listener that says nothing."""


def duration(seconds: float) -> str:
    """Time for people: ``40 s``, ``12 min``, ``3.4 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def plural(word: str) -> str:
    """``batches`` of ``batch``."""
    return f"{word}es" if word.endswith("tch") else f"{word}s"


def several(number: int, word: str) -> str:
    """``1 batch``, ``2 batches``."""
    return f"{number} {word if number == 1 else plural(word)}"


def _figure(name: str, value: float) -> str:
    """A column as it is shown; its name says what it is."""
    stem, _, kind = name.rpartition("_")
    words = stem.removesuffix("_time").replace("_", " ")
    if name == "speedup_over_biology":
        return f"{value:.0f} x biology"
    if kind == "accuracy" and stem:
        return f"{words} {100 * value:5.1f} %"
    if kind == "fraction" and stem:
        return f"{words} {100 * value:.0f} %"
    if kind == "s" and stem:
        return f"{words} {value:.2f} s"
    return f"{name.replace('_', ' ')} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
