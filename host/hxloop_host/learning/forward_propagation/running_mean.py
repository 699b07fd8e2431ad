"""What FPTT keeps from part to part: weights with a running mean that holds them together, and an optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np

from hxloop.errors import ArrayError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hxloop.rule import State, Weights

    Array = NDArray[np.float64]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1."""
KINDS = ("mean", "pull", "first", "second")


@final
class RunningMean:
    """Weights of all projections with their running means, one after another.

    With the weights `w`, a step goes along ``g + alpha (w - mean) - pull``; then ``pull -= alpha (w - mean)`` and
    ``mean = (1 - beta) mean + beta w - beta / alpha pull``.

    Parameters
    ----------
    weights : sequence of float64 [n_sources * copies, n_target]
        To begin with.

    References
    ----------
    Kag, Saligrama, "Training recurrent neural networks via forward propagation through time", ICML 2021; Yin, Corradi,
    Bohte, "Accurate online training of dynamical spiking neural networks through forward propagation through time",
    Nature Machine Intelligence 5:518 (2023).
    """

    def __init__(self, weights: Sequence[Array]) -> None:
        self.shapes = [w.shape for w in weights]
        self.mean = np.concatenate([np.empty(0), *(w.ravel() for w in weights)])
        self.pull, self.first, self.second = (np.zeros_like(self.mean) for _ in range(3))
        self.steps = 0

    def move(self, weights: Weights, gradients: Weights, rate: float, alpha: float, beta: float) -> Weights:
        """Weights after one step; the running means follow.

        Parameters
        ----------
        weights, gradients : list of float64 [n_sources * copies, n_target]
        rate : float
            Learning rate of Adam.
        alpha : float
            Strength of the regulariser.
        beta : float
            Share of the new weights in the mean.
        """
        now = np.concatenate([np.empty(0), *(w.ravel() for w in weights)])
        along = np.concatenate([np.empty(0), *(g.ravel() for g in gradients)]) + alpha * (now - self.mean) - self.pull
        self.steps += 1
        self.first += (1.0 - BETA1) * (along - self.first)
        self.second += (1.0 - BETA2) * (along * along - self.second)
        size = self.first / (1.0 - BETA1**self.steps)
        now = now - rate * size / (np.sqrt(self.second / (1.0 - BETA2**self.steps)) + EPSILON)
        self.pull -= alpha * (now - self.mean)
        self.mean = (1.0 - beta) * self.mean + beta * now - beta / alpha * self.pull
        return self._matrices(now)

    def settled(self) -> Weights:
        """Running means of the weights."""
        return self._matrices(self.mean)

    def _matrices(self, flat: Array) -> Weights:
        ends = np.cumsum([rows * columns for rows, columns in self.shapes])[:-1]
        return [part.reshape(shape).copy() for part, shape in zip(np.split(flat, ends), self.shapes, strict=True)]

    def state(self) -> State:
        """Means, pulls, and moments of the optimiser."""
        found: State = {name: getattr(self, name).copy() for name in KINDS}
        return found | {"steps": np.array(self.steps)}

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned.

        Raises
        ------
        ArrayError
            An entry is missing, or of another size than the weights.
        """
        for name in KINDS:
            if name not in state or np.shape(state[name]) != self.mean.shape:
                raise ArrayError("is missing, or of another network", field=f"rule state {name}")
        if "steps" not in state:
            raise ArrayError("is missing", field="rule state steps")
        for name in KINDS:
            setattr(self, name, np.array(state[name], np.float64))
        self.steps = int(np.asarray(state["steps"]).item())
