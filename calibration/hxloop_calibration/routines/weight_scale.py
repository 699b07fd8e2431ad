"""Weight scale: the model weight of one code, as spikes show it.

What is measured
    The sum of excitatory weight codes whose common event makes a circuit spike in half of the samples.
How
    That sum times the peak of the response to one event is the distance from leak to threshold. In units in which this
    distance, the capacitance and the synaptic time constant are 1, the weight of one code is therefore 1 over (sum x
    peak / tau_syn). A binary search finds the sum for every circuit; a ladder of 13 sums around it shows the whole rise
    of the fraction, whose mean is kept (Spearman-Kaerber). Nothing is set: gain, time constant, leak and threshold have
    been, and this is what they come to; training takes it for the weight scale of its backward pass.
Expected accuracy
    2 %: 1 % from averaging over 64 synapses, the rest from noise of writing the potentials.
Runtime on silicon
    0.05 s: one setting of the analog memory.

References
----------
Arnold et al., hxtorch.spiking (weight_scale, measured by hand there): brainscales2-demos, ts_06-dynamic_range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop_calibration.measuring.fits import middle_of_rise, psp_peak_us
from hxloop_calibration.measuring.spike_statistics import fraction_spiking
from hxloop_calibration.measuring.stimulus import EXC, N_GROUPS, events
from hxloop_calibration.routine_interface import Parameter, Routine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

NAME: Final = "weight_scale"
_COARSE_SAMPLES, _FINE_SAMPLES = 12, 40
_EVENT_US: Final = 4.0
_TAUS: Final = 4.0
_LADDER: Final = np.linspace(-0.09, 0.09, 13)


@final
class WeightScale(Routine):
    """See the module."""

    name = "weight_scale"
    needs = ("gain", "leak", "threshold")

    def wanted(self, target: Target) -> bool:
        """A circuit that spikes on its own has no distance from leak to threshold."""
        return target.rates is None

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Model weight of a code at a model threshold of 1."""
        n = target.neuron
        wanted = n.synapse_gain_mv_per_us * n.tau_syn_us / (n.v_threshold_mv - n.v_leak_mv)
        return (Parameter(NAME, "1", "model weight of a code at a model threshold of 1", wanted, 0.15 * wanted),)

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Nothing is set."""
        return {NAME: np.full(bench.n, np.nan)}

    def measure(self, bench: Bench, target: Target) -> Values:
        """Sums of codes at which half of the samples spike."""
        n = target.neuron
        peak = psp_peak_us(n.tau_mem_us, n.tau_syn_us)
        wanted = (n.v_threshold_mv - n.v_leak_mv) / (n.synapse_gain_mv_per_us * peak)
        most = float(bench.stimulus.most)
        code = np.full(bench.n, min(wanted, most / 2))
        bench.write(bench.neurons, _sums(bench, code))
        step = wanted / 4.0
        while step > 0.02 * wanted:
            above = self._spiking(bench, target, code, _COARSE_SAMPLES) > 0.5
            code = np.clip(code + np.where(above, -step, step), 1, most)
            step /= 2.0
        levels = np.rint(np.clip(code * (1.0 + _LADDER[:, None]), 1, most))
        fractions = np.stack([self._spiking(bench, target, level, _FINE_SAMPLES) for level in levels])
        bench.silent |= (fractions == 0).all(axis=0)
        return {NAME: n.tau_syn_us / (middle_of_rise(levels, fractions) * peak)}

    @staticmethod
    def _spiking(bench: Bench, target: Target, code: Floats, samples: int) -> Floats:
        bench.reweight(_sums(bench, code))
        n = target.neuron
        batch = events(bench.stimulus.channels(EXC), np.array(bench.ticks(_EVENT_US)), samples)
        duration_us = _EVENT_US + _TAUS * max(n.tau_mem_us, n.tau_syn_us)
        return fraction_spiking(bench.run(batch, duration_us).spikes, bench.n)

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """Choice of the synapses; spikes brought forward by the membrane's noise."""
        return {NAME: 0.012 * self.parameters(bench, target)[0].target}


def _sums(bench: Bench, code: Floats) -> NDArray[np.int64]:
    """Sums of weight codes for `Stimulus.synapses`: excitatory ones, divided among the groups."""
    total = np.rint(code).astype(np.int64)
    sums = np.zeros((N_GROUPS, 2, bench.n), np.int64)
    sums[0, EXC], sums[1, EXC] = (total + 1) // 2, total // 2
    return sums
