"""What suites have in common."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from host.client import RemoteChip
from host.connection import address_of
from host.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.figures import Claim, Figure
    from hxloop.result import RunResult


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


def speed(chip_time_us: float, seconds: list[float]) -> list[float]:
    """Chip time / wall time of every repeat."""
    return [chip_time_us * 1e-6 / s for s in seconds]


def activity(result: RunResult, n_samples: int, n_neurons: int) -> dict[str, float]:
    """What went through the chip."""
    duration_s = result.chip_time_us * 1e-6 / n_samples
    spikes = result.events_out / (n_samples * n_neurons)
    return {
        "events_in_per_sample": round(result.events_in / n_samples, 1),
        "spikes_per_neuron": round(spikes, 3),
        "mean_rate_khz": round(spikes / duration_s * 1e-3, 2),
        "events_lost": result.events_lost,
    }
