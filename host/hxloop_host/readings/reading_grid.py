"""A network between the readings of its membranes: constants, and weights as the kernels take them.

From one reading to the next a neuron without spikes obeys
``v[k+1] = a v[k] + b i[k] - f w[k] + sum_e weight_e rise(t[k+1] - t_e)`` and
``i[k+1] = c i[k] + sum_e weight_e exp(-(t[k+1] - t_e) / tau_syn)``, exactly: events count at the times at which they
came, which the chip reports, not at those of readings.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.operating_point import CAPACITANCE_CODE
from hxloop_host.readings import kernels as at
from hxloop_host.readings.flat_network import FlatNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.network import Network, Population
    from hxloop.rule import Recording

    Floats = NDArray[np.floating[Any]]

SAME = 1e-9
"""Relative difference below which time constants are taken as equal."""


def rise(since_us: Floats, tau_mem_us: float, tau_us: float) -> NDArray[np.float64]:
    """Membrane at some times after a current ``exp(-t / tau_us)`` with the slope ``1 / tau_us`` began."""
    x, ratio = since_us / tau_us, tau_us / tau_mem_us
    if abs(ratio - 1.0) < SAME:
        return np.asarray(x * np.exp(-x))
    return np.asarray((np.exp(-ratio * x) - np.exp(-x)) / (1.0 - ratio))


@final
class ReadingGrid(FlatNetwork):
    """Constants of a network between readings that are `period_ticks` apart.

    Parameters
    ----------
    network : Network
    period_ticks : int
        Ticks from one reading to the next.
    tick_us : float
    delay_ticks : int
        From a neuron's spike to its arrival at synapses.
    tau_factor : float
        Measured synaptic time constants over nominal ones.
    dtype : numpy type
        What the kernels compute with.

    Attributes
    ----------
    threshold : [n_neurons]
        Nominal thresholds in model units, infinite where a population does not spike.
    swing : [n_neurons]
        The same, of all populations.
    """

    def __init__(
        self,
        network: Network,
        period_ticks: int,
        tick_us: float,
        delay_ticks: int,
        *,
        tau_factor: float = 1.0,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(network, dtype)
        self.period, self.delay = period_ticks, delay_ticks
        since = np.arange(period_ticks + 1) * tick_us
        self.kernels = np.empty((len(network.populations), at.N_TABLES, period_ticks + 1), dtype)
        self.decay = np.zeros((at.N_CONSTANTS, self.n_neurons), dtype)
        self.threshold, self.swing = np.empty(self.n_neurons, dtype), np.empty(self.n_neurons, dtype)
        for k, population in enumerate(network.populations):
            tau_syn_us = population.tau_syn_us * tau_factor
            part = self.part[population.name]
            # A weight's first slope is its model weight over the nominal time constant.
            self.kernels[k, at.MEMBRANE_RISE] = tau_factor * rise(since, population.tau_mem_us, tau_syn_us)
            self.kernels[k, at.CURRENT_LEFT] = np.exp(-since / tau_syn_us)
            self.kernels[k, at.MEMBRANE_LEFT] = np.exp(-since / population.tau_mem_us)
            self.decay[at.MEMBRANE, part] = self.kernels[k, at.MEMBRANE_LEFT, -1]
            self.decay[at.CURRENT, part] = self.kernels[k, at.CURRENT_LEFT, -1]
            self.decay[at.RISE, part] = self.kernels[k, at.MEMBRANE_RISE, -1]
            self.decay[at.ADAPTATION :, part] = _adaptation(population, since[-1])[:, None]
            self.swing[part] = population.model_threshold
            self.threshold[part] = population.model_threshold if population.spiking else np.inf
        # One reading more: the one before a spike is of the time after the refractory period.
        self.quiet_ticks = np.array(
            [round(p.t_refractory_us / tick_us) + period_ticks for p in network.populations], np.int64
        )

    def membranes(self, recording: Recording) -> Floats:
        """Readings [n_samples, n_reads, n_neurons] of all populations, 0 where there are none."""
        n_reads = len(recording.membrane_times_us)
        found = np.zeros((recording.n_samples, n_reads, self.n_neurons), self.dtype)
        for name, traces in recording.membranes.items():
            found[:, :, self.part[name]] = traces
        return found

    def undisturbed(self, recording: Recording) -> NDArray[np.bool_]:
        """Where a reading follows from the one before: no spike since then, neither at an end of its range.

        Returns
        -------
        bool [n_samples, n_reads - 1, n_neurons]
            False for neurons that were not read.
        """
        n_steps = len(recording.membrane_times_us) - 1
        found = np.zeros((recording.n_samples, n_steps, self.n_neurons), np.bool_)
        for (name, part), quiet in zip(self.part.items(), self.quiet_ticks.tolist(), strict=True):
            traces, spikes = recording.membranes.get(name), recording.spikes.get(name)
            if traces is None:
                continue
            found[:, :, part] = ~_clipped(traces, self.swing[part])
            if spikes is None:
                continue
            step = np.maximum(-(-spikes.tick // self.period) - 1, 0)
            for later in range(2 + quiet // self.period):
                inside = step + later < n_steps
                sample, neuron = spikes.sample[inside], part.start + spikes.neuron[inside]
                found[sample, step[inside] + later, neuron] = False
        return found

    def tiles(self, matrices: Sequence[NDArray[np.float64]]) -> Floats:
        """Weights of projections between populations as tiles [4 targets, 64 sources], zeros where there are none.

        For each 4 targets, the tiles of all sources follow one another.
        """
        parts = []
        for link, matrix in zip(self.links, self.added(matrices), strict=True):
            if link[at.SOURCE] >= 0:
                size, width = at.padded(matrix.shape[1], at.TARGETS), at.padded(matrix.shape[0], at.SOURCES)
                whole = np.zeros((size, width), self.dtype)
                whole[: matrix.shape[1], : matrix.shape[0]] = matrix.T
                parts.append(whole.reshape(-1, at.TARGETS, width // at.SOURCES, at.SOURCES).transpose(0, 2, 1, 3))
        found = _aligned(sum(part.size for part in parts), self.dtype)
        return np.concatenate([part.ravel() for part in parts], out=found) if parts else found

    def stepping(self, answers: bool) -> NDArray[np.bool_]:
        """[n_projections]: whose targets' derivatives do nothing but decay while they are not active.

        Not those of the output where its membranes are the answer, nor those whose membranes add to an adaptation.
        """
        lifted = self.decay[at.LIFT, self.links[:, at.FIRST_TARGET]] != 0
        output = self.part[self.network.output].start
        found: NDArray[np.bool_] = ~(lifted | (answers & (self.links[:, at.FIRST_TARGET] == output)))
        return found

    def rows(self, matrices: Sequence[NDArray[np.float64]], stepping: NDArray[np.bool_]) -> Floats:
        """The same of projections between populations as [n_target, n_sources] where they are `stepping`.

        Others are [n_sources, n_target], rows padded by zeros to `ROW`, and behind that [n_target, n_sources].
        """
        parts = []
        for link, turned, matrix in zip(self.links, stepping, self.added(matrices), strict=True):
            if link[at.SOURCE] >= 0 and turned:
                parts.append(matrix.T.astype(self.dtype).ravel())
            elif link[at.SOURCE] >= 0:
                whole = np.zeros((matrix.shape[0], at.padded(matrix.shape[1], at.ROW)), self.dtype)
                whole[:, : matrix.shape[1]] = matrix
                parts.extend((whole.ravel(), matrix.T.astype(self.dtype).ravel()))
        return np.concatenate([np.empty(0, self.dtype), *parts])


@lru_cache(maxsize=4)
def grid_of(network: Network, period_ticks: int, tick_us: float, delay_ticks: int, tau_factor: float) -> ReadingGrid:
    """`ReadingGrid` of these; one that was made before is the same object."""
    return ReadingGrid(network, period_ticks, tick_us, delay_ticks, tau_factor=tau_factor)


def _aligned(size: int, dtype: Any) -> Floats:
    """Array that begins where a line of the cache begins."""
    line = 64 // np.dtype(dtype).itemsize
    whole = np.empty(size + line, dtype)
    skip = -whole.ctypes.data // whole.itemsize % line
    return whole[skip : skip + size]


def _clipped(traces: Floats, swing: Floats) -> NDArray[np.bool_]:
    """Steps from one reading to the next that begin or end beyond the range of a channel.

    There, a channel reads the same again and again. Its end is its own, offsets being what they are: the highest or
    lowest of all its readings, if it is far from rest and was read twice running.
    """
    found = np.zeros((len(traces), traces.shape[1] - 1, traces.shape[2]), np.bool_)
    for extreme in (traces.min(axis=(0, 1)), traces.max(axis=(0, 1))):
        at_end = (traces == extreme) & (np.abs(extreme) > 0.5 * swing)
        again = at_end[:, 1:] & at_end[:, :-1]
        stuck = np.zeros(traces.shape, np.bool_)
        stuck[:, 1:] |= again
        stuck[:, :-1] |= again
        found |= stuck[:, 1:] | stuck[:, :-1]
    return found


def _adaptation(population: Population, period_us: float) -> NDArray[np.float64]:
    """Rows ``ADAPTATION`` to ``JUMP`` of the constants, for an adaptation current in nA; all 0 without one."""
    model = population.model
    if model is None or model.tau_adaptation_us is None:
        return np.zeros(at.N_CONSTANTS - at.ADAPTATION)
    tau_us, per_mv = model.tau_adaptation_us, population.model_threshold / (
        population.v_threshold_mv - population.v_leak_mv
    )  # fmt: skip
    slope_mv_per_us = 1.0 / float(nominal.capacitance_pf(CAPACITANCE_CODE))  # of 1 nA
    left = np.exp(-period_us / tau_us)
    fall = float(rise(np.array(period_us), population.tau_mem_us, tau_us)) * tau_us * slope_mv_per_us * per_mv
    lift_na = model.adaptation_a_ns * 1e-3 * (1.0 - left) / per_mv
    return np.array([left, fall, lift_na, model.adaptation_b_na])
