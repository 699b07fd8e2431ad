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


def shape_of(steepness: float, dtype: Any) -> NDArray[Any]:
    """What `kernels.fill_slopes` takes of a surrogate, [3]."""
    return np.array([1.0, steepness, 0.5 * np.pi * steepness], dtype)
