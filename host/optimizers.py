"""What turns gradients into new weights: Adam with schedules, bumping of silent neurons, clipping and rounding."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from host.arithmetic import whole_power
from hxloop.errors import ArrayError, OutOfRangeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Codes = NDArray[np.int8] | NDArray[np.float64]


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


@final
class WeightBumper:
    """Raises the weights of silent neurons; a batch that needs it takes no gradient step.

    The first layer (in the order of the network) with a larger fraction of missing spikes than its limit is bumped:
    all weights onto its neurons that missed at least one spike in the batch grow by `bump`, and by twice as much each
    further time in a row that the same layer needs it.

    Parameters
    ----------
    limits : sequence of float
        Tolerated fraction of (sample, neuron) pairs without spike, one per layer, 0..1.
    bump : float
        First increment, in model units.
    doubling : bool
        Double the increment while bumps follow one another.
    targeted : bool
        Bump only neurons that missed a spike, not the whole layer.

    References
    ----------
    Goeltz et al., Nature Machine Intelligence 3, 823-835 (2021), Methods, and the code published with it.
    """

    def __init__(
        self, limits: Sequence[float], bump: float = 0.0005, *, doubling: bool = True, targeted: bool = True
    ) -> None:
        if not all(0 <= limit <= 1 for limit in limits):
            raise OutOfRangeError(f"must be fractions 0..1, got {list(limits)}", field="limits")
        self.limits = tuple(limits)
        self.bump = bump
        self.doubling = doubling
        self.targeted = targeted
        self._last_layer = -1
        self._increment = bump

    def check(self, t_layers: Sequence[NDArray[np.float64]]) -> int | None:
        """First layer that is too silent; to be called once for every batch.

        Parameters
        ----------
        t_layers : sequence of float64 [n_samples, n_neurons], tau_syn
            First spike times of every layer; not finite where none.

        Returns
        -------
        int or None
            Layer that `apply` must bump, or None: take the gradient step.

        Raises
        ------
        ArrayError
            Number of layers other than that of the limits.
        """
        if len(t_layers) != len(self.limits):
            raise ArrayError(f"has {len(t_layers)} layers, but there are {len(self.limits)} limits", field="t_layers")
        for layer, (times, limit) in enumerate(zip(t_layers, self.limits, strict=True)):
            if times.size and np.mean(~np.isfinite(times)) > limit:
                return layer
        self._last_layer = -1
        return None

    def apply(
        self, weights: Sequence[NDArray[np.float64]], layer: int, t_layers: Sequence[NDArray[np.float64]]
    ) -> float:
        """Bump one layer in place.

        Parameters
        ----------
        weights : sequence of float64 [n_in, n_neurons]
            Model weights onto each layer.
        layer : int
            What `check` returned.
        t_layers : sequence of float64 [n_samples, n_neurons]
            As for `check`.

        Returns
        -------
        float
            Increment used.
        """
        again = self.doubling and layer == self._last_layer
        self._increment = 2 * self._increment if again else self.bump
        self._last_layer = layer
        if self.targeted:
            silent = ~np.isfinite(t_layers[layer]).all(axis=0)
            weights[layer][:, silent] += self._increment
        else:
            weights[layer][...] += self._increment
        return self._increment

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copy of what the next bump depends on: ``last_layer`` (int64) and ``increment`` (float64), scalars."""
        return {
            "last_layer": np.array(self._last_layer, np.int64),
            "increment": np.array(self._increment, np.float64),
        }

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned.

        Raises
        ------
        ArrayError
            An entry is missing.
        """
        if set(state) != {"last_layer", "increment"}:
            raise ArrayError(f"must have last_layer and increment, got {sorted(state)}", field="bumper state")
        self._last_layer = int(state["last_layer"])
        self._increment = float(state["increment"])


def clip_weights(weights: NDArray[np.float64], limit: float) -> None:
    """Clip in place to ``-limit..limit``: float weights beyond the range of codes would take ages to come back."""
    np.clip(weights, -limit, limit, out=weights)


def quantise(
    weights: NDArray[np.float64], scale_weights: float, code_max: int, bits: int = 6, *, continuous: bool = False
) -> Codes:
    """Nearest weight codes of model weights (ties to even), clipped to the range of codes.

    Training is straight-through: the optimiser moves the float weights as if rounding were the identity.

    Parameters
    ----------
    weights : float64 [...]
        Model weights.
    scale_weights : float
        Codes per unit of model weight.
    code_max : int
        Largest code, at most 127.
    bits : int
        Of the magnitude: ``2**bits - 1`` evenly spaced ones above 0, up to `code_max`. 6 stands for all codes the chip
        has, 0 for no rounding.
    continuous : bool
        Keep magnitudes between two codes; otherwise each is the code nearest to it.

    Returns
    -------
    int8 [...], or float64 [...] where `continuous` and `bits` is not 6
        Signed codes.

    Raises
    ------
    OutOfRangeError
        `code_max` or `bits` does not fit, or a weight is not finite.
    """
    if not 1 <= code_max <= 127:
        raise OutOfRangeError(f"must be 1..127, got {code_max}", field="code_max")
    if not 0 <= bits <= 8:
        raise OutOfRangeError(f"must be 0..8, got {bits}", field="bits")
    if not np.isfinite(weights).all():
        raise OutOfRangeError("must be finite", field="weights", hint="did the training diverge?")
    codes = np.clip(weights * scale_weights, -code_max, code_max)
    if bits not in {0, 6}:
        levels = 2**bits - 1
        # In this order the largest level is code_max to the last bit.
        codes = np.rint(codes * (levels / code_max)) * code_max / levels
    if continuous and bits != 6:
        return np.asarray(codes + 0.0)  # no -0
    return np.rint(codes).astype(np.int8)


def dequantise(codes: Codes, scale_weights: float) -> NDArray[np.float64]:
    """Model weights that codes stand for: what the chip ran with, so what gradients must be taken at."""
    return np.asarray(codes / scale_weights)
