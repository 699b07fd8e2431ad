"""Figures of a training: one line per epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from hxloop.result import CHIP_USE, ChipUse, speedup_over_biology

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hxloop.rule import Column

Named = float | tuple[float, ...]


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
    gradient_steps : int
        Batches that made an optimiser step.
    learning_rate : float
        In force during the epoch.
    wall_s : float
        Wall time of the epoch in s, with the host's share.
    use : ChipUse
        Training and validation together.
    named : mapping of str to float or tuple of float
        What the rule shows (`hxloop.rule.Rule.columns`): one value, or one for each population.
    """

    epoch: int
    loss: float
    train_accuracy: float
    val_accuracy: float
    gradient_steps: int
    learning_rate: float
    wall_s: float
    use: ChipUse
    named: Mapping[str, Named] = field(default_factory=dict)

    @property
    def speedup_over_biology(self) -> float:
        """Of the epoch with its evaluation and the host's share; see `speedup_over_biology`."""
        return speedup_over_biology(self.use.chip_time_s, self.wall_s)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON with the speed-up; NaN becomes None."""
        own = {name: getattr(self, name) for name in PLAIN}
        values = own | dict(self.named) | vars(self.use) | {"speedup_over_biology": self.speedup_over_biology}
        return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in values.items()}


def rule_text(columns: Sequence[Column], metrics: EpochMetrics) -> str:
    """What the line of an epoch says of the rule's columns."""
    return "  ".join(f"{c.short} {100 * c.one(metrics.named[c.name]):3.0f} %" for c in columns if c.short)


PLAIN: Final = {
    "epoch": ("1", "finished epochs"),
    "loss": ("1", "mean training loss"),
    "train_accuracy": ("1", "fraction of right answers while training"),
    "val_accuracy": ("1", "fraction of right answers on the validation set"),
    "gradient_steps": ("1", "batches with an optimiser step"),
    "learning_rate": ("1", "learning rate"),
    "wall_s": ("s", "wall time of the epoch"),
}
"""Unit and meaning of the entries that every training has."""
COUNTED: Final = CHIP_USE
"""The same of the entries of `ChipUse`."""
TAKEN: Final = frozenset(PLAIN) | frozenset(COUNTED) | {
    "speedup_over_biology", "test_accuracy", "epochs", "run_path", "chip", "rule", "calibration", "initial", "weights",
    "clock_s", "serial", "seed", "status", "error", "point",
}  # fmt: skip
"""Names that a rule cannot show: summaries of runs and tables of studies have them beside what it shows. What they call
`silent_fraction` is of the test; a rule may have one of the training."""
WHOLE: Final = frozenset({"epoch", "gradient_steps"}) | {f.name for f in fields(ChipUse) if f.type == "int"}
"""Entries that are whole numbers."""
LATER: Final = frozenset({"synaptic_events", "cadc_reads", "madc_reads", "circuit_time_s"})
"""Entries that run files of earlier versions lack."""
