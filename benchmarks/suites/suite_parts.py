"""What suites have in common."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from hxloop_host.link.client import RemoteChip
from hxloop_host.link.discovery import address_of
from hxloop_host.link.own_daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.measuring.figures import Claim, Figure


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes
    ----------
    chip : str
    serial : int
    threads : int
        Of the emulator, where the figure does not say.
    repeats : int
    quick : bool
        Smaller loads: for a look, not for the record.
    """

    chip: str = "typical"
    serial: int = 1
    threads: int = 2
    repeats: int = 5
    quick: bool = False

    def size(self, full: int, quick: int) -> int:
        """Size of a load."""
        return quick if self.quick else full

    def about(self, **more: Any) -> dict[str, Any]:
        """Context of a figure."""
        return {
            "chip": f"{self.chip}/{self.serial}",
            "threads": self.threads,
            **({"quick": True} if self.quick else {}),
            **more,
        }


@dataclass(frozen=True)
class Suite:
    """Figures that are measured together.

    Attributes
    ----------
    name : str
    claims : tuple of Claim
    measure : callable
        Yields a figure for each claim.
    """

    name: str
    claims: tuple[Claim, ...]
    measure: Callable[[Options], Iterator[Figure]]


class Daemons(ExitStack):
    """Daemons that end with the ``with`` statement."""

    def start(self, options: Options) -> tuple[RemoteChip, int]:
        """Chip behind a daemon of its own, and that daemon's process id."""
        daemon = Daemon(options.chip, options.serial, threads=options.threads)
        chip = RemoteChip(address_of(daemon.connection), owner=daemon, expected=daemon.connection.identity)
        self.enter_context(chip)
        assert daemon.pid is not None
        return chip, daemon.pid


def speedup(chip_time_s: float, seconds: list[float]) -> float:
    """Speed-up over biological real time, from the median of wall times: 1000 is as fast as silicon."""
    return round(1000 * chip_time_s / median(seconds), 1)
