"""Delays in us and refractory counters, and where a placed network has its delay neurons."""

import numpy as np
import pytest

from hxloop.codes.measured_delays import MeasuredDelays
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import DoesNotFitError, InvalidInputError, OutOfRangeError
from hxloop.network import Network, Population, Projection
from hxloop.seeds import generator
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop_host.placing.mapping import place


def network(n=5, n_out=3):
    return Network(
        n, (Population("relay", n, relay=True), Population("out", n_out)),
        (
            Projection("input", "relay", mask=np.eye(n, dtype=np.bool_)),
            Projection("relay", "out", copies=2, scale_weights=30.0),
        ),
    )  # fmt: skip


def placed(spec, **sizes):
    return place(network(**sizes), spec, nominal_boot(spec))


@pytest.mark.parametrize("seed", [0, 1])
def test_nearest_counters_of_silicon(seed):
    sites, rng = placed(HICANN_X).sites[0], generator(seed, "delays")
    delays = np.diag(rng.uniform(8.4, 34.0, 5))
    counters = sites.counters(delays)
    assert np.array_equal(counters, np.rint(counters))
    there = np.eye(5, dtype=np.bool_)
    assert np.abs(sites.delays_us(counters) - delays)[there].max() <= 0.064 + 1e-9
    assert not counters[~there].any()
    assert not sites.delays_us(counters)[~there].any()


def test_delays_beyond_the_range_take_its_ends():
    sites = placed(HICANN_X).sites[0]
    counters = sites.counters(np.diag([-5.0, 8.4, 20.0, 34.0, 1e6]))
    assert counters.diagonal().tolist()[:2] == [50.0, 50.0]
    assert counters.diagonal().tolist()[3:] == [250.0, 250.0]
    low, high = sites.limits()
    assert (low.diagonal() == 8.4).all()
    assert (high.diagonal() == 34.0).all()
    assert not high[~np.eye(5, dtype=np.bool_)].any()


def test_no_rounding_on_the_textbook_chip():
    sites, delays = placed(TEXTBOOK).sites[0], np.diag([4.5, 5.14159, 8.0, 100.0, 33.3])
    np.testing.assert_allclose(sites.delays_us(sites.counters(delays)), delays, rtol=1e-12)


def test_not_a_number_is_refused():
    with pytest.raises(OutOfRangeError, match="finite"):
        placed(HICANN_X).sites[0].counters(np.full((5, 5), np.nan))


def test_a_pair_of_circuits_whose_first_one_has_the_synapse():
    place_of = placed(HICANN_X)
    delays_us = [9.0, 12.0, 16.0, 20.0, 30.0]
    config = place_of.configure([place_of.sites[0].counters(np.diag(delays_us)), np.zeros((10, 3))])
    heads = place_of.circuits("relay")
    np.testing.assert_array_equal(config.delayed, heads)
    neurons = config.neurons
    for k, head in enumerate(heads.tolist()):
        pair = neurons.head == head
        assert pair.sum() == 2
        assert len(set(neurons.refractory_counter[pair].tolist())) == 1
        assert 2.0 + 0.128 * neurons.refractory_counter[pair][0] == pytest.approx(delays_us[k], abs=0.065)
        mine = np.isin(config.synapses.circuit, neurons.circuit[pair])
        assert config.synapses.circuit[mine].tolist() == [head, head]
        assert sorted(config.synapses.weight_code[mine].tolist()) == [0, 63]


def test_too_many_are_refused_by_what_is_short():
    with pytest.raises(DoesNotFitError, match=r"129 delay neurons.*128") as caught:
        placed(HICANN_X, n=129)
    assert caught.value.field == "relay.size"
    n, parts = 290, []
    for k in range(3):
        parts.append(Population(f"relay{k}", n // 3, relay=True))
    wires = [Projection("input", p.name, part=(0, p.size), mask=np.eye(p.size, dtype=np.bool_)) for p in parts]
    with pytest.raises(DoesNotFitError, match="relay0 96 x 2, relay1 96 x 2, relay2 96 x 2"):
        place(Network(n, tuple(parts), tuple(wires)), HICANN_X, nominal_boot(HICANN_X))
    two = Network(n, tuple(parts[:2]), tuple(wires[:2]))
    assert len(place(two, HICANN_X, nominal_boot(HICANN_X)).wiring.delayed) == 192


@pytest.mark.parametrize(
    ("mask", "signs"),
    [(None, None), (np.zeros((3, 3), np.bool_), None), (np.eye(3, dtype=np.bool_), np.ones(3, np.int8))],
)
def test_a_delay_neuron_has_one_source(mask, signs):
    with pytest.raises(InvalidInputError, match="one source each") as caught:
        Network(3, (Population("relay", 3, relay=True),), (Projection("input", "relay", mask=mask, signs=signs),))
    assert caught.value.field == "relay.relay"


def test_delay_neurons_are_plain_and_spike():
    with pytest.raises(InvalidInputError, match="spiking"):
        Population("relay", 3, relay=True, spiking=False)
    assert Population("relay", 3, relay=True, tau_mem_us=3.0) == Population("relay", 3, relay=True)


def known(seed, failed=()):
    """Delays as a calibration may find them."""
    rng, shape = generator(seed, "known"), (HICANN_X.n_columns, HICANN_X.n_drivers)
    usable = np.ones(shape[0], np.bool_)
    usable[list(failed)] = False
    offset_us, step_us = rng.uniform(1.2, 3.4, shape), rng.normal(0.128, 2e-4, shape[0])
    offset_us[~usable], step_us[~usable] = np.nan, np.nan
    return MeasuredDelays(offset_us, step_us, usable)


@pytest.mark.parametrize("seed", [0, 1])
def test_counters_are_those_of_the_circuits_and_the_trigger_that_a_neuron_got(seed):
    delays, rng = known(seed, failed=(0, 2)), generator(seed, "delays")
    place_of = place(network(), HICANN_X, nominal_boot(HICANN_X), None, delays)
    sites, asked = place_of.sites[0], rng.uniform(11.0, 32.0, 5)
    counters = sites.counters(np.diag(asked))
    config = place_of.configure([counters, np.zeros((10, 3))])
    heads = place_of.circuits("relay").astype(int)
    assert not {0, 2} & set(heads.tolist())
    for k, head in enumerate(heads.tolist()):
        (row,) = config.synapses.row[(config.synapses.circuit == head) & (config.synapses.weight_code == 63)]
        (counter,) = set(config.neurons.refractory_counter[config.neurons.head == head].tolist())
        means_us = delays.offset_us[head, row // 2] + counter * delays.step_us[head]
        assert abs(means_us - asked[k]) <= 0.0645
        assert sites.delays_us(counters)[k, k] == pytest.approx(means_us, rel=1e-12)
        low, high = (limit[k, k] for limit in sites.limits())
        assert low == pytest.approx(means_us - (counter - 50) * delays.step_us[head], rel=1e-12)
        assert high == pytest.approx(means_us + (250 - counter) * delays.step_us[head], rel=1e-12)
    ends = sites.counters(np.diag([1.0, 1e3, 8.4, 34.0, 20.0])).diagonal()
    assert ends[:2].tolist() == [50.0, 250.0]
    assert 50 <= ends.min() <= ends.max() <= 250


def test_more_delay_neurons_than_pairs_with_delays_are_refused():
    delays = known(1, failed=range(4, 256))
    with pytest.raises(DoesNotFitError, match=r"needs 5 delay neurons, but 4 of 256 pairs .* 1 short") as caught:
        place(network(), HICANN_X, nominal_boot(HICANN_X), None, delays)
    assert caught.value.field == "relay"
    placed_ones = place(network(n=4), HICANN_X, nominal_boot(HICANN_X), None, delays)
    assert placed_ones.circuits("relay").tolist() == [0, 1, 2, 3]


def test_other_merged_neurons_leave_the_pairs_to_delay_neurons():
    wide = Network(
        4,
        (
            Population("wide", 3, circuits_per_neuron=4, synapse_gain_mv_per_us=0.5),
            Population("relay", 4, relay=True),
        ),
        (
            Projection("input", "wide", scale_weights=30.0),
            Projection("input", "relay", mask=np.eye(4, dtype=np.bool_)),
        ),
    )  # fmt: skip
    place_of = place(wide, HICANN_X, nominal_boot(HICANN_X), None, known(1, failed=range(4, 256)))
    assert place_of.circuits("relay").tolist() == [0, 1, 2, 3]
    assert not set((place_of.allocations["wide"].circuits % 256).ravel().tolist()) & {0, 1, 2, 3}
