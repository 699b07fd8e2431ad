"""Figures of a training: sums over chip runs, and one line per epoch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

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


@dataclass(frozen=True)
class EpochMetrics:
    """One line of the journal.

    Attributes
    ----------
    epoch : int
        Epochs finished, the first one is 1.
    loss : float
        Mean training loss, measured on the chip while the weights changed.
    train_accuracy, val_accuracy : float
        Fractions in 0..1; NaN where the epoch ended without an evaluation.
    bump_fraction : tuple of float
        Per layer, batches that only raised the weights of silent neurons, over all batches.
    silent_fraction : tuple of float
        Per layer, (sample, neuron) pairs of the training set without a spike.
    gradient_steps : int
        Batches that made an optimiser step.
    learning_rate : float
        In force during the epoch.
    events_in, events_out, events_lost : int
    chip_time_s, emulation_s, energy_j_estimate : float
        As in `ChipUse`; training and validation together.
    wall_s : float
        Wall time of the epoch in s, with the host's share.
    """

    epoch: int
    loss: float
    train_accuracy: float
    val_accuracy: float
    bump_fraction: tuple[float, ...]
    silent_fraction: tuple[float, ...]
    gradient_steps: int
    learning_rate: float
    events_in: int
    events_out: int
    events_lost: int
    chip_time_s: float
    emulation_s: float
    energy_j_estimate: float
    wall_s: float

    @property
    def speedup_over_biology(self) -> float:
        """Of the epoch with its evaluation and the host's share; see `speedup_over_biology`."""
        return speedup_over_biology(self.chip_time_s, self.wall_s)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON with the speed-up; NaN becomes None."""
        values = asdict(self) | {"speedup_over_biology": self.speedup_over_biology}
        return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in values.items()}
