"""What turns gradients into new weights: Adam, and how its learning rate changes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from hxloop.errors import ArrayError, OutOfRangeError
from hxloop_host.arithmetic.exp_log import whole_power

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


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


@final
class Adam:
    """Adam with the published defaults and a learning rate schedule.

    Parameters
    ----------
    learning_rate : float
        Base rate.
    schedule : Schedule, optional
        Rate over the epochs; constant when not given.
    beta1, beta2, epsilon : float
        Decay of first and second moment, and guard of the quotient.

    References
    ----------
    Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    """

    def __init__(
        self,
        learning_rate: float,
        schedule: Schedule | None = None,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        if not (math.isfinite(learning_rate) and learning_rate > 0):
            raise OutOfRangeError(f"must be positive and finite, got {learning_rate}", field="learning_rate")
        self.learning_rate = learning_rate
        self.schedule = schedule or Constant()
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self._factor = self.schedule.factor(0)
        self._steps = 0
        self._first: list[NDArray[np.float64]] = []
        self._second: list[NDArray[np.float64]] = []

    @property
    def current_rate(self) -> float:
        """Learning rate of the current epoch."""
        return self.learning_rate * self._factor

    def start_epoch(self, epoch: int) -> None:
        """Set the rate of an epoch, counted from 0."""
        self._factor = self.schedule.factor(epoch)

    def step(self, parameters: Sequence[NDArray[np.float64]], gradients: Sequence[NDArray[np.float64]]) -> None:
        """Move the parameters in place.

        Parameters
        ----------
        parameters, gradients : sequences of float64 arrays
            Pairs of equal shapes, the same ones in every call.

        Raises
        ------
        ArrayError
            Shapes or numbers of arrays that differ, also from those of earlier calls.
        """
        if not self._first:
            self._first = [np.zeros_like(p) for p in parameters]
            self._second = [np.zeros_like(p) for p in parameters]
        shapes = [p.shape for p in parameters]
        if shapes != [g.shape for g in gradients] or shapes != [m.shape for m in self._first]:
            raise ArrayError(f"must have the shapes of the parameters, {shapes}, in every step", field="gradients")
        self._steps += 1
        correction1 = 1.0 - whole_power(self.beta1, self._steps)
        correction2 = 1.0 - whole_power(self.beta2, self._steps)
        for k, gradient in enumerate(gradients):
            first, second = self._first[k], self._second[k]
            np.add(first, (1.0 - self.beta1) * (gradient - first), out=first)
            np.add(second, (1.0 - self.beta2) * (gradient * gradient - second), out=second)
            change = self.current_rate * (first / correction1) / (np.sqrt(second / correction2) + self.epsilon)
            np.subtract(parameters[k], change, out=parameters[k])

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copy of everything the next step depends on besides the constructor's arguments and the epoch.

        Returns
        -------
        dict
            ``steps`` (int64 scalar) and the moments ``first.<k>`` and ``second.<k>`` (float64).
        """
        state: dict[str, NDArray[np.generic]] = {"steps": np.array(self._steps, np.int64)}
        for k, (first, second) in enumerate(zip(self._first, self._second, strict=True)):
            state[f"first.{k}"] = first.copy()
            state[f"second.{k}"] = second.copy()
        return state

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned.

        Raises
        ------
        ArrayError
            An entry is missing.
        """
        n_arrays = sum(name.startswith("first.") for name in state)
        wanted = {"steps", *(f"{moment}.{k}" for moment in ("first", "second") for k in range(n_arrays))}
        if set(state) != wanted:
            raise ArrayError(f"must have the entries {sorted(wanted)}, got {sorted(state)}", field="optimizer state")
        self._steps = int(state["steps"])
        self._first = [np.array(state[f"first.{k}"], np.float64) for k in range(n_arrays)]
        self._second = [np.array(state[f"second.{k}"], np.float64) for k in range(n_arrays)]
