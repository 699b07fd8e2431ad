"""Surrogate derivatives of a spike by its membrane, all 1 at threshold: they differ in shape, not in strength.

With `x` the membrane above threshold in units of the threshold, and the steepness `s` (`kernels.fill_slopes`):

``superspike``: ``1 / (s |x| + 1)^2`` (Zenke, Ganguli, Neural Computation 30:1514, 2018); ``sigmoid``: derivative of a
logistic function, ``4 y (1 - y)`` with ``y = 1 / (1 + exp(-s x))``; ``triangle``: ``max(0, 1 - s |x|)`` (Esser et al.,
PNAS 113:11441, 2016); ``arctan``: ``1 / (1 + (pi s x / 2)^2)`` (Fang et al., ICCV 2021).

References
----------
Neftci, Mostafa, Zenke, "Surrogate gradient learning in spiking neural networks", IEEE Signal Processing Magazine 36:51
(2019); Zenke, Vogels, "The remarkable robustness of surrogate gradient learning", Neural Computation 33:899 (2021):
the shape matters little, the width does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Surrogate = Literal["superspike", "sigmoid", "triangle", "arctan"]

CODES: Final[dict[Surrogate, int]] = {"superspike": 0, "sigmoid": 1, "triangle": 2, "arctan": 3}
"""Numbers by which the kernels know them."""

FLAT: Final = 600.0
"""Steepness times distance beyond which a sigmoid is flat, and its `cosh` overflows."""


def value_at(surrogate: Surrogate, distance: float, steepness: float) -> float:
    """Value of a surrogate at a distance from threshold, in thresholds."""
    x = steepness * distance
    if surrogate == "superspike":
        return 1.0 / (x + 1.0) ** 2
    if surrogate == "sigmoid":
        return float(1.0 / np.cosh(min(x, FLAT) / 2.0) ** 2)
    return max(0.0, 1.0 - x) if surrogate == "triangle" else 1.0 / (1.0 + (0.5 * np.pi * x) ** 2)


def distance_of(surrogate: Surrogate, value: NDArray[np.float64], steepness: float) -> NDArray[np.float64]:
    """Distance from threshold, in thresholds, at which a surrogate has a value above 0 and up to 1."""
    if surrogate == "superspike":
        x = 1.0 / np.sqrt(value) - 1.0
    elif surrogate == "sigmoid":
        x = 2.0 * np.arccosh(1.0 / np.sqrt(value))
    else:
        x = 1.0 - value if surrogate == "triangle" else np.sqrt(1.0 / value - 1.0) * (2.0 / np.pi)
    return np.asarray(x / steepness, np.float64)


def shape_of(steepness: float, dtype: Any) -> NDArray[Any]:
    """What `kernels.fill_slopes` takes of a surrogate, [3]."""
    return np.array([1.0, steepness, 0.5 * np.pi * steepness], dtype)
