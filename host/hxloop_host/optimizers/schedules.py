"""How a learning rate changes over the epochs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from hxloop.errors import OutOfRangeError
from hxloop_host.arithmetic.whole_power import whole_power


class Schedule(ABC):
    """Learning rate over the epochs."""

    @abstractmethod
    def factor(self, epoch: int) -> float:
        """Learning rate of an epoch (counted from 0) relative to the base rate."""


@final
@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate in all epochs."""

    def factor(self, epoch: int) -> float:
        """Return 1."""
        del epoch
        return 1.0


@final
@dataclass(frozen=True)
class StepDecay(Schedule):
    """Rate times `gamma` every `step_epochs` epochs."""

    step_epochs: int
    gamma: float

    def __post_init__(self) -> None:
        if self.step_epochs < 1:
            raise OutOfRangeError(f"must be at least 1, got {self.step_epochs}", field="step_epochs")

    def factor(self, epoch: int) -> float:
        """Return ``gamma ** (epoch // step_epochs)``."""
        return whole_power(self.gamma, epoch // self.step_epochs)


@final
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 in the first epoch down to `floor` after the last; `floor` from there on.

    References
    ----------
    Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, eq. 5 (without restarts).
    """

    epochs: int
    floor: float = 0.0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise OutOfRangeError(f"must be at least 1, got {self.epochs}", field="epochs")

    def factor(self, epoch: int) -> float:
        """Return the value at the beginning of the epoch."""
        done = min(max(epoch / self.epochs, 0.0), 1.0)
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * done))
