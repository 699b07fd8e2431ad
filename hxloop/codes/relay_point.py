"""Parameters of delay neurons: pairs of circuits that one event makes spike, as long after it as they are refractory.

The first circuit has the synapse. An event at the largest weight code lifts its membrane to the threshold within
`hxloop.codes.nominal.TRIGGER_US`; the refractory period of the pair follows, and at its end the spike leaves. What
comes meanwhile is lost.

References
----------
Goeltz, Weber, Kriener et al., "DelGrad", Nature Communications 16 (2025), and the code published with it: a delay is a
neuron of two compartments, tau_mem 15 us, tau_syn 10 us, threshold 25 CADC LSB above leak and reset, and takes counter
/ 8 + 2 us for counters 50..250. Here potentials are those of other neurons, 70 LSB apart: circuits are calibrated for
them, and 25 LSB are less than what some need to be corrected by. tau_syn is 6 us: with 10 us, what is left of the
current at the end of delays below 10 us would make a neuron spike again.
"""

from __future__ import annotations

from math import exp
from typing import Final

from hxloop.codes.boot import OperatingPoint
from hxloop.codes.nominal import TRIGGER_US

RELAY_CIRCUITS: Final = 2
"""Circuits of a delay neuron."""

RELAY_CODE: Final = 63
"""Weight code of the synapse that makes it spike, the largest there is."""

_TAU_MEM_US, _TAU_SYN_US = 15.0, 6.0
_SHORTEST_US = 6.4
_COMMON: Final = OperatingPoint()


def _gain_mv_per_us() -> float:
    """Slope of the membrane at weight code 1 with which one event at `RELAY_CODE` reaches the threshold in time."""
    rise_us = _TAU_MEM_US * _TAU_SYN_US / (_TAU_MEM_US - _TAU_SYN_US)
    rise_us *= exp(-TRIGGER_US / _TAU_MEM_US) - exp(-TRIGGER_US / _TAU_SYN_US)
    return (_COMMON.v_threshold_mv - _COMMON.v_leak_mv) / (RELAY_CODE * rise_us)


RELAY: Final = OperatingPoint(
    tau_mem_us=_TAU_MEM_US,
    tau_syn_us=_TAU_SYN_US,
    t_refractory_us=_SHORTEST_US,
    synapse_gain_mv_per_us=_gain_mv_per_us(),
)
"""Operating point of delay neurons; the refractory period is what the delay makes it."""
