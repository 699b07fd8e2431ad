"""Placements against the datasheet, and against the dense weights they stand for."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.mapping import Placement, place
from host.network import INPUT, Network, Population, Projection
from hxloop.errors import ArrayError, DoesNotFitError, InvalidInputError, OutOfRangeError
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop.spikes import SpikeBatch


def population(name, size, **changes):
    values = {
        "tau_mem_us": 6.0, "tau_syn_us": 6.0, "t_refractory_us": 1.0, "v_leak_mv": 360.0, "v_reset_mv": 360.0,
        "v_threshold_mv": 675.0, "synapse_gain_mv_per_us": 1.0,
    }  # fmt: skip
    return Population(name, size, **(values | changes))


def layered(n_inputs, *sizes, copies=1, recurrent=False):
    names = [f"layer{k}" for k in range(len(sizes))]
    projections = [Projection(INPUT, names[0], copies)]
    projections += [Projection(a, b) for a, b in itertools.pairwise(names)]
    if recurrent:
        projections.append(Projection(names[0], names[0]))
    return Network(n_inputs, tuple(population(n, s) for n, s in zip(names, sizes, strict=True)), tuple(projections))


def random_codes(network, rng):
    return [rng.integers(-63, 64, network.weight_shape(p)) for p in network.projections]


def check_datasheet(config, spec):
    """What the chip would refuse, checked entry by entry."""
    circuits = config.neurons.circuit.tolist()
    assert len(set(circuits)) == len(circuits)
    assert min(circuits) >= 0
    assert max(circuits) < spec.n_circuits
    assert set(config.neurons.head.tolist()) <= set(circuits)
    assert config.row_sign.shape == (spec.n_hemispheres, spec.n_rows)
    seen = set()
    synapses = config.synapses
    for circuit, row, label, code in zip(
        synapses.circuit.tolist(), synapses.row.tolist(), synapses.label.tolist(), synapses.weight_code.tolist(),
        strict=True,
    ):  # fmt: skip
        assert (circuit, row) not in seen
        seen.add((circuit, row))
        assert circuit in circuits or len(circuits) > 600
        assert 0 <= row < spec.n_rows
        assert label < spec.n_labels
        assert abs(code) <= spec.weight_code_max
        sign = config.row_sign[circuit // spec.n_columns, row]
        assert sign != 0
        assert code * sign >= 0
    for routes, n_sources in ((config.input_routes, spec.n_input_channels), (config.neuron_routes, spec.n_circuits)):
        entries = list(
            zip(routes.source.tolist(), routes.hemisphere.tolist(), routes.row.tolist(), routes.label.tolist(),
                strict=True)
        )  # fmt: skip
        assert len(set(entries)) == len(entries)
        assert all(0 <= source < n_sources and label < spec.n_labels for source, _, _, label in entries)


def effective_weights(config, spec, heads, sources, routes):
    """float64 [sources, heads]: what one event of each source adds, followed through routes, rows and labels."""
    by_place = {}
    neurons, synapses = config.neurons, config.synapses
    head_of = dict(zip(neurons.circuit.tolist(), neurons.head.tolist(), strict=True))
    merged = {h: list(head_of.values()).count(h) for h in set(head_of.values())}
    gain = dict(zip(neurons.circuit.tolist(), neurons.synapse_gain_mv_per_us.tolist(), strict=True))
    for circuit, row, label, code in zip(
        synapses.circuit.tolist(), synapses.row.tolist(), synapses.label.tolist(), synapses.weight_code.tolist(),
        strict=True,
    ):  # fmt: skip
        sign = int(config.row_sign[circuit // spec.n_columns, row])
        head = head_of[circuit]
        effect = (head, sign * abs(code) * gain[circuit] / merged[head])
        by_place.setdefault((circuit // spec.n_columns, row, label), []).append(effect)
    total = np.zeros((len(sources), len(heads)))
    row_of_source = {s: k for k, s in enumerate(sources)}
    column = {h: k for k, h in enumerate(heads)}
    for source, hemisphere, row, label in zip(
        routes.source.tolist(), routes.hemisphere.tolist(), routes.row.tolist(), routes.label.tolist(), strict=True
    ):
        if source not in row_of_source:
            continue
        for head, effect in by_place.get((hemisphere, row, label), []):
            if head in column:
                total[row_of_source[source], column[head]] += effect
    return total


def expected_weights(network, codes, source, target):
    gain = network.population(target).synapse_gain_mv_per_us
    total = np.zeros((network.source_size(source), network.population(target).size))
    for projection, matrix in zip(network.projections, codes, strict=True):
        if (projection.source, projection.target) == (source, target):
            first, last = network.sources(projection)
            total[first:last] += matrix.reshape(last - first, projection.copies, -1).sum(axis=1) * gain
    return total


def check_equivalence(placement: Placement, codes):
    config = placement.configure(codes)
    spec, network = placement.spec, placement.network
    check_datasheet(config, spec)
    for source in (INPUT, *(p.name for p in network.populations)):
        is_input = source == INPUT
        sources = list(range(network.n_inputs)) if is_input else placement.circuits(source).tolist()
        routes = config.input_routes if is_input else config.neuron_routes
        for target in network.populations:
            found = effective_weights(config, spec, placement.circuits(target.name).tolist(), sources, routes)
            np.testing.assert_allclose(found, expected_weights(network, codes, source, target.name), atol=1e-12)


@st.composite
def networks(draw):
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    n_inputs = draw(st.integers(1, 40))
    names = [f"p{k}" for k in range(len(sizes))]
    ends = st.tuples(st.sampled_from([INPUT, *names]), st.sampled_from(names), st.integers(1, 4))
    projections = tuple(Projection(*end) for end in draw(st.lists(ends, min_size=1, max_size=5)))
    merged = draw(st.lists(st.sampled_from([None, None, 8]), min_size=len(sizes), max_size=len(sizes)))
    populations = tuple(
        population(n, s, circuits_per_neuron=m, synapse_gain_mv_per_us=0.5)
        for n, s, m in zip(names, sizes, merged, strict=True)
    )
    return Network(n_inputs, populations, projections)


@settings(max_examples=40, deadline=None)
@given(network=networks(), seed=st.integers(0, 2**31))
def test_random_networks_keep_their_weights(network, seed):
    try:
        placement = place(network, HICANN_X)
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
    check_equivalence(place(network, spec), random_codes(network, np.random.default_rng(7)))


def test_merged_mnist_network_fills_the_chip_exactly():
    network = layered(256, 246, 10)
    placement = place(network, HICANN_X)
    check_equivalence(placement, random_codes(network, np.random.default_rng(3)))
    config = placement.configure(random_codes(network, np.random.default_rng(3)))
    assert sorted(config.neurons.circuit.tolist()) == list(range(512))
    both = placement.allocations["layer0"].circuits
    assert (both[:, 1] == both[:, 0] + 256).all()
    assert (config.row_sign != 0).all()


def test_too_large_network_names_the_short_resource():
    with pytest.raises(DoesNotFitError, match=r"needs 560 neuron circuits .*260 x 2.*10 x 4.* has 512: 48 short"):
        place(layered(256, 260, 10), HICANN_X)
    with pytest.raises(DoesNotFitError, match=r"70000 input channels, but HICANN-X v3 has 65536: 4464 short"):
        place(layered(70000, 1), HICANN_X)
    few = Network(200, (population("p", 3, circuits_per_neuron=1),), (Projection(INPUT, "p"),))
    with pytest.raises(DoesNotFitError, match=r"need 400 synapse rows, but 1 circuits .* have 256: 144 short"):
        place(few, HICANN_X)
    many = Network(1, tuple(population(f"p{k}", 1) for k in range(65)), (Projection(INPUT, "p0"),))
    with pytest.raises(DoesNotFitError, match=r"needs 65 synapse labels .* has 64: 1 short"):
        place(many, HICANN_X)


def test_parameter_outside_the_datasheet_is_named():
    network = Network(1, (population("p", 1, t_refractory_us=32.5),), (Projection(INPUT, "p"),))
    with pytest.raises(OutOfRangeError, match=r"p\.t_refractory_us: 32\.5 is outside 0\.04\.\.32"):
        place(network, HICANN_X)


def test_codes_are_rounded_and_clipped_where_discrete_and_kept_where_continuous():
    network = layered(1, 5)
    codes = np.array([[62.6, -100.0, 2.4, -2.6, 0.0]])
    discrete = place(network, HICANN_X).configure([codes]).synapses.weight_code
    assert discrete.dtype == np.int8
    assert discrete.tolist() == [63, 0, 2, 0, 0, 0, -63, 0, -3, 0]
    continuous = place(network, TEXTBOOK).configure([codes / 2]).synapses.weight_code
    np.testing.assert_array_equal(continuous, [31.3, 0, 1.2, 0, 0, 0, -50, 0, -1.3, 0])
    with pytest.raises(OutOfRangeError, match="100"):
        place(network, TEXTBOOK).configure([codes])


def test_wrong_codes_are_refused():
    placement = place(layered(2, 3), HICANN_X)
    with pytest.raises(ArrayError, match="expected 1 matrices"):
        placement.configure([])
    with pytest.raises(ArrayError, match=r"needs the shape \(2, 3\), got \(3, 2\)"):
        placement.configure([np.zeros((3, 2))])
    with pytest.raises(ArrayError, match="NaN"):
        placement.configure([np.full((2, 3), np.nan)])


def test_zero_weights_have_one_hash():
    placement = place(layered(2, 3), TEXTBOOK)
    assert placement.configure([np.zeros((2, 3))]).sha256() == placement.configure([-np.zeros((2, 3))]).sha256()


def test_a_new_configuration_is_cheap():
    network = layered(5, 120, 3, copies=5)
    placement = place(network, HICANN_X)
    codes = [c * 1.0 for c in random_codes(network, np.random.default_rng(0))]
    durations = []
    for _ in range(50):
        start = time.perf_counter()
        placement.configure(codes)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 0.3e-3


def test_first_spikes_are_the_earliest_of_each_neuron():
    placement = place(layered(2, 4, 2), HICANN_X)
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
        (lambda: layered(1, 0), "at least one neuron"),
        (lambda: population("input", 1), "cannot be called 'input'"),
        (lambda: population("p", 1, circuits_per_neuron=3), "powers of two"),
        (lambda: Network(1, (population("p", 1), population("p", 2)), ()), "two populations are called 'p'"),
        (lambda: Network(1, (population("p", 1),), (Projection("q", "p"),)), r"projections\[0\].source.*'q'"),
        (lambda: Network(1, (population("p", 1),), (Projection(INPUT, "p", 0),)), "at least one copy"),
        (lambda: Network(2, (population("p", 1),), (Projection(INPUT, "p", 1, (1, 3)),)), "outside the 2 sources"),
        (lambda: place(layered(1, 2), HICANN_X).circuits("nobody"), "no population is called 'nobody'"),
    ],
)
def test_impossible_networks_are_refused(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()
