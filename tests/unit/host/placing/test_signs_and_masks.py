"""Sources with a sign take one synapse row, weights that do not exist take none, and the rest stays as it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.solving.delivery import check_equivalence, population, random_codes

from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import DoesNotFitError, OutOfRangeError
from hxloop.network import INPUT, Network, Projection
from hxloop.result import Observations
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop_host.placing.mapping import place
from hxloop_host.placing.placement_picture import synapse_map
from hxloop_host.placing.placement_table import population_uses

BOOT = nominal_boot(HICANN_X)


def signs(*counts):
    """So many sources with sign 1, so many with sign -1, and so on."""
    return np.concatenate([np.full(n, 1 - 2 * (k % 2), np.int8) for k, n in enumerate(counts)])


def placed(network, seed=1, spec=HICANN_X):
    placement = place(network, spec, nominal_boot(spec))
    check_equivalence(placement, random_codes(network, np.random.default_rng(seed)))
    return placement


def single(name, size, **changes):
    return population(name, size, circuits_per_neuron=1, **changes)


@pytest.mark.parametrize("counts", [(256,), (0, 256), (128, 128), (200, 56), (37, 219), (100, 100, 56)])
def test_a_circuit_takes_256_inputs_with_a_sign(counts):
    """Twice the fan-in: with an excitatory and an inhibitory row each, 128 would fit."""
    network = Network(256, (single("p", 9),), (Projection(INPUT, "p", signs=signs(*counts)),))
    config = placed(network).wiring
    used = np.unique(config.synapses.row[config.synapses.circuit < 256])
    assert len(used) == 256
    assert len(config.synapses.row) == 256 * 9
    assert int((config.row_sign[0] == 1).sum()) == int((signs(*counts) == 1).sum())
    assert (config.row_sign[1] == 0).all()


def test_one_input_more_merges_circuits_or_is_refused():
    projections = (Projection(INPUT, "p", signs=signs(200, 57)),)
    with pytest.raises(DoesNotFitError, match=r"'p' need 257 synapse rows, but 1 circuits .* have 256: 1 short"):
        place(Network(257, (single("p", 3),), projections), HICANN_X, BOOT)
    grown = placed(Network(257, (population("p", 3),), projections))
    assert grown.allocations["p"].circuits.shape == (3, 2)


@pytest.mark.parametrize(
    ("merged", "counts", "unsigned"),
    [(2, (300, 212), 0), (2, (512,), 0), (4, (800, 224), 0), (4, (100, 300), 312), (8, (2000, 48), 0)],
)
def test_merged_circuits_take_as_many_each(merged, counts, unsigned):
    total = sum(counts)
    projections = [Projection(INPUT, "p", 1, (0, total), signs=signs(*counts))]
    if unsigned:
        projections.append(Projection(INPUT, "p", 1, (total, total + unsigned)))
    wide = population("p", 3, circuits_per_neuron=merged, synapse_gain_mv_per_us=0.1)
    config = placed(Network(total + unsigned, (wide,), tuple(projections))).wiring
    assert len(config.synapses.row) == 3 * merged * 256


def test_copies_of_a_source_have_rows_of_their_own():
    network = Network(50, (single("p", 4),), (Projection(INPUT, "p", 5, signs=signs(20, 30)),))
    assert len(np.unique(placed(network).wiring.synapses.row)) == 250


def test_neurons_with_a_sign_reach_twice_as_many_neurons():
    """64 neurons on each bus: 64 rows, where 32 inputs without a sign would fill the bus."""
    for counts in ((256,), (128, 128), (180, 76)):
        network = Network(
            1,
            (population("hidden", 256), single("output", 40)),
            (Projection(INPUT, "hidden"), Projection("hidden", "output", signs=signs(*counts))),
        )
        config = placed(network).wiring
        output = config.synapses.circuit[config.synapses.circuit >= 256]
        assert len(output) == 256 * 40
    with pytest.raises(DoesNotFitError, match=r"'output' need 512 synapse rows, but 1 circuits .* 256 short"):
        plain = (Projection(INPUT, "hidden"), Projection("hidden", "output"))
        place(Network(1, network.populations, plain), HICANN_X, BOOT)


def test_balanced_recurrent_network_with_a_readout_of_both_signs():
    """4 : 1 excitatory and inhibitory neurons, all with one another, and a readout that weighs each both ways."""
    populations = (single("exc", 96), single("inh", 24), single("readout", 10, spiking=False))
    projections = (
        Projection(INPUT, "exc", 1, signs=np.ones(40, np.int8)),
        *(Projection("exc", to, 1, signs=np.ones(96, np.int8)) for to in ("exc", "inh")),
        *(Projection("inh", to, 1, signs=-np.ones(24, np.int8)) for to in ("exc", "inh")),
        Projection("exc", "readout"),
    )
    uses = {use.name: use for use in population_uses(placed(Network(40, populations, projections)))}
    assert uses["exc"].synapses == 96 * (40 + 96 + 24)
    assert uses["readout"].synapses == 10 * 2 * 96


def test_inputs_with_and_without_a_sign_share_a_circuit_to_the_last_row():
    """The rows of neurons with signs lie on both rows of a driver, or whole drivers for the rest would not be left."""
    populations = (population("hidden", 64), single("output", 5))
    projections = (
        Projection(INPUT, "hidden", 1, (0, 1)),
        Projection("hidden", "output", signs=signs(64)),
        Projection(INPUT, "output", 1, (0, 96)),
    )
    config = placed(Network(96, populations, projections)).wiring
    mine = np.isin(config.synapses.circuit, np.arange(64, 69))
    assert len(np.unique(config.synapses.row[mine])) == 256


def test_rows_that_must_have_both_signs_are_refused_by_name():
    """256 excitatory rows for one population leave no inhibitory row to the neurons beside it."""
    populations = (single("first", 3), single("second", 3))
    projections = (Projection(INPUT, "first", signs=signs(256)), Projection(INPUT, "second", 1, (0, 2)))
    with pytest.raises(DoesNotFitError, match=r"inputs of 'first' find no synapse row with their sign.* 2 short") as at:
        place(Network(256, populations, projections), HICANN_X, BOOT)
    assert at.value.field == "first"


@st.composite
def networks(draw):
    sizes = draw(st.lists(st.integers(1, 60), min_size=1, max_size=4))
    n_inputs = draw(st.integers(1, 90))
    names = [f"p{k}" for k in range(len(sizes))]
    size_of = dict(zip(names, sizes, strict=True)) | {INPUT: n_inputs}
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    projections = []
    for _ in range(draw(st.integers(1, 6))):
        source, target = draw(st.sampled_from([INPUT, *names])), draw(st.sampled_from(names))
        mask = rng.random((size_of[source], size_of[target])) < draw(st.sampled_from([0.0, 0.1, 0.7]))
        one = np.where(rng.random(size_of[source]) < draw(st.sampled_from([0.0, 0.2, 1.0])), -1, 1).astype(np.int8)
        projections.append(
            Projection(
                source, target, draw(st.integers(1, 4)), mask=mask if draw(st.booleans()) else None,
                signs=one if draw(st.booleans()) else None,
            )
        )  # fmt: skip
    merged = draw(st.lists(st.sampled_from([None, None, 1, 8]), min_size=len(sizes), max_size=len(sizes)))
    populations = tuple(
        population(n, s, circuits_per_neuron=m, synapse_gain_mv_per_us=0.1)
        for n, s, m in zip(names, sizes, merged, strict=True)
    )
    return Network(n_inputs, populations, tuple(projections))


@settings(max_examples=30, deadline=None)
@given(network=networks(), spec=st.sampled_from([HICANN_X, TEXTBOOK]))
def test_random_networks_keep_their_weights(network, spec):
    try:
        placement = place(network, spec, nominal_boot(spec))
    except (DoesNotFitError, OutOfRangeError):
        return
    check_equivalence(placement, random_codes(network, np.random.default_rng(3)))


def test_synapses_outside_a_mask_do_not_exist():
    mask = np.zeros((6, 4), np.bool_)
    mask[[0, 0, 2, 5], [0, 3, 1, 3]] = True
    network = Network(6, (population("p", 4),), (Projection(INPUT, "p", 2, mask=mask),))
    placement = placed(network)
    assert len(placement.wiring.synapses.row) == 4 * 2 * 2
    assert len(np.unique(placement.wiring.synapses.row)) == 3 * 2 * 2  # sources 1, 3 and 4 take no driver
    assert int((synapse_map(placement) > 0).sum()) == 16
    assert population_uses(placement)[0].inputs == 6
    with pytest.raises(OutOfRangeError, match=r"weight_codes\[0\]\[2,0\]: 7 is outside the mask of input->p"):
        placement.configure([np.eye(12, 4, -2) * 7])


def test_sources_that_a_mask_leaves_out_take_no_rows():
    mask = np.ones((400, 3), np.bool_)
    mask[128:] = False
    network = Network(400, (single("p", 3),), (Projection(INPUT, "p", mask=mask),))
    assert len(np.unique(placed(network).wiring.synapses.row)) == 256


def test_weights_against_the_sign_of_their_source_are_refused():
    network = Network(3, (population("p", 2),), (Projection(INPUT, "p", signs=signs(2, 1)),))
    placement = place(network, HICANN_X, BOOT)
    with pytest.raises(OutOfRangeError, match=r"weight_codes\[0\]\[2,1\]: 3 is against the sign of its source"):
        placement.configure([[[1, 0], [0, 5], [-1, 3]]])


def test_correlation_goes_back_through_masks_and_signs():
    rng = np.random.default_rng(4)
    mask = rng.random((7, 5)) < 0.5
    network = Network(
        7, (population("p", 5),), (Projection(INPUT, "p", 2, mask=mask, signs=signs(4, 3)), Projection("p", "p"))
    )
    placement = place(network, HICANN_X, BOOT)
    codes = [np.abs(c) for c in random_codes(network, rng)]
    one_sign = codes[0] * np.repeat(signs(4, 3), 2)[:, None]
    shown = np.abs(placement.configure([one_sign, codes[1]]).synapses.weight_code)
    observed = Observations.none()
    vars(observed)["correlation"] = np.stack([shown, 2 * shown]).astype(np.uint8)
    for found, wanted in zip(placement.decode_correlation(observed), codes, strict=True):
        np.testing.assert_array_equal(found, np.stack([wanted, 2 * wanted]))


def test_more_circuits_are_merged_where_rows_have_the_wrong_signs():
    """The same where neurons may have more circuits: those in the other hemisphere have rows of other signs."""
    populations = (
        population("first", 3, synapse_gain_mv_per_us=0.1), population("second", 3, synapse_gain_mv_per_us=0.1)
    )  # fmt: skip
    projections = (Projection(INPUT, "first", signs=signs(256)), Projection(INPUT, "second", 1, (0, 2)))
    placement = placed(Network(256, populations, projections))
    assert placement.allocations["first"].circuits.shape[1] == 2
