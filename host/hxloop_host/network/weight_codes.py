"""Between model weights and the weight codes of a chip: rounding, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.errors import OutOfRangeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.spec import ChipSpec

    Codes = NDArray[np.int8] | NDArray[np.float64]

DISCRETE_BITS: Final = 6
"""Most bits of a weight's magnitude that discrete codes can tell apart (HICANN-X: 0..63)."""


def check_weight_bits(weight_bits: int, spec: ChipSpec) -> None:
    """Refuse to train with weights finer than the codes of a chip.

    Raises
    ------
    OutOfRangeError
        The chip has discrete codes, and the settings ask for more bits or for none.
    """
    if not spec.continuous_weights and not 1 <= weight_bits <= DISCRETE_BITS:
        raise OutOfRangeError(
            f"{weight_bits or '0 (float)'} is finer than the weight codes of {spec.name}",
            field="neuron.weight_bits",
            hint=f"use 1..{DISCRETE_BITS}, or a chip with continuous weights (ideal)",
        )


def quantise(
    weights: NDArray[np.float64],
    scale_weights: float,
    code_max: int,
    bits: int = 6,
    *,
    continuous: bool = False,
    limits: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
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

    limits : (float64 [...], float64 [...]), optional
        Smallest and largest weights, in the shape of `weights`, to which these are clipped first.

    Returns
    -------
    int8 [...], or float64 [...] where `continuous` and `bits` is not 6
        Signed codes.

    Raises
    ------
    OutOfRangeError
        `code_max` or `bits` does not fit, or a weight is not finite (with limits: is NaN).
    """
    if not 1 <= code_max <= 127:
        raise OutOfRangeError(f"must be 1..127, got {code_max}", field="code_max")
    if not 0 <= bits <= 8:
        raise OutOfRangeError(f"must be 0..8, got {bits}", field="bits")
    if limits is None:
        if not np.isfinite(weights).all():
            raise _not_finite()
        limits = np.full(weights.shape, -np.inf), np.full(weights.shape, np.inf)
    if bits == 6 or (bits == 0 and not continuous):  # in one pass: every step of a training does it
        from hxloop_host.arithmetic.rounding import fill_codes  # compiled: not needed to read settings

        whole = np.empty(weights.shape, np.int8)
        low, high = limits
        if not fill_codes(weights.ravel(), low.ravel(), high.ravel(), scale_weights, code_max, whole.reshape(-1)):
            raise _not_finite()
        return whole
    weights = clipped(weights, *limits)
    if np.isnan(weights).any():
        raise _not_finite()
    codes = clipped(weights * scale_weights, -code_max, code_max)
    if bits:
        levels = 2**bits - 1
        # In this order the largest level is code_max to the last bit.
        codes = np.rint(codes * (levels / code_max)) * code_max / levels
    return np.asarray(codes + 0.0) if continuous else np.asarray(np.rint(codes), np.int8)  # + 0.0: no -0


def _not_finite() -> OutOfRangeError:
    return OutOfRangeError("must be finite", field="weights", hint="did the training diverge?")


def clipped(values: NDArray[Any], low: Any, high: Any, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """As `numpy.clip`, in a third of its time for small arrays: every step of a training clips a dozen of them."""
    found: NDArray[Any] = np.minimum(np.maximum(values, low, out=out), high, out=out)
    return found


def dequantise(codes: Codes, scale_weights: float) -> NDArray[np.float64]:
    """Model weights that codes stand for: what the chip ran with, so what gradients must be taken at."""
    from hxloop_host.arithmetic.rounding import fill_weights  # compiled, as above

    weights = np.empty(codes.shape)
    fill_weights(codes.reshape(-1), scale_weights, weights.reshape(-1))
    return weights
