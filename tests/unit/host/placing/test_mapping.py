"""Placements against the datasheet, and against the dense weights they stand for."""

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.solving.delivery import check_equivalence, population, random_codes

from hxloop.codes import nominal
from hxloop.codes.boot import BootSettings
from hxloop.codes.capmem import Cell, QuadrantCell
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import ArrayError, DoesNotFitError, InvalidInputError, OutOfRangeError
from hxloop.network import INPUT, Network, Projection
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop.spikes import SpikeBatch
from hxloop_host.placing.mapping import place

HICANN_BOOT, TEXTBOOK_BOOT = nominal_boot(HICANN_X), nominal_boot(TEXTBOOK)


def layered(n_inputs, *sizes, copies=1, recurrent=False):
    names = [f"layer{k}" for k in range(len(sizes))]
    projections = [Projection(INPUT, names[0], copies)]
    projections += [Projection(a, b) for a, b in itertools.pairwise(names)]
    if recurrent:
        projections.append(Projection(names[0], names[0]))
    return Network(n_inputs, tuple(population(n, s) for n, s in zip(names, sizes, strict=True)), tuple(projections))


@st.composite
def networks(draw):
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    n_inputs = draw(st.integers(1, 40))
    names = [f"p{k}" for k in range(len(sizes))]
    ends = st.tuples(st.sampled_from([INPUT, *names]), st.sampled_from(names), st.integers(1, 4))
    projections = tuple(Projection(*end) for end in draw(st.lists(ends, min_size=1, max_size=5)))
    merged = draw(st.lists(st.sampled_from([None, None, 8]), min_size=len(sizes), max_size=len(sizes)))
    populations = tuple(
        population(n, s, circuits_per_neuron=m, synapse_gain_mv_per_us=0.1)
        for n, s, m in zip(names, sizes, merged, strict=True)
    )
    return Network(n_inputs, populations, projections)


@settings(max_examples=40, deadline=None)
@given(network=networks(), seed=st.integers(0, 2**31))
def test_random_networks_keep_their_weights(network, seed):
    try:
        placement = place(network, HICANN_X, HICANN_BOOT)
    except (DoesNotFitError, OutOfRangeError):
        return
    check_equivalence(placement, random_codes(network, np.random.default_rng(seed)))


@pytest.mark.parametrize(
    "network",
    [
        layered(5, 120, 3, copies=5),
        layered(20, 30, 3, recurrent=True),
        layered(4, 300, 3),
        layered(150, 60, 150, 4),
        Network(
            6,
            (population("hidden", 30), population("output", 3)),
            (
                Projection(INPUT, "hidden", 5, (0, 5)),
                Projection("hidden", "output"),
                Projection(INPUT, "output", 4, (5, 6)),
            ),
        ),
    ],
)
@pytest.mark.parametrize("spec", [HICANN_X, TEXTBOOK], ids=["hicann-x", "textbook"])
def test_typical_networks_keep_their_weights(network, spec):
    check_equivalence(place(network, spec, nominal_boot(spec)), random_codes(network, np.random.default_rng(7)))


def test_merged_mnist_network_fills_the_chip_exactly():
    network = layered(256, 246, 10)
    placement = place(network, HICANN_X, HICANN_BOOT)
    check_equivalence(placement, random_codes(network, np.random.default_rng(3)))
    config = placement.configure(random_codes(network, np.random.default_rng(3)))
    assert sorted(config.neurons.circuit.tolist()) == list(range(512))
    both = placement.allocations["layer0"].circuits
    assert (both[:, 1] == both[:, 0] + 256).all()
    assert (config.row_sign != 0).all()


def test_too_large_network_names_the_short_resource():
    with pytest.raises(DoesNotFitError, match=r"needs 560 neuron circuits .*260 x 2.*10 x 4.* has 512: 48 short"):
        place(layered(256, 260, 10), HICANN_X, HICANN_BOOT)
    with pytest.raises(DoesNotFitError, match=r"70000 input channels, but HICANN-X v3 has 65536: 4464 short"):
        place(layered(70000, 1), HICANN_X, HICANN_BOOT)
    few = Network(200, (population("p", 3, circuits_per_neuron=1),), (Projection(INPUT, "p"),))
    with pytest.raises(DoesNotFitError, match=r"need 400 synapse rows, but 1 circuits .* have 256: 144 short"):
        place(few, HICANN_X, HICANN_BOOT)


def test_too_many_sources_on_a_bus_are_counted():
    """With one event output all neurons are on bus 0, and a pair of circuits has 2 x 32 drivers there."""
    few_buses = HICANN_X.model_copy(update={"n_event_outputs": 1})
    network = layered(4, 200, 3)
    hidden, output = network.populations[0], replace(network.populations[1], synapse_gain_mv_per_us=0.2)
    network = replace(network, populations=(hidden, output))
    fixed = replace(network, populations=(hidden, replace(output, circuits_per_neuron=2)))
    with pytest.raises(
        DoesNotFitError, match=r"'layer1' from neurons on PADI bus 0 need 400 .* have 128 on it: 272 short"
    ):
        place(fixed, few_buses, HICANN_BOOT)
    grown = place(network, few_buses, HICANN_BOOT)
    assert grown.allocations["layer1"].circuits.shape == (3, 8)
    check_equivalence(grown, random_codes(network, np.random.default_rng(1)))
    with pytest.raises(DoesNotFitError, match=r"'layer1' .* need 500 .*: 244 short"):
        place(layered(4, 250, 60), few_buses, HICANN_BOOT)


def test_too_few_labels_are_counted():
    """Every driver of a hemisphere serves 4 sources at most, but 6 populations listen to different ones on each."""
    four_labels = HICANN_X.model_copy(update={"n_labels": 4})
    names = [f"p{k}" for k in range(6)]

    def network(n):
        parts = [Projection(INPUT, name, 1, (128 * k, 128 * (k + 1))) for k, name in enumerate(names[:n])]
        return Network(128 * 6, tuple(population(name, 30) for name in names[:n]), tuple(parts))

    check_equivalence(place(network(4), four_labels, HICANN_BOOT), random_codes(network(4), np.random.default_rng(1)))
    with pytest.raises(DoesNotFitError, match=r"128 signed inputs of 'p4' find no .* 4 labels .* 128 short"):
        place(network(6), four_labels, HICANN_BOOT)


def test_the_same_source_is_routed_once_for_populations_side_by_side():
    network = Network(
        9, (population("a", 5), population("b", 6)), (Projection(INPUT, "a", 2), Projection(INPUT, "b", 2))
    )
    placement = place(network, HICANN_X, HICANN_BOOT)
    check_equivalence(placement, random_codes(network, np.random.default_rng(1)))
    assert len(placement.wiring.input_routes.source) == 18


@pytest.mark.parametrize("sizes", [(256, 10), (130, 100, 50, 20), (250, 100, 10), (128, 128, 120, 60)])
def test_neurons_in_both_hemispheres_spread_over_the_buses(sizes):
    network = layered(4, *sizes)
    placement = place(network, HICANN_X, HICANN_BOOT)
    check_equivalence(placement, random_codes(network, np.random.default_rng(2)))


def test_parameter_outside_the_datasheet_is_named():
    network = Network(1, (population("p", 1, t_refractory_us=32.5),), (Projection(INPUT, "p"),))
    with pytest.raises(OutOfRangeError, match=r"p\.t_refractory_us: 32\.5 is outside 0\.04\.\.32"):
        place(network, HICANN_X, HICANN_BOOT)


def uneven_boot(seed):
    """Boot settings as a calibration leaves them: every circuit has codes of its own."""
    rng = np.random.default_rng(seed)
    n = HICANN_X.n_circuits
    one = HICANN_BOOT.of(np.arange(n, dtype=np.int16), np.arange(n, dtype=np.int16))
    spread = rng.integers(-20, 21, one.capmem_code.shape)
    spread[:, NOMINAL] = 0
    return BootSettings(HICANN_BOOT.target, replace(one, capmem_code=(one.capmem_code + spread).astype(np.int16)),
                        HICANN_BOOT.shared)  # fmt: skip


NOMINAL = [Cell.i_offset, Cell.i_exp, Cell.i_adapt_a, Cell.i_adapt_b]


def test_codes_at_the_operating_point_are_those_of_the_boot_settings():
    boot = uneven_boot(1)
    point = boot.target
    network = Network(
        3,
        (
            population("pairs", 7, v_leak_mv=point.v_leak_mv, t_refractory_us=point.t_refractory_us,
                       synapse_gain_mv_per_us=point.synapse_gain_mv_per_us / 2, circuits_per_neuron=2),
            population("single", 5, t_refractory_us=point.t_refractory_us,
                       synapse_gain_mv_per_us=point.synapse_gain_mv_per_us),
        ),
        (Projection(INPUT, "pairs"), Projection("pairs", "single")),
    )  # fmt: skip
    neurons = place(network, HICANN_X, boot).wiring.neurons
    np.testing.assert_array_equal(neurons.capmem_code, boot.neurons.capmem_code[neurons.circuit])
    np.testing.assert_array_equal(neurons.refractory_counter, boot.neurons.refractory_counter[neurons.circuit])
    np.testing.assert_array_equal(neurons.head, [*np.repeat(np.arange(7), 2), *range(7, 12)])


def test_merged_circuits_are_asked_for_as_much_more():
    """Gain of the neuron = mean over its circuits, since its membrane is theirs in parallel."""
    for merged, gain in ((1, 1.4), (2, 0.8), (4, 0.3)):
        network = Network(
            1, (population("p", 9, synapse_gain_mv_per_us=gain, circuits_per_neuron=merged),), (Projection(INPUT, "p"),)
        )
        config = place(network, HICANN_X, HICANN_BOOT).wiring
        gm_us = nominal.transconductance_us(config.neurons.capmem_code[:, [Cell.i_gm_exc, Cell.i_gm_inh]])
        step_mv = nominal.synapse_step_mv(config.shared.quadrant_code[0, QuadrantCell.i_synapse_dac])
        own = gm_us * step_mv / nominal.capacitance_pf(config.neurons.capacitance_code)[:, None]
        code = nominal.transconductance_us(1) * step_mv / nominal.capacitance_pf(63)
        assert np.abs(own / merged - gain).max() <= 0.5 * code / merged + 1e-12


def test_codes_out_of_reach_name_the_population():
    """A datasheet that promised more than its codes reach would be found out by the codes."""
    network = Network(1, (population("hidden", 3, synapse_gain_mv_per_us=6.0),), (Projection(INPUT, "hidden"),))
    promising = HICANN_X.model_copy(update={"synapse_gain_mv_per_us": (0.0, 9.0)})
    with pytest.raises(OutOfRangeError, match=r"needs the code 13\d\d, outside 0\.\.1022") as caught:
        place(network, promising, HICANN_BOOT)
    assert caught.value.field == "hidden.capmem_code[0] (i_gm_exc)"


def test_gain_of_merged_neurons_counts_every_circuit():
    network = Network(
        1, (population("p", 1, synapse_gain_mv_per_us=1.2, circuits_per_neuron=4),), (Projection(INPUT, "p"),)
    )
    with pytest.raises(OutOfRangeError, match=r"p\.synapse_gain_mv_per_us: 4\.8 is outside 0\.\.4\.7 .*4 circuits"):
        place(network, HICANN_X, HICANN_BOOT)


def test_codes_are_rounded_and_clipped_where_discrete_and_kept_where_continuous():
    network = layered(1, 5)
    codes = np.array([[62.6, -100.0, 2.4, -2.6, 0.0]])
    discrete = place(network, HICANN_X, HICANN_BOOT).configure([codes]).synapses.weight_code
    assert discrete.dtype == np.int8
    assert discrete.tolist() == [63, 0, 2, 0, 0, 0, -63, 0, -3, 0]
    continuous = place(network, TEXTBOOK, TEXTBOOK_BOOT).configure([codes / 2]).synapses.weight_code
    np.testing.assert_array_equal(continuous, [31.3, 0, 1.2, 0, 0, 0, -50, 0, -1.3, 0])
    with pytest.raises(OutOfRangeError, match="100"):
        place(network, TEXTBOOK, TEXTBOOK_BOOT).configure([codes])


def test_wrong_codes_are_refused():
    placement = place(layered(2, 3), HICANN_X, HICANN_BOOT)
    with pytest.raises(ArrayError, match="expected 1 matrices"):
        placement.configure([])
    with pytest.raises(ArrayError, match=r"needs the shape \(2, 3\), got \(3, 2\)"):
        placement.configure([np.zeros((3, 2))])
    with pytest.raises(ArrayError, match="NaN"):
        placement.configure([np.full((2, 3), np.nan)])


def test_zero_weights_have_one_hash():
    placement = place(layered(2, 3), TEXTBOOK, TEXTBOOK_BOOT)
    assert placement.configure([np.zeros((2, 3))]).sha256() == placement.configure([-np.zeros((2, 3))]).sha256()


def test_a_new_configuration_is_cheap():
    network = layered(5, 120, 3, copies=5)
    placement = place(network, HICANN_X, HICANN_BOOT)
    codes = [c * 1.0 for c in random_codes(network, np.random.default_rng(0))]
    durations = []
    for _ in range(50):
        start = time.perf_counter()
        placement.configure(codes)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 0.3e-3


def test_first_spikes_are_the_earliest_of_each_neuron():
    placement = place(layered(2, 4, 2), HICANN_X, HICANN_BOOT)
    hidden, output = placement.circuits("layer0"), placement.circuits("layer1")
    source = [hidden[3], hidden[0], hidden[3], output[1], hidden[0]]
    spikes = SpikeBatch.from_arrays([0, 0, 0, 2, 2], [9, 5, 3, 7, 1], source, 3)
    inf = np.inf
    np.testing.assert_array_equal(
        placement.decode_first_spikes(spikes, "layer0"), [[5, inf, inf, 3], [inf] * 4, [1, inf, inf, inf]]
    )
    np.testing.assert_array_equal(placement.decode_first_spikes(spikes, "layer1"), [[inf, inf], [inf, inf], [inf, 7]])
    sample, neuron, tick = placement.decode_spikes(spikes, "layer0")
    assert (sample.tolist(), neuron.tolist(), tick.tolist()) == ([0, 0, 0, 2], [3, 0, 3, 0], [3, 5, 9, 1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layered(1, 0), r"layer0\.size: must be at least 1"),
        (lambda: population("input", 1), "cannot be called 'input'"),
        (lambda: population("p", 1, circuits_per_neuron=3), "powers of two"),
        (lambda: Network(1, (population("p", 1), population("p", 2)), ()), "two populations are called 'p'"),
        (lambda: Network(1, (population("p", 1),), (Projection("q", "p"),)), r"projections\[0\].source.*'q'"),
        (lambda: Network(1, (population("p", 1),), (Projection(INPUT, "p", 0),)), "copies: must be at least 1"),
        (lambda: Network(2, (population("p", 1),), (Projection(INPUT, "p", 1, (1, 3)),)), "outside the 2 sources"),
        (lambda: place(layered(1, 2), HICANN_X, HICANN_BOOT).circuits("nobody"), "no population is called 'nobody'"),
    ],
)
def test_impossible_networks_are_refused(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()
