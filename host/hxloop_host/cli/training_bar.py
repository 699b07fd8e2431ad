"""Progress bars of a training on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hxloop_host.cli.bars import TerminalBars
from hxloop_host.training.reporting import epoch_line

if TYPE_CHECKING:
    from rich.console import Console

    from hxloop_host.runs.epoch_metrics import EpochMetrics


class TerminalReporter(TerminalBars):
    """A `hxloop_host.training.reporting.Reporter` with a bar for epochs and one for the batches of the current epoch.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw, by default stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(console=console)
        self._epochs = self._progress.add_task("epochs", total=None)
        self._batches = self._progress.add_task("batches", total=None)

    def started(self, title: str, *, first_epoch: int, epochs: int, batches: int) -> None:
        """Draw the bars."""
        self.message(f"training {title}")
        self._progress.update(self._epochs, total=epochs, completed=first_epoch)
        self._progress.update(self._batches, total=batches)
        self._progress.start()

    def batch(self, epoch: int, batch: int) -> None:
        """Move the lower bar."""
        self._progress.update(self._batches, completed=batch)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Move the upper bar and show the figures of the epoch."""
        self._progress.update(self._epochs, completed=metrics.epoch)
        self.figures(epoch_line(metrics))
