"""A small network, and recordings of it with whatever was read."""

import numpy as np

from hxloop.network import Network, Population
from hxloop.rule import Inputs, Recording
from hxloop.spikes import SpikeBatch


def network(size=2, *, spiking=True):
    """Two populations of different time constants; ``out`` answers, in 12 us."""
    hidden, out = (
        Population(
            name, n, tau_mem_us=6.0, tau_syn_us=tau, t_refractory_us=1.0, v_leak_mv=420.0, v_reset_mv=420.0,
            v_threshold_mv=735.0, synapse_gain_mv_per_us=1.0, spiking=fires,
        )
        for name, n, tau, fires in (("hidden", 3, 6.0, True), ("out", size, 12.0, spiking))
    )  # fmt: skip
    return Network(1, (hidden, out), ())


def recording(n_samples=2, size=2, **read):
    """What the chip gave back, of the fields of `Recording`."""
    none = SpikeBatch(np.zeros(n_samples + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))
    return Recording(network(size), Inputs(none), [], [], tick_us=0.008, delay_ticks=0, duration_ticks=7500, **read)
