"""A network as the kernels of EventProp take it: constants of populations beside links and weights."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, final

import numpy as np

from hxloop_host.learning.event_adjoint import kernels as at
from hxloop_host.readings.flat_network import FlatNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network, Population
    from hxloop.rule import Weights

    Array = NDArray[np.float64]


@final
class EventLayout(FlatNetwork):
    """Constants of a network.

    Parameters
    ----------
    network : Network
    tick_us : float
    tau_factor : float
        Measured synaptic time constants over nominal ones.
    slope_floor : float
        Smallest slope of a membrane at its spike, in thresholds per membrane time constant.

    Attributes
    ----------
    constants : float64 [n_populations, N_CONSTANTS]
    quiet_ticks : int64 [n_populations]
        Refractory periods.
    threshold : float64 [n_neurons]
        Nominal, in model units.
    """

    def __init__(self, network: Network, tick_us: float, tau_factor: float, slope_floor: float) -> None:
        super().__init__(network, np.float64)
        self.constants = np.empty((len(network.populations), at.N_CONSTANTS))
        for row, p in zip(self.constants, network.populations, strict=True):
            row[at.LEAK], row[at.DECAY] = 1.0 / p.tau_mem_us, 1.0 / (p.tau_syn_us * tau_factor)
            row[at.RESET] = reset_of(p)
            row[at.FLOOR] = slope_floor * p.model_threshold / p.tau_mem_us
        self.quiet_ticks = np.array([round(p.t_refractory_us / tick_us) for p in network.populations], np.int64)
        self.threshold = np.repeat([p.model_threshold for p in network.populations], np.diff(self.begins))

    def matrices(self, flat: Array) -> Weights:
        """Per projection [n_sources * copies, n_target], every copy with what its source has; 0 outside of masks."""
        return [
            matrix if projection.mask is None else matrix * self.network.connected(projection)
            for projection, matrix in zip(self.network.projections, super().matrices(flat), strict=True)
        ]


def reset_of(population: Population) -> float:
    """Membrane after a spike in model units."""
    swing_mv = population.v_threshold_mv - population.v_leak_mv
    return population.model_threshold * (population.v_reset_mv - population.v_leak_mv) / swing_mv


@lru_cache(maxsize=4)
def layout_of(network: Network, tick_us: float, tau_factor: float, slope_floor: float) -> EventLayout:
    """`EventLayout` of these; one that was made before is the same object."""
    return EventLayout(network, tick_us, tau_factor, slope_floor)
