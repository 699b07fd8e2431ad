"""Networks of settings against what settings say, and against the wiring of before."""

import numpy as np
import pytest

from hxloop.codes.operating_point import nominal_boot
from hxloop.network import INPUT
from hxloop.spec import HICANN_X
from hxloop_host.network import layers
from hxloop_host.network.building import build_network
from hxloop_host.placing.mapping import place
from hxloop_host.settings.experiment_settings import PRESETS, load_settings


@pytest.mark.parametrize("preset", PRESETS)
def test_layers_are_wired_as_before(preset):
    settings = load_settings(preset)
    network = build_network(settings, 4)
    before = layers.build_network(settings, layers.build_layers(settings, 4))
    for one, other in zip(network.projections, before.projections, strict=True):
        assert (one.source, one.target, one.copies, one.part) == (other.source, other.target, other.copies, other.part)
    boot = nominal_boot(HICANN_X)
    assert place(network, HICANN_X, boot).wiring.sha256() == place(before, HICANN_X, boot).wiring.sha256()


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
