"""Progress bars of a training on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from host.reporting import epoch_line

if TYPE_CHECKING:
    from host.metrics import EpochMetrics


class TerminalReporter:
    """A `host.reporting.Reporter` with a bar for epochs and one for the batches of the current epoch.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw, by default stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console or Console(stderr=True),
        )
        self._epochs = self._progress.add_task("epochs", total=None, figures="")
        self._batches = self._progress.add_task("batches", total=None, figures="")

    def started(self, title: str, *, first_epoch: int, epochs: int, batches: int) -> None:
        """Draw the bars."""
        self._progress.console.print(f"training {title}", highlight=False)
        self._progress.update(self._epochs, total=epochs, completed=first_epoch)
        self._progress.update(self._batches, total=batches)
        self._progress.start()

    def batch(self, epoch: int, batch: int) -> None:
        """Move the lower bar."""
        self._progress.update(self._batches, completed=batch)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Move the upper bar and show the figures of the epoch."""
        self._progress.update(self._epochs, completed=metrics.epoch, figures=epoch_line(metrics))

    def message(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, highlight=False, markup=False)

    def finished(self) -> None:
        """Leave the bars as they are."""
        self._progress.stop()
