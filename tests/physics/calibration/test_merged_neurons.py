"""Merged neurons on a chip: a row is as strong as the circuit that receives it, which gradients have to know."""

import numpy as np
import pytest
from support.solving.membrane import layer_times, times_of
from support.tables.chip_tables import table_for

from hxloop.network import Network, Population, Projection
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.network.measured_strength import MeasuredStrength
from hxloop_host.placing.mapping import place

N_INPUTS, N_NEURONS, TAU_US, GAIN_MV_PER_US = 180, 6, 6.0, 1.15
WEIGHT_OF_CODE = GAIN_MV_PER_US * TAU_US / (675.0 - 360.0)


@pytest.fixture(scope="module")
def chip():
    """Circuits that differ in the strength of their synaptic inputs, and in nothing else."""
    return EmulatedChip("uncalibrated[all=0,synaptic_input_fixed=0.4]", 4)


@pytest.fixture(scope="module")
def placed(chip):
    population = Population(
        "merged", N_NEURONS, tau_mem_us=TAU_US, tau_syn_us=TAU_US, t_refractory_us=30.0, v_leak_mv=360.0,
        v_reset_mv=360.0, v_threshold_mv=675.0, synapse_gain_mv_per_us=GAIN_MV_PER_US,
    )  # fmt: skip
    network = Network(N_INPUTS, (population,), (Projection("input", "merged"),))
    return place(network, chip.spec, chip.boot)


def strengths(chip, placed, codes):
    """Factors that training takes, from a table with the truth of the chip."""
    truth = chip.mismatch.synaptic_input
    return MeasuredStrength(table_for(chip, exc=truth[0], inh=truth[1]), placed).factor(0, codes)


def spike_times(chip, placed, ticks, codes):
    chip.configure(placed.configure([codes]))
    batch = SpikeBatch.from_arrays(np.zeros(N_INPUTS, int), ticks, np.arange(N_INPUTS), 1)
    result = chip.run(batch, duration_ticks=12_000, record="first_spikes")
    return placed.decode_first_spikes(result.spikes, "merged")[0]


def case(seed):
    rng = generator(seed, "merged")
    ticks = np.sort(rng.integers(10, 1500, N_INPUTS))
    return ticks, np.rint(rng.normal(2.0, 3.0, (N_INPUTS, N_NEURONS)))


@pytest.mark.parametrize("seed", range(3))
def test_neurons_spike_as_the_factors_of_their_rows_say(chip, placed, seed):
    ticks, codes = case(seed)
    assert set(placed.wires[0].slot.tolist()) == {0, 1}
    found = spike_times(chip, placed, ticks, codes)
    tick = chip.spec.tick_us / TAU_US
    factors = strengths(chip, placed, codes)
    circuits = placed.allocations["merged"].circuits.astype(int)
    mean = chip.mismatch.synaptic_input[:, circuits].mean(axis=2)

    def expected(factor):
        return times_of(layer_times(ticks[None] * tick, factor * codes * WEIGHT_OF_CODE, 1, 1.0))[0] / tick

    assert np.isfinite(found).all()
    assert np.abs(found - expected(factors)).max() < 2.0  # of two codes of analog parameters that are rounded
    assert np.abs(found - expected(np.where(codes < 0, mean[1], mean[0]))).max() > 100.0
