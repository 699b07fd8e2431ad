"""What a chip observed, back to neurons and synapses: against a chip that reports who it is."""

from dataclasses import replace

import numpy as np
import pytest

from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import ArrayError, DoesNotFitError, InvalidInputError, OutOfRangeError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.result import Observations, Readout
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop.spikes import SpikeBatch
from hxloop_host.placing.mapping import place
from hxloop_host.placing.placement import decode_first_ticks

NEURON = {
    "tau_mem_us": 6.0, "tau_syn_us": 6.0, "t_refractory_us": 1.0, "v_leak_mv": 420.0, "v_reset_mv": 420.0,
    "v_threshold_mv": 735.0, "synapse_gain_mv_per_us": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def placement():
    populations = (
        Population("single", 5, **NEURON),
        Population("pairs", 4, circuits_per_neuron=2, **NEURON),
        Population("readout", 3, spiking=False, **NEURON),
    )
    projections = (Projection(INPUT, "single", 2), Projection("single", "pairs"), Projection("pairs", "readout"))
    return place(Network(6, populations, projections), HICANN_X, nominal_boot(HICANN_X))


def test_counters_are_those_of_the_heads(placement):
    """A counter of every neuron in the order of the configuration, pairs before single ones: neuron n of p counts."""
    neurons = placement.wiring.neurons
    heads = [int(c) for c, head in zip(neurons.circuit, neurons.head, strict=True) if c == head]
    count_of = {int(c): 10 + k for k, c in enumerate(placement.circuits("single"))}
    count_of |= {int(c): 20 + k for k, c in enumerate(placement.circuits("pairs"))}
    counts = np.array([[count_of.get(h, 0) for h in heads], [2 * count_of.get(h, 0) for h in heads]], np.uint8)
    observed = replace(Observations.none(), spike_count=counts)
    assert placement.decode_counts(observed, "single").tolist() == [[10, 11, 12, 13, 14], [20, 22, 24, 26, 28]]
    assert placement.decode_counts(observed, "pairs").tolist() == [[20, 21, 22, 23], [40, 42, 44, 46]]
    assert placement.decode_counts(observed, "pairs").dtype == np.int64


def test_membranes_are_those_of_the_heads(placement):
    readout = placement.readout(membranes=("readout", "pairs"), period_us=2.0)
    assert readout.cadc_period_ticks == 250
    circuits = np.array(readout.cadc_circuits)
    assert circuits.tolist() == [*placement.circuits("readout"), *placement.circuits("pairs")]
    shuffled = Readout(cadc_circuits=tuple(int(c) for c in circuits[[5, 0, 3, 1, 6, 2, 4]]))
    for asked in (readout, shuffled):
        named = np.array(asked.cadc_circuits, np.uint8)  # circuit numbers as readings
        observed = replace(Observations.none(), cadc=np.tile(named, (2, 9, 1)))
        found = placement.decode_membranes(observed, asked, ("pairs", "readout"))
        for name in ("pairs", "readout"):
            assert found[name].shape == (2, 9, placement.network.population(name).size)
            assert (found[name] == placement.circuits(name).astype(np.uint8)).all()


def test_correlation_is_summed_over_the_rows_of_a_synapse(placement):
    """Every sensor reports the number of its weight: looked up through circuit, driver and label."""
    synapses, network = placement.wiring.synapses, placement.network
    causal, acausal = np.zeros(len(synapses.circuit)), np.zeros(len(synapses.circuit))
    first, wanted = 0, []
    for projection in network.projections:
        shape = network.weight_shape(projection)
        number = np.arange(np.prod(shape)).reshape(shape)
        for half in (0, 1):  # excitatory rows, then inhibitory ones
            part = slice(first + half * number.size, first + (half + 1) * number.size)
            assert (synapses.row[part] % 2 == half).all()
            causal[part], acausal[part] = (number % 50).ravel() + half, 100 - (number % 50).ravel()
        first += 2 * number.size
        wanted.append(np.stack([2 * (number % 50) + 1, 200 - 2 * (number % 50)]))
    observed = replace(Observations.none(), correlation=np.stack([causal, acausal]).astype(np.uint8))
    found = placement.decode_correlation(observed)
    assert len(found) == 3
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_what_is_asked_for(placement):
    assert placement.readout() == Readout(cadc_period_ticks=213)
    assert placement.readout(counters=True, correlation=True) == Readout(
        cadc_period_ticks=213, counters=True, correlation=True
    )
    assert placement.readout(membranes=("single",), period_us=1.704).cadc_period_ticks == 213
    assert placement.readout(membranes=("single",), period_us=1.7041).cadc_period_ticks == 214
    assert placement.readout(membranes=("single",), period_us=0.0).cadc_period_ticks == 213
    with pytest.raises(OutOfRangeError, match="period_us"):
        placement.readout(membranes=("single",), period_us=float("nan"))
    with pytest.raises(InvalidInputError, match="no population is called 'nobody'"):
        placement.readout(membranes=("nobody",))
    large = Network(1, (Population("p", 600, **NEURON),), ())
    with pytest.raises(DoesNotFitError, match="600 neurons, but the CADC samples 512: 88 short"):
        place(large, TEXTBOOK, nominal_boot(TEXTBOOK)).readout(membranes=("p",))


def test_what_was_not_observed_is_refused(placement):
    nothing = Observations.none()
    with pytest.raises(ArrayError, match="0 counters, but the network has 12 neurons"):
        placement.decode_counts(nothing, "single")
    with pytest.raises(ArrayError, match="0 sensors, but the network has"):
        placement.decode_correlation(nothing)
    readout = placement.readout(membranes=("single",))
    with pytest.raises(ArrayError, match="readings of 0 circuits, but 5 were asked for"):
        placement.decode_membranes(nothing, readout, ("single",))
    with pytest.raises(InvalidInputError, match="membranes of 'pairs' were not read"):
        placement.decode_membranes(replace(nothing, cadc=np.zeros((1, 2, 5), np.uint8)), readout, ("pairs",))


def test_readouts_have_no_spikes(placement):
    spikes = SpikeBatch.from_arrays([], [], [], 1)
    for ask in (
        lambda: placement.decode_spikes(spikes, "readout"),
        lambda: placement.decode_first_spikes(spikes, "readout"),
        lambda: placement.columns(["single", "readout"], None),
        lambda: placement.decode_counts(Observations.none(), "readout"),
    ):
        with pytest.raises(InvalidInputError, match="'readout' does not spike"):
            ask()


def test_dense_first_spikes_are_those_of_lists(placement):
    """Columns in the order of the configuration, or as asked for; a chip's list of the same spikes says the same."""
    g = np.random.default_rng(3)
    neurons = placement.wiring.neurons
    heads = neurons.circuit[neurons.head == neurons.circuit].astype(np.int64)
    sample, source = g.integers(0, 6, 90), g.choice(heads, 90)
    spikes = SpikeBatch.from_arrays(sample, g.integers(0, 2000, 90), source, 6)
    for asked in (None, tuple(g.permutation(heads).tolist())):
        dense = spikes.first_ticks(heads if asked is None else np.array(asked))
        for name, columns in placement.columns(["pairs", "single"], asked).items():
            ticks = decode_first_ticks(dense, columns)
            expected = np.full(ticks.shape, np.inf)
            for k, circuit, tick in zip(spikes.sample, spikes.source, spikes.tick, strict=True):
                for neuron in np.flatnonzero(placement.circuits(name) == circuit):
                    expected[k, neuron] = min(expected[k, neuron], tick)
            assert ticks.dtype == np.float64
            np.testing.assert_array_equal(ticks, expected)
            np.testing.assert_array_equal(placement.decode_first_spikes(spikes, name), expected)
