"""Readouts with their losses, by name."""

from __future__ import annotations

import inspect
from typing import Any, Final

from hxloop.plugins import Registry
from hxloop.readout import Readout


def _is_readout(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, Readout) and not inspect.isabstract(found)


READOUTS: Final[Registry[type[Readout]]] = Registry(
    "readout",
    {
        "shift_invariant_mse": "hxloop_host.readouts.first_spikes:ShiftInvariantMSE",
        "margin": "hxloop_host.readouts.first_spikes:Margin",
        "softmax_times": "hxloop_host.readouts.first_spikes:SoftmaxTimes",
        "target_times_mse": "hxloop_host.readouts.first_spikes:TargetTimesMSE",
        "count_cross_entropy": "hxloop_host.readouts.spike_counts:CountCrossEntropy",
        "count_mse": "hxloop_host.readouts.spike_counts:CountMSE",
        "membrane_cross_entropy": "hxloop_host.readouts.membrane_scores:MembraneCrossEntropy",
        "membrane_mse": "hxloop_host.readouts.membrane_scores:MembraneMSE",
    },
    _is_readout,
    "a subclass of Readout with all its methods",
    option="",
)
