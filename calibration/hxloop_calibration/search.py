"""Search algorithms: codes at which a measured value meets its target, for all instances at once.

An algorithm knows nothing of chips. It is given a `Problem` and returns `Found`; any routine can use any of them.

References
----------
calix, common/algorithms.py (binary, noisy binary and linear search, predictive models).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]


class Curve(ABC):
    """How a value follows its code, as far as the datasheet says.

    Attributes
    ----------
    rising : bool, or bool [n]
        Whether the value grows with the code.
    """

    rising: bool | NDArray[np.bool_]

    @abstractmethod
    def predict(self, code: Floats, value: Floats, target: Floats) -> Floats:
        """Code, not rounded, at which the value should meet the target if it is `value` at `code`."""


@final
@dataclass(frozen=True)
class Straight(Curve):
    """The value changes by `slope` from code to code, wherever it starts."""

    slope: float

    @property
    def rising(self) -> bool:  # type: ignore[override]
        """Sign of the slope."""
        return self.slope > 0

    def predict(self, code: Floats, value: Floats, target: Floats) -> Floats:
        """Code plus what is missing over the slope."""
        return np.asarray(code + (target - value) / self.slope)


@final
@dataclass(frozen=True)
class Proportional(Curve):
    """The value is a constant times the code."""

    rising: bool = True

    def predict(self, code: Floats, value: Floats, target: Floats) -> Floats:
        """Code times the ratio of target and value."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(code * target / value)


@final
@dataclass(frozen=True)
class Inverse(Curve):
    """The value is a constant over the code."""

    rising: bool = False

    def predict(self, code: Floats, value: Floats, target: Floats) -> Floats:
        """Code times the ratio of value and target."""
        return np.asarray(code * value / target)


@brief
@dataclass(frozen=True, eq=False)
class Problem:
    """What is searched.

    Attributes
    ----------
    measure : callable
        Writes codes int64 [n] and returns the values measured, float64 [n]; NaN where nothing can be measured.
    start : int64 [n]
        Codes to begin with.
    target : float64 [n]
    low, high : int
        Range of codes, both allowed.
    curve : Curve
    rng : numpy.random.Generator
        For algorithms that draw.
    """

    measure: Callable[[Codes], Floats]
    start: Codes
    target: Floats
    low: int
    high: int
    curve: Curve
    rng: np.random.Generator

    def clip(self, code: NDArray[np.floating | np.integer]) -> Codes:
        """Nearest codes in the range."""
        return np.asarray(np.clip(np.rint(code), self.low, self.high).astype(np.int64))

    def too_high(self, value: Floats) -> NDArray[np.bool_]:
        """Where the code should be lower; nowhere for NaN."""
        return np.asarray(np.where(self.curve.rising, value > self.target, value < self.target))

    def too_low(self, value: Floats) -> NDArray[np.bool_]:
        """Where the code should be higher; nowhere for NaN."""
        return np.asarray(np.where(self.curve.rising, value < self.target, value > self.target))


@brief
@dataclass(frozen=True, eq=False)
class Found:
    """Result of a search.

    Attributes
    ----------
    code : int64 [n]
    first : float64 [n]
        Value measured at the codes the search was started with.
    at_edge : bool [n]
        The target seems to lie beyond the range of codes.
    """

    code: Codes
    first: Floats
    at_edge: NDArray[np.bool_]


class Search(ABC):
    """A way to solve a `Problem`."""

    @abstractmethod
    def find(self, problem: Problem) -> Found:
        """Codes whose values come nearest to the targets, as far as this algorithm can tell."""


@final
@dataclass(frozen=True)
class ModelBased(Search):
    """Predict from the curve, measure there, predict again.

    From the second measurement on every prediction starts near the target, so that errors of the curve no longer matter
    and those of the measurements are independent: their mean is kept.

    Attributes
    ----------
    steps : int
        Measurements, at least 2.
    """

    steps: int = 3

    def find(self, problem: Problem) -> Found:
        """See the class."""
        code, first, predictions = problem.start, None, []
        for _ in range(self.steps):
            value = problem.measure(code)
            first = value if first is None else first
            wanted = problem.curve.predict(code.astype(np.float64), value, problem.target)
            predictions.append(np.where(np.isfinite(wanted), wanted, code))
            code = problem.clip(predictions[-1])
        assert first is not None
        kept = np.mean(predictions[1:] or predictions, axis=0)
        at_edge = (kept < problem.low - 0.5) | (kept > problem.high + 0.5)
        return Found(problem.clip(kept), first, at_edge)


@final
@dataclass(frozen=True)
class Binary(Search):
    """Halve the step from the middle of the range; needs nothing but the direction of the curve."""

    def find(self, problem: Problem) -> Found:
        """Keep the best of the last three codes measured."""
        middle = np.full_like(problem.start, (problem.low + problem.high + 1) // 2)
        return _halve(problem, middle, extra=2, kept=3)


@final
@dataclass(frozen=True)
class NoisyBinary(Search):
    """Binary search that starts at scattered codes, one step longer, with more codes to choose from at the end.

    Many cells with the same code disturb one another on silicon; and a measurement that errs early is made good.

    Attributes
    ----------
    noise : int
        Largest scatter of the first codes.
    kept : int
        Codes measured last, of which the best is kept.
    """

    noise: int = 5
    kept: int = 5

    def find(self, problem: Problem) -> Found:
        """Keep the best of the last codes measured."""
        middle = (problem.low + problem.high + 1) // 2
        scatter = problem.rng.integers(-self.noise, self.noise + 1, problem.start.shape)
        return _halve(problem, problem.clip(middle + scatter), extra=3, kept=self.kept, scatter=self.noise)


@final
@dataclass(frozen=True)
class Linear(Search):
    """Walk from the starting code in steps of one size until the value passes the target; then keep the nearer code.

    Attributes
    ----------
    step, max_steps : int
    """

    step: int = 4
    max_steps: int = 50

    def find(self, problem: Problem) -> Found:
        """See the class."""
        code = problem.start
        value = first = problem.measure(code)
        direction = np.where(problem.too_low(value), 1, np.where(problem.too_high(value), -1, 0))
        history = [(code, value)]
        for _ in range(self.max_steps):
            passed = np.where(direction > 0, ~problem.too_low(value), ~problem.too_high(value))
            walking = (direction != 0) & ~passed & (code > problem.low - (direction > 0)) & (
                code < problem.high + (direction < 0)
            )  # fmt: skip
            if not walking.any():
                break
            code = problem.clip(code + self.step * direction * walking)
            value = np.where(walking, problem.measure(code), value)
            history.append((code, value))
        return _best(problem, history, first)


def _halve(problem: Problem, code: Codes, *, extra: int, kept: int, scatter: int = 0) -> Found:
    """Steps that halve each time; together they reach both ends of the range from its middle +- scatter."""
    first = problem.measure(problem.start)
    span = problem.high - problem.low + 1
    step, steps = span / 4.0 + scatter / 2.0, int(np.ceil(np.log2(span))) + extra
    history = []
    for _ in range(steps):
        value = problem.measure(code)
        history.append((code, value))
        move = max(1, round(step))
        code = problem.clip(code + move * problem.too_low(value) - move * problem.too_high(value))
        step /= 2.0
    return _best(problem, history[-kept:], first)


def _best(problem: Problem, history: list[tuple[Codes, Floats]], first: Floats) -> Found:
    """Of all codes measured the one with the smallest error; NaN counts as infinite."""
    codes, values = (np.stack(part) for part in zip(*history, strict=True))
    error = np.abs(values - problem.target)
    best = np.argmin(np.where(np.isfinite(error), error, np.inf), axis=0)[None]
    code, value = (np.take_along_axis(a, best, 0)[0] for a in (codes, values))
    beyond = ((code == problem.low) & problem.too_high(value)) | ((code == problem.high) & problem.too_low(value))
    return Found(code, first, beyond)


SEARCHES: Final[dict[str, Search]] = {
    "model": ModelBased(),
    "binary": Binary(),
    "noisy-binary": NoisyBinary(),
    "linear": Linear(),
}
"""Algorithms by the names that `hxloop_calibration.options.Options.search` uses."""
