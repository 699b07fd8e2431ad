"""What synaptic inputs lose of a volley that just makes a circuit spike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.exponential import exp_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.codes.boot import OperatingPoint
    from hxloop_chip.silicon.circuits import Circuits

_POINTS: Final = 500
_TAUS: Final = 4.0


def volley_loss(circuits: Circuits, target: OperatingPoint) -> float:
    """Share of the response to one common volley that compression takes, to first order, median over circuits.

    The response at its peak is the convolution of current and membrane; what is lost of the current is
    I (c I + h (V - V_leak)), with I and V as they are without losses. See docs/solver.md#compressed-inputs.

    Parameters
    ----------
    circuits : Circuits
    target : OperatingPoint
        Time constants, and the distance from leak to threshold, which is how high the response rises.
    """
    distance_mv = target.v_threshold_mv - target.v_leak_mv
    step_us = _TAUS * max(target.tau_mem_us, target.tau_syn_us) / _POINTS
    t_us = step_us * np.arange(_POINTS)
    current, decay = exp_of(-t_us / target.tau_syn_us), exp_of(-t_us / target.tau_mem_us)

    def lifted(mv_per_us: NDArray[np.float64]) -> NDArray[np.float64]:
        return step_us * np.convolve(mv_per_us, decay)[:_POINTS]

    response = lifted(current)
    scale = max(distance_mv, 0.0) / response.max()
    compression = np.median(circuits.compression_per_na[0] * circuits.capacitance_pf)
    per_mv = np.median(circuits.headroom_per_mv[0])
    share = compression * scale * current + per_mv * scale * response
    return float(lifted(current * share)[response.argmax()] / response.max())
