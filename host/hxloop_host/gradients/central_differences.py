"""Derivatives of a loss by single parameters: central differences that say how far they can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

STEP: Final = 3e-4
"""Smallest step as a share of the size of the parameters of its kind (assumed: times are known to 1e-11 us)."""
TRUSTED: Final = 1e-6
"""Differences of two orders must agree as well as this, against the largest derivative of their kind."""


class Differences(NamedTuple):
    """Derivatives of some parameters of one kind.

    Attributes
    ----------
    places : int64 [n, 2]
        Row and column of each in its matrix.
    values : float64 [n]
        Derivatives, NaN where a spike came or went within the step.
    errors : float64 [n]
        What two orders differ by, NaN likewise.
    """

    places: NDArray[np.int64]
    values: Array
    errors: Array

    @property
    def trusted(self) -> NDArray[np.bool_]:
        """Bool [n]: which of them are derivatives: no spike came or went, and the two orders agree."""
        seen = np.isfinite(self.values)
        largest = float(np.abs(self.values[seen]).max(initial=0.0))
        return seen & (np.nan_to_num(self.errors, nan=np.inf) <= TRUSTED * largest)


def central_differences(
    loss_of: Callable[[list[Array]], tuple[float, NDArray[np.int64]]],
    weights: list[Array],
    number: int,
    places: NDArray[np.int64],
) -> Iterator[tuple[float, float]]:
    """Derivatives of a loss by entries of one matrix, one after the other.

    From steps h, 2h and 4h follow two values of fourth order, (4 D(h) - D(2h)) / 3 and (4 D(2h) - D(4h)) / 3, and from
    these one of sixth; what the two differ by bounds its error as long as the loss is smooth there.

    Parameters
    ----------
    loss_of : callable
        Of all matrices: the loss, and what must not change within a step (numbers of spikes).
    weights : list of float64 [n_sources * copies, n_target]
    number : int
        Matrix that is varied.
    places : int64 [n, 2]

    Yields
    ------
    value, error : float
        NaN both where a spike came or went.

    References
    ----------
    L. F. Richardson, Phil. Trans. R. Soc. A 210:307 (1911), for the extrapolation.
    """
    own = weights[number]
    step = STEP * size_of(own)
    before = loss_of(weights)[1]
    for row, column in places:
        slopes, changed = [], False
        for h in (4.0 * step, 2.0 * step, step):
            sides = []
            for sign in (1.0, -1.0):
                moved = own.copy()
                moved[row, column] += sign * h
                loss, counts = loss_of([*weights[:number], moved, *weights[number + 1 :]])
                changed |= not np.array_equal(counts, before)
                sides.append(loss)
            slopes.append((sides[0] - sides[1]) / (2.0 * h))
            if changed:
                break
        if changed:
            yield np.nan, np.nan
            continue
        coarse, fine = ((4.0 * b - a) / 3.0 for a, b in ((slopes[0], slopes[1]), (slopes[1], slopes[2])))
        yield (16.0 * fine - coarse) / 15.0, abs(fine - coarse)


def size_of(matrix: Array) -> float:
    """Root mean square of the entries that are not 0, 1 where all are."""
    used = matrix[matrix != 0.0]
    return float(np.sqrt(np.mean(used**2))) if used.size else 1.0
