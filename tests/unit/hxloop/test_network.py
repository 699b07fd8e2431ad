"""Networks made in Python: what is left out, what follows from the rest, and what is refused."""

from math import nan

import numpy as np
import pytest

import hxloop
from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.network import Network, Population, Projection


def test_a_population_has_the_published_operating_point():
    assert {p: getattr(Population("a", 3), p) for p in ("tau_mem_us", "v_leak_mv", "v_threshold_mv")} == {
        "tau_mem_us": hxloop.OperatingPoint().tau_mem_us,
        "v_leak_mv": 420.0,
        "v_threshold_mv": 735.0,
    }


def test_gains_make_model_weights_mean_what_they_should():
    """One event through a model weight of 1 begins to lift the membrane by 1 / tau_syn of the model's units."""
    network = Network(
        2,
        (Population("a", 3, tau_syn_us=4.0, model_threshold=2.0), Population("b", 2, synapse_gain_mv_per_us=0.7)),
        (Projection("input", "a", scale_weights=30.0), Projection("a", "b", scale_weights=9.0)),
    )
    a, b = network.populations
    assert a.synapse_gain_mv_per_us * 30.0 == pytest.approx((735.0 - 420.0) / 2.0 / 4.0)
    assert b.synapse_gain_mv_per_us == 0.7
    assert network.population("a") is a


def test_projections_onto_a_population_share_its_gain():
    parts = (Projection("input", "a", scale_weights=30.0), Projection("a", "a", scale_weights=20.0))
    with pytest.raises(
        InvalidInputError, match="20 weight codes per unit, but another projection onto 'a' has 30"
    ) as at:
        Network(2, (Population("a", 3),), parts)
    assert at.value.field == "projections[1].scale_weights"
    with pytest.raises(InvalidInputError, match=r"a\.v_threshold_mv: 400 mV is not above v_leak_mv = 420"):
        Network(2, (Population("a", 3, v_threshold_mv=400.0),), parts[:1])


def test_weights_stay_within_masks_and_signs():
    mask = np.array([[True, False], [True, True], [False, False]])
    network = Network(3, (Population("a", 2),), (Projection("input", "a", 2, mask=mask, signs=[1, -1, 1]),))
    projection = network.projections[0]
    low, high = network.limits(projection, 63)
    assert low.tolist() == [[0, 0]] * 2 + [[-63, -63]] * 2 + [[0, 0]] * 2
    assert high.tolist() == [[63, 0]] * 2 + [[0, 0]] * 4
    assert (network.n_rows(projection), network.fan_in("a"), network.synapse_rows("a")) == (4, 4, 4)
    assert network.connected(projection).sum() == 6


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Population("", 1), "population.name"),
        (lambda: Population(3, 1), "population.name"),
        (lambda: Population("a", 2.5), "a.size"),
        (lambda: Population("a", True), "a.size"),
        (lambda: Population("a", 0), "a.size"),
        (lambda: Population("a", 1, tau_mem_us=nan), "a.tau_mem_us"),
        (lambda: Population("a", 1, v_leak_mv="420"), "a.v_leak_mv"),
        (lambda: Population("a", 1, spiking=1), "a.spiking"),
        (lambda: Population("a", 1, model_threshold=0.0), "a.model_threshold"),
        (lambda: Population("a", 1, circuits_per_neuron=6), "a.circuits_per_neuron"),
        (lambda: Population("a", 1, circuits_per_neuron=2.0), "a.circuits_per_neuron"),
        (lambda: Projection("", "a"), "source"),
        (lambda: Projection("input", None), "target"),
        (lambda: Projection("input", "a", 1.5), "copies"),
        (lambda: Projection("input", "a", part=(1,)), "part"),
        (lambda: Projection("input", "a", part=(1.5, 2)), "part[0]"),
        (lambda: Projection("input", "a", scale_weights=0.0), "scale_weights"),
        (lambda: Projection("input", "a", scale_weights=nan), "scale_weights"),
        (lambda: Projection("input", "a", init_std=-1.0), "init_std"),
        (lambda: Projection("input", "a", mask=[[1, 0]]), "mask"),
        (lambda: Projection("input", "a", mask=[True]), "mask"),
        (lambda: Projection("input", "a", signs=[1, 0]), "signs"),
        (lambda: Projection("input", "a", signs=[1.5]), "signs[0]"),
        (lambda: Network(2.5, (Population("a", 1),), ()), "n_inputs"),
        (lambda: Network(-1, (Population("a", 1),), ()), "n_inputs"),
        (lambda: Network(1, ("a",), ()), "populations[0]"),
        (lambda: Network(1, (Population("a", 1),), ("input->a",)), "projections[0]"),
        (lambda: Network(2, (Population("a", 1),), (Projection("input", "a", signs=[1]),)), "projections[0].signs"),
        (lambda: Network(2, (Population("a", 1),), (Projection("input", "a", mask=[[True]]),)), "projections[0].mask"),
        (lambda: Network(1, (Population("a", 1, spiking=False),), (Projection("a", "a"),)), "projections[0].source"),
    ],
)
def test_what_is_refused(make, field):
    with pytest.raises((InvalidInputError, OutOfRangeError, ArrayError)) as error:
        make()
    assert error.value.field == field


def test_lists_and_numbers_of_numpy_are_taken():
    network = Network(
        np.int64(2), [Population("a", np.int8(2))], [Projection("input", "a", np.uint8(2), part=np.array([0, 2]))]
    )
    assert (type(network.n_inputs), type(network.populations[0].size)) == (int, int)
    assert network.projections[0].part == (0, 2)
