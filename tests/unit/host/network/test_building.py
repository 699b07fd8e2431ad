"""Networks of settings against what settings say."""

import numpy as np
import pytest
from support import own_network

from hxloop.errors import InvalidInputError
from hxloop.network import INPUT
from hxloop.seeds import generator
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import load_settings


def test_layers_say_what_rules_ask():
    settings = load_settings("paper")
    network = build_network(settings, 4)
    assert (network.n_inputs, network.n_features, network.n_outputs, network.output) == (5, 4, 3, "output")
    np.testing.assert_allclose(network.bias_times_us, [0.9 * 6.0])
    assert [p.name for p in network.projections] == ["hidden", "hidden_bias", "output"]
    assert [(p.source, p.part) for p in network.projections] == [(INPUT, (0, 4)), (INPUT, (4, 5)), ("hidden", None)]
    assert [(p.init_mean, p.init_std) for p in network.projections] == [(0.10, 0.12)] * 2 + [(0.075, 0.15)]
    for projection in network.projections:
        target = network.population(projection.target)
        # A model weight of 1 moves the membrane with the slope 1 / tau_syn in units of the model.
        mv_per_unit = (target.v_threshold_mv - target.v_leak_mv) / target.model_threshold
        slope = target.synapse_gain_mv_per_us * projection.scale_weights
        np.testing.assert_allclose(slope, mv_per_unit / target.tau_syn_us)


def projection(network, name):
    return next(p for p in network.projections if p.name == name)


def test_populations_have_their_own_parameters():
    network = build_network(own_network.settings(), 4)
    exc, inh, answer = network.populations
    neuron = own_network.settings().neuron
    assert (exc.tau_mem_us, exc.tau_syn_us, exc.t_refractory_us, exc.v_threshold_mv) == (10.0, 6.0, 2.0, 735.0)
    assert (inh.tau_mem_us, inh.tau_syn_us, inh.t_refractory_us, inh.v_threshold_mv) == (5.0, 3.0, 1.0, 700.0)
    assert (answer.spiking, answer.tau_mem_us, answer.v_leak_mv) == (False, 20.0, neuron.v_leak_mv)
    assert [p.spiking for p in (exc, inh)] == [True, True]
    for population in network.populations:
        mv_per_unit = (population.v_threshold_mv - population.v_leak_mv) / population.model_threshold
        slope = population.synapse_gain_mv_per_us * neuron.scale_weights
        np.testing.assert_allclose(slope, mv_per_unit / population.tau_syn_us)


def test_inputs_and_biases_are_channels():
    network = build_network(own_network.settings(), 4)
    assert (network.n_inputs, network.n_features, network.bias_times_us) == (5, 4, (5.4,))
    assert projection(network, "input->exc").part == (0, 4)
    assert (projection(network, "bias->exc").source, projection(network, "bias->exc").part) == (INPUT, (4, 5))
    assert (network.output, network.n_outputs) == ("answer", 3)


def test_masks_depend_on_their_seed_and_place_alone():
    network = build_network(own_network.settings(), 4)
    mask = projection(network, "exc->exc").mask
    assert mask.shape == (64, 64)
    assert not np.diagonal(mask).any()
    assert 0.25 < mask.mean() < 0.35
    np.testing.assert_array_equal(projection(build_network(own_network.settings(), 9), "exc->exc").mask, mask)
    other = build_network(own_network.settings(own_network.NETWORK.replace("seed = 7", "seed = 8")), 4)
    assert (projection(other, "exc->exc").mask != mask).any()
    assert projection(network, "exc->inh").mask is None


def test_signs_are_those_of_the_sources():
    text = own_network.NETWORK.replace('sign = "inhibitory"', 'sign = "dale"\ninhibitory = 0.25')
    network = build_network(own_network.settings(text), 4)
    assert projection(network, "inh->exc").signs.tolist() == [1] * 12 + [-1] * 4
    assert projection(network, "exc->inh").signs.tolist() == [1] * 64
    assert projection(network, "exc->answer").signs is None


def test_pairs_and_signs_may_be_written_down():
    small = """
[network]
populations = [{name = "a", size = 3}, {name = "b", size = 2}]

[[network.projections]]
source = "input"
target = "a"
part = [1, 3]
connected = ["101", "010"]
init_std = 0.1

[[network.projections]]
source = "a"
target = "b"
part = [0, 2]
signs = "-+"
init_std = 0.1
"""
    network = build_network(own_network.settings(small, 2), 4)
    first, second = network.projections
    assert (first.part, first.mask.tolist()) == ((1, 3), [[True, False, True], [False, True, False]])
    assert (second.part, second.signs.tolist()) == ((0, 2), [-1, 1])
    assert network.fan_in("b") == 2
    for old, new, field in (
        ("part = [1, 3]", "part = [1, 5]", "0.part"),
        ("part = [1, 3]", "part = [3, 3]", "0.part"),
        ("part = [0, 2]", "part = [0, 4]", "1.part"),
        ('["101", "010"]', '["101", "01"]', "0.connected"),
        ('["101", "010"]', '["101"]', "0.connected"),
        ('signs = "-+"', 'signs = "-+-"', "1.signs"),
    ):
        with pytest.raises(InvalidInputError) as error:
            build_network(own_network.settings(small.replace(old, new), 2), 4)
        assert error.value.field == f"network.projections.{field}"


def test_initial_weights_are_those_that_may_be():
    network = build_network(own_network.settings(), 4)
    for k, one in enumerate(network.projections):
        weights = network.initial_weights(one, generator(1, "weights", k))
        low, high = network.limits(one, 63)
        assert ((weights >= low) & (weights <= high)).all(), one.name
    inhibitory = network.initial_weights(projection(network, "inh->exc"), generator(1, "weights", 4))
    assert -0.11 < inhibitory.mean() < -0.09


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ('source = "bias"', 'scale_weights = 20.0\nsource = "bias"', "network.projections.1.scale_weights",
         "another projection onto 'exc' has 30: neurons have one synaptic gain"),
        ("v_threshold_mv = 700.0", "v_threshold_mv = 400.0", "network.populations.1.v_threshold_mv", "v_leak_mv = 420"),
        ("v_threshold_mv = 700.0", "v_reset_mv = 800.0", "network.populations.1.v_threshold_mv", "v_reset_mv = 800"),
        ('target = "inh"', 'target = "inh"\nmask = "one_to_one"', "network.projections.3.mask",
         "'exc' has 64 and 'inh' has 16"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(old, new, field, message):
    with pytest.raises(InvalidInputError, match=message) as error:
        build_network(own_network.settings(own_network.NETWORK.replace(old, new)), 4)
    assert error.value.field == field


def test_what_is_larger_than_any_chip_is_refused_before_it_is_made():
    text = own_network.NETWORK.replace("size = 64", "size = 1000000")
    with pytest.raises(InvalidInputError, match="1000000000000 pairs, more than") as error:
        build_network(own_network.settings(text), 4)
    assert error.value.field == "network.projections.2"
    with pytest.raises(InvalidInputError, match=r"network\.projections\.0: .* pairs, more than"):
        build_network(own_network.settings(), 10**15)


def test_one_weight_scale_of_all_projections_onto_a_population():
    text = own_network.NETWORK.replace('target = "answer"', 'target = "answer"\nscale_weights = 60.0')
    network = build_network(own_network.settings(text), 4)
    answer, one = network.population("answer"), projection(network, "exc->answer")
    mv_per_unit = (735.0 - 420.0) / answer.model_threshold
    assert one.scale_weights == 60.0
    np.testing.assert_allclose(answer.synapse_gain_mv_per_us, mv_per_unit / (60.0 * 6.0))
