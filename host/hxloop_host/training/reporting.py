"""How a training tells what it does: a protocol, and plain lines on stderr for where there is no terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, TextIO

from hxloop.kit import arguments
from hxloop.kit.terminal import say

if TYPE_CHECKING:
    from hxloop_host.runs.epoch_metrics import EpochMetrics


class Reporter(Protocol):
    """Told of every batch and epoch; must not raise."""

    def started(self, title: str, *, first_epoch: int, epochs: int, batches: int) -> None:
        """Training begins.

        Parameters
        ----------
        title : str
            Task, preset, chip and seed in one line.
        first_epoch : int
            Epochs already done (0, or more after a resume).
        epochs : int
            Epochs when finished.
        batches : int
            Batches of one epoch.
        """

    def batch(self, epoch: int, batch: int) -> None:
        """`batch` batches (1, 2, ...) of epoch `epoch` (1, 2, ...) are done."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """Report that an epoch is done and stored."""

    def message(self, text: str) -> None:
        """Something else the user may want to know, one line."""

    def finished(self) -> None:
        """Training ended, also by an error or Ctrl-C; nothing is reported after it."""


def check_reporter(report: Reporter | None) -> Reporter:
    """Reporter that was given, lines on stderr by default.

    Raises
    ------
    InvalidInputError
        Something else.
    """
    if report is None:
        return PlainReporter()
    found: Reporter = arguments.like(report, "report", Reporter, "a reporter (hxloop_host.training.reporting.Reporter)")
    return found


class PlainReporter:
    """One line per epoch.

    Parameters
    ----------
    stream : text file, optional
        Where to write, by default stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._epochs = 0

    def started(self, title: str, *, first_epoch: int, epochs: int, batches: int) -> None:
        """Announce the training."""
        self._epochs = epochs
        done = f", continuing after epoch {first_epoch}" if first_epoch else ""
        self._line(f"training {title}: {epochs} epochs of {batches} batches{done}")

    def batch(self, epoch: int, batch: int) -> None:
        """Stay silent."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """One line."""
        self._line(f"epoch {metrics.epoch}/{self._epochs}  {epoch_line(metrics)}")

    def message(self, text: str) -> None:
        """One line."""
        self._line(text)

    def finished(self) -> None:
        """Nothing to close."""

    def _line(self, text: str) -> None:
        say(text, self._stream)


class SilentReporter:
    """Says nothing."""

    def started(self, title: str, *, first_epoch: int, epochs: int, batches: int) -> None:
        """Ignore."""

    def batch(self, epoch: int, batch: int) -> None:
        """Ignore."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """Ignore."""

    def message(self, text: str) -> None:
        """Ignore."""

    def finished(self) -> None:
        """Ignore."""


def epoch_line(metrics: EpochMetrics) -> str:
    """Figures of an epoch for one line of text."""
    bumps, silent = sum(metrics.bump_fraction), metrics.silent_fraction[-1]
    val = "" if math.isnan(metrics.val_accuracy) else f"  val {100 * metrics.val_accuracy:5.1f} %"
    return (
        f"loss {metrics.loss:.4f}  train {100 * metrics.train_accuracy:5.1f} %{val}  bumped {100 * bumps:3.0f} %  "
        f"silent outputs {100 * silent:4.1f} %  chip {metrics.chip_time_s:.2f} s  wall {metrics.wall_s:.2f} s  "
        f"{metrics.speedup_over_biology:.0f} x biology"
    )
