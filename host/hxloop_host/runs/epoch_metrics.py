"""Figures of a training: one line per epoch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from hxloop.result import speedup_over_biology


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

    @property
    def rule_text(self) -> str:
        """What the rule has to say of the epoch."""
        return f"bumped {100 * sum(self.bump_fraction):3.0f} %  silent outputs {100 * self.silent_fraction[-1]:4.1f} %"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON with the speed-up; NaN becomes None."""
        values = asdict(self) | {"speedup_over_biology": self.speedup_over_biology}
        return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in values.items()}
