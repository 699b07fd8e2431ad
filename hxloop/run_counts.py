"""What runs on a chip added up to, and how fast that was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hxloop.units import ACCELERATION

if TYPE_CHECKING:
    from hxloop.result import RunResult


def speedup_over_biology(chip_time_s: float, wall_s: float) -> float:
    """How much faster than the biology it stands for something ran: 1 is biological real time, 1000 is silicon.

    Parameters
    ----------
    chip_time_s : float
        Time the chip ran, in s of hardware time.
    wall_s : float
        Wall time of all of it, in s.

    Returns
    -------
    float
        ``1000 chip_time_s / wall_s``; NaN where nothing ran.
    """
    return ACCELERATION * chip_time_s / wall_s if wall_s > 0 else math.nan


@dataclass
class ChipUse:
    """What runs on the chip added up to.

    Attributes
    ----------
    events_in, events_out, events_lost : int
        As in `hxloop.result.RunResult`.
    chip_time_s : float
        Time the chip ran, in s of hardware time.
    emulation_s : float
        Wall time the chip (emulator) took, in s.
    energy_j_estimate : float
        Datasheet power times chip time, in J.
    """

    events_in: int = 0
    events_out: int = 0
    events_lost: int = 0
    chip_time_s: float = 0.0
    emulation_s: float = 0.0
    energy_j_estimate: float = 0.0

    def add(self, result: RunResult) -> None:
        """Count one run."""
        self.events_in += result.events_in
        self.events_out += result.events_out
        self.events_lost += result.events_lost
        self.chip_time_s += result.chip_time_us * 1e-6
        self.emulation_s += result.emulation_time_us * 1e-6
        self.energy_j_estimate += result.energy_j_estimate
