"""The bar of everything that takes long, on a terminal."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from hxloop.kit.terminal import speak
from hxloop.kit.waiting import OneAtATime, board
from hxloop.progress import Advanced, Doing, Ended, EpochDone, Lines, Message, Started, StepDone, duration, plural
from hxloop.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType
    from rich.progress import Task

    from hxloop.progress import Event, Listener


def watching() -> Listener:
    """Listener of a command: a bar where somebody watches, lines elsewhere."""
    return ProgressBar() if sys.stderr.isatty() else Lines()


class ProgressBar:
    """Listener that draws a bar for steps, one for the parts of a step, and a line of figures below them.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw, by default stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = _Bars(console=self._console)
        self._begun = Started("", 0, "step")
        self._work, self._board = OneAtATime(), ExitStack()

    def __call__(self, event: Event) -> None:
        """Show it."""
        self._bars.waits_for = ""
        if isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Advanced):
            self._move(event)
        elif isinstance(event, StepDone):
            self._move(Advanced(event.done, name=event.name))
            self._print(f"{event.name:<16} {event.text}")
        elif isinstance(event, EpochDone):
            self._move(Advanced(event.epoch, self._begun.parts))
            self._bars.figures = event.line()  # beside the bars, they would take the place of count and time
        elif isinstance(event, Message):
            self._print(event.text)
        elif isinstance(event, Doing):
            self._work.turn_to(event.text)
        elif isinstance(event, Ended):
            self._work.turn_to("")
            self._board.close()
            self._bars.stop()

    def _start(self, event: Started) -> None:
        self._print(event.title)
        self._begun, self._bars = event, _Bars(console=self._console)
        for name, total in ((event.unit, event.total), (event.part, event.parts)):
            if name:
                self._bars.add_task(plural(name), total=total, count="", left_s=None)
        self._move(Advanced(event.done))
        self._board.close()
        self._board.enter_context(board(self._wait))
        self._bars.start()

    def _wait(self, text: str) -> None:
        self._bars.waits_for = text

    def _move(self, event: Advanced) -> None:
        begun = self._begun
        for task in self._bars.task_ids:
            done, total = ((event.done, begun.total), (event.part, begun.parts))[task]
            completed = done if task or event.share is None else event.share * total
            self._bars.update(task, completed=completed, count=f"{done}/{total}", left_s=event.left_s)
        if event.name:
            self._bars.update(self._bars.task_ids[0], description=one_line(event.name))

    def _print(self, text: str) -> None:
        speak()
        self._bars.console.print(Text(one_line(text)), soft_wrap=True)


class _Left(TimeRemainingColumn):
    """Time left, as whoever works says, or as the bar moves."""

    def render(self, task: Task) -> Text:
        left_s = task.fields["left_s"]
        return super().render(task) if left_s is None else Text(f"{duration(left_s)} left")


class _Bars(Progress):
    figures = waits_for = ""

    def __init__(self, console: Console) -> None:
        texts = [TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[count]")]
        super().__init__(texts[0], BarColumn(), texts[1], _Left(), console=console)

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for text in (self.figures, self.waits_for):
            if text:
                yield Text(one_line(text))
