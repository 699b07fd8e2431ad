"""Mismatch that neighbours on the die share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.spec import ChipSpec

    Floats = NDArray[np.float64]

Places = Literal["circuits", "rows", "synapses"]
"""What the last axes of an array of deviations are: [n_circuits], [n_hemispheres, n_rows], or that and [n_columns]."""

GRADIENT: Final = 0.25
SAME_LINE: Final = 0.25
"""Shares of the field's variance: a slope over the die; what circuits of a column, or rows of a driver, have in common.
The rest changes slowly along the columns or rows; of synapses, as much is common to a column (all assumed)."""

LENGTH: Final = 32
"""Columns or rows between independent values of the slow part (assumed: a quarter of a quadrant)."""


class CorrelatedMismatch(Mechanism):
    """A share of the variance of every deviation comes from a field over the die; the variance stays what it is.

    `SiliconDraws` mixes it in, so it is in all that mechanisms draw for circuits, rows and synapses (not in the bits of
    weight DACs). Each mechanism has a field of its own.
    """

    reference = "docs/chip.md"
    strengths: ClassVar = {
        "correlated_fixed": Strength(
            "1",
            "assumed; Pelgrom et al. 1989: variance grows with the distance on a die",
            "share of the variance of all fixed deviations that neighbours on the die have in common",
            "x = sqrt(1 - s) independent + sqrt(s) field",
            "fixed_neighbours",
            highest=1.0,
            scales=False,
        )
    }


def die_field(rng: np.random.Generator, places: Places, shape: tuple[int, ...], spec: ChipSpec) -> Floats:
    """Normal deviations of mean 0 and variance 1 (on average over the die) that neighbours have in common.

    Neuron circuits lie in two rows across the middle of the die, the synapse arrays above and below them (assumed).

    Parameters
    ----------
    rng : Generator
    places : str
    shape : tuple of int
        Ends with the axes that `places` names; those before have fields of their own.
    spec : ChipSpec
    """
    n_axes = {"circuits": 1, "rows": 2, "synapses": 3}[places]
    lead, line = shape[:-n_axes], spec.n_columns if places == "circuits" else spec.n_rows
    slope = rng.standard_normal((*lead, 2, 1, 1))
    x = np.linspace(-1.0, 1.0, spec.n_columns)
    y = np.outer(1.0 - 2.0 * np.arange(spec.n_hemispheres), np.linspace(0.0, 1.0, spec.n_rows))
    # their mean squares in closed form: a library's sum may differ in its last bit
    x_square = (spec.n_columns + 1) / (3 * (spec.n_columns - 1))
    y_square = (2 * spec.n_rows - 1) / (6 * (spec.n_rows - 1))
    slow, same = _slow(rng, (*lead, spec.n_hemispheres, line)), SAME_LINE
    if places == "circuits":
        over = slope[..., 0, :, :] * x / np.sqrt(x_square)
        common = rng.standard_normal((*lead, 1, line))
    elif places == "rows":
        over = slope[..., 0, :, :] * y / np.sqrt(y_square)
        common = np.repeat(rng.standard_normal((*lead, spec.n_hemispheres, line // 2)), 2, axis=-1)
    else:
        over = slope[..., :1, :, :] * x + slope[..., 1:, :, :] * y[:, :, None]
        over /= np.sqrt(x_square + y_square)
        common = rng.standard_normal((*lead, spec.n_hemispheres, 1, spec.n_columns))
        slow, same = slow[..., None], 0.5 * (1.0 - GRADIENT)
    field = np.sqrt(GRADIENT) * over + np.sqrt(same) * common + np.sqrt(1.0 - GRADIENT - same) * slow
    return np.asarray(field.reshape(shape))


def between(before: Floats | float, after: Floats | float, share: Floats | float) -> Floats:
    """Between two independent normal values, `share` of the way to the second; the variance is theirs everywhere."""
    return np.asarray(((1.0 - share) * before + share * after) / np.sqrt((1.0 - share) ** 2 + share**2))


def _slow(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Values along the last axis that change slowly, each with variance 1."""
    place = np.arange(shape[-1]) / LENGTH
    point = place.astype(np.int64)
    lattice = rng.standard_normal((*shape[:-1], int(point[-1]) + 2))
    return between(lattice[..., point], lattice[..., point + 1], place - point)
