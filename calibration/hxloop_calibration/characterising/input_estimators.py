"""Losses of synaptic inputs, from responses to volleys of several strengths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from hxloop_calibration.characterising.noise_estimators import STEP_US
from hxloop_calibration.characterising.variances import LEVEL, known_mean
from hxloop_calibration.measuring.fits import least_squares, psp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop_calibration.characterising.measurements import Measurements

    Floats = NDArray[np.float64]

_REFERENCE: Final = 100.0
"""mV/us and mV at which the strengths say what is lost (docs/chip.md)."""
_START: Final = (1.0, math.log(6.0), math.log(6.0), 0.02, 0.02)
_NUDGE: Final = 1e-5
_BEGIN: Final = 0.03
"""Relative error because events come anywhere in a step."""


def responses(p: Floats, time_us: Floats, slopes: Floats) -> Floats:
    """Deflections [n, slopes, times] by currents that are passed on as I / (1 + c I + h V).

    What is passed on holds for `STEP_US`, with the current at the end of it and the membrane at its beginning: so the
    strengths are those of the emulator. The same loss without steps would look a fifth larger.

    Parameters
    ----------
    p : float64 [n, 5]
        Factor of the slopes, logarithms of both time constants in us, c in us/mV and h in 1/mV, times 100 both.
    time_us : float64 [times]
        Evenly apart, from 0 on.
    slopes : float64 [slopes]
        In mV/us.
    """
    factor, log_mem, log_syn, c, h = p.T[:, :, None]
    tau_mem, tau_syn, step = np.exp(log_mem), np.exp(log_syn), STEP_US
    current, v = factor * slopes, np.zeros((len(p), len(slopes)))
    found = []
    for k in range(int(time_us[-1] / step) + 1):
        later = current * np.exp(-step / tau_syn)
        passed = current / (1.0 + (c * later + h * np.maximum(v, 0.0)) / _REFERENCE)

        def after(t: float, v: Floats = v, passed: Floats = passed) -> Floats:
            return np.asarray(v * np.exp(-t / tau_mem) + passed * psp(t, tau_mem, tau_syn))

        inside = time_us[(time_us >= k * step) & (time_us < (k + 1) * step)]
        found += [after(float(t) - k * step) for t in inside]
        current, v = later, after(step)
    return np.stack(found, axis=2)


def losses(given: Sequence[Measurements]) -> Floats:
    """float64 [writings, 2]: what is lost at 100 mV/us and at 100 mV, in the mean over the circuits."""
    found = []
    for m in given:
        time_us, slopes = m["synapses/volley_time_us"], m["synapses/volley_slope_mv_per_us"]

        def model(p: Floats, _: Floats, time_us: Floats = time_us, slopes: Floats = slopes) -> tuple[Floats, Floats]:
            moved = np.concatenate([p[:, None], p[:, None] + _NUDGE * np.eye(p.shape[1])], axis=1)
            every = responses(moved.reshape(-1, p.shape[1]), time_us, slopes).reshape(*moved.shape[:2], -1)
            return every[:, 0], np.moveaxis((every[:, 1:] - every[:, :1]) / _NUDGE, 1, 2)

        mean = known_mean(m["synapses/volley_mv"], 3)
        y = mean.reshape(len(mean), -1)
        p = least_squares(model, np.tile(_START, (len(y), 1)), np.zeros_like(y), y, np.isfinite(y).astype(np.float64))
        found.append(p[:, 3:] / (1.0 + p[:, 3:]))  # 1 / (1 + x) = 1 - strength
    return np.concatenate(found)


def loss(given: Sequence[Measurements], which: int) -> tuple[float, float, float]:
    """Strength at the reference: value, lowest, highest, 95 %.

    Circuits have the amplitudes of their events in common, so what is independent are the writings.
    """
    found = losses(given)[:, which]
    value, spread = float(found.mean()), float(found.std(ddof=1))
    reach = float(stats.t.ppf(0.5 + 0.5 * LEVEL, len(found) - 1)) * spread / math.sqrt(len(found))
    reach = math.hypot(reach, _BEGIN * value)
    return max(0.0, value), max(0.0, value - reach), max(0.0, value + reach)
