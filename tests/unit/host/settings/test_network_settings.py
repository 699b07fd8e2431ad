"""Section [network]: which form it has, and what is refused by the name of the field."""

import re

import pytest
from support.own_network import NETWORK, settings, settings_text

from hxloop.errors import InvalidInputError, UnknownKeyError
from hxloop.files.toml import load_toml
from hxloop_host.settings.experiment_settings import PRESETS, Settings, load_settings
from hxloop_host.settings.network_settings import (
    LayeredNetwork,
    NetworkSettings,
    PopulationNetwork,
    PopulationSettings,
    ProjectionSettings,
)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_have_a_hidden_layer_and_an_output(preset):
    settings = load_settings(preset)
    network = settings.network
    # Readouts that do not spike, loops, delays and other refractory periods are what layers do not have.
    layered = settings.rule.kind == "fast_and_deep" or preset == "yin_yang_eventprop"
    assert isinstance(network, LayeredNetwork if layered else PopulationNetwork)
    delays = [p.name for p in getattr(network, "populations", ()) if p.relay]
    hidden = ["first", "second"] if preset.endswith("_feedback") else ["hidden"]
    assert [name for name in network.names if name not in delays] == [*hidden, "output"]
    assert network.n_outputs == network.sizes[-1]


def test_names_of_layers():
    layers = {key: [1] * 3 for key in ("sizes", "copies", "bias_copies")} | {
        key: [1.0] * 3 for key in ("bias_times", "init_mean", "init_std")
    }
    assert LayeredNetwork(**layers).names == ["hidden1", "hidden2", "output"]
    assert LayeredNetwork(**{key: values[:1] for key, values in layers.items()}).names == ["output"]


def test_populations_and_projections(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(settings_text())
    found = load_toml(path, Settings)
    network = found.network
    assert isinstance(network, PopulationNetwork)
    assert (network.names, network.sizes, network.n_outputs) == (["exc", "inh", "answer"], [64, 16, 3], 3)
    assert network.projections[2].name == "exc->exc"
    # what is stored is read again, and copies are checked again
    assert Settings(**found.model_dump()) == found
    assert Settings.model_validate_json(found.model_dump_json()) == found
    assert load_settings(found) == found


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ('name = "inh"', 'name = "exc"', "network.populations.1.name", "two populations are called 'exc'"),
        ('name = "inh"', 'name = "input"', "network.populations.1.name", "cannot be called 'input'"),
        ('name = "inh"', 'name = "bias"', "network.populations.1.name", "cannot be called 'bias'"),
        ('name = "inh"', 'name = "a/b"', "network.populations.1.name", "pattern"),
        ("size = 16", "size = 0", "network.populations.1.size", "greater than or equal to 1, got 0"),
        ("size = 16", "", "network.populations.1.size", "Field required"),
        ("size = 16", "size = 16\ncircuits_per_neuron = 3", "network.populations.1.circuits_per_neuron", "powers of"),
        ("size = 16", "size = 16\nadaptation_b_na = 1.0", "network.populations.1.adaptation_b_na", "needs tau_adapt"),
        ("size = 16", "size = 16\nv_exp_mv = 700.0", "network.populations.1.v_exp_mv", "needs exponential_na"),
        ("size = 16", "size = 16\nv_reference_mv = 500.0", "network.populations.1.v_reference_mv", "needs reversal"),
        ("size = 16", "size = 16\ntau_adaptation_us = 0.0", "network.populations.1.tau_adaptation_us", "greater than"),
        ("tau_mem_us = 5.0", "tau_mem_us = -5.0", "network.populations.1.tau_mem_us", "greater"),
        ("tau_mem_us = 5.0", "tau_mem_us = nan", "network.populations.1.tau_mem_us", "finite"),
        ('output = "answer"', 'output = "nobody"', "network.output", "'nobody', there are: exc, inh, answer"),
        ('output = "answer"', "sizes = [3]", "network.sizes", "of layers, but this one has populations"),
        ('target = "inh"', 'target = "hni"', "network.projections.3.target", "'hni', there are: exc, inh, answer"),
        ('source = "inh"', 'source = "hni"', "network.projections.4.source", "input, bias, exc, inh, answer"),
        ('source = "inh"', 'source = "answer"', "network.projections.4.source", "answer does not spike"),
        ('source = "bias"', 'source = "input"', "network.projections.1.bias_time_us", "no other has"),
        ("bias_time_us = 5.4", "", "network.projections.1.bias_time_us", "has a bias_time_us"),
        ("bias_time_us = 5.4", "bias_time_us = 30.0", "network.projections.1.bias_time_us", r"before .* \(30 us\)"),
        ('target = "inh"', 'target = "inh"\nmask = "not_self"', "network.projections.3.mask", "from exc to inh"),
        ("density = 0.3", "density = 0.0", "network.projections.2.density", "greater than 0"),
        ("seed = 7", "seed = -1", "network.projections.2.seed", "greater"),
        ('sign = "inhibitory"', 'sign = "minus"', "network.projections.4.sign", "'both', 'excitatory'"),
        ("density = 0.3", 'density = 0.3\nconnected = ["01"]', "network.projections.2.connected", "leave out mask"),
        ('sign = "inhibitory"', 'sign = "dale"\nsigns = "+-"', "network.projections.4.signs", "leave out sign"),
        ("copies = 2", 'copies = 2\nsigns = "+x"', "network.projections.0.signs", "pattern"),
        ("copies = 2", 'copies = 2\nconnected = ["012"]', "network.projections.0.connected.0", "pattern"),
        ("copies = 2", "copies = 2\npart = [1]", "network.projections.0.part", "at least 2"),
        ("bias_time_us = 5.4", "bias_time_us = 5.4\npart = [0, 1]", "network.projections.1.part", "single source"),
        ("seed = 7", "seed = 7\npart = [0, 1]", "network.projections.2.part", "not_self needs all"),
        ("copies = 2", "copies = 0", "network.projections.0.copies", "greater than or equal to 1"),
        ('target = "answer"\ninit', 'target = "exc"\nlabel = "a"\ninhibitory = 1.5\ninit',
         "network.projections.5.inhibitory", "less than or equal to 1"),
        ('target = "answer"', 'target = "inh"', "network.projections.5.label", "two projections are called 'exc->inh'"),
    ],
)  # fmt: skip
def test_what_is_refused(old, new, field, message):
    assert NETWORK.count(old) == 1
    with pytest.raises(InvalidInputError, match=message) as error:
        settings(NETWORK.replace(old, new))
    assert error.value.field == field


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("tau_mem_us = 5.0", "tau_men_us = 5.0", "did you mean 'network.populations.1.tau_mem_us'"),
        ("density = 0.3", "dense = 0.3", "did you mean 'network.projections.2.density'"),
        ('output = "answer"', 'output = "answer"\nout = 1', "did you mean 'network.output'"),
    ],
)
def test_misspelt_keys_are_helped(old, new, hint):
    with pytest.raises(UnknownKeyError) as error:
        settings(NETWORK.replace(old, new))
    assert hint in (error.value.hint or "")


def test_misspelt_keys_of_layers_are_helped():
    layers = load_settings("paper").network.model_dump()
    layers["copiess"] = layers.pop("copies")
    values = load_settings("paper").model_dump() | {"network": layers}
    with pytest.raises(UnknownKeyError, match=r"did you mean 'network\.copies'"):
        Settings(**values)


def test_every_setting_is_described():
    for model in (LayeredNetwork, PopulationNetwork, PopulationSettings, ProjectionSettings):
        for name, info in model.model_fields.items():
            assert info.description, name
            assert re.match(r"[a-z]", info.description), name
    assert NetworkSettings.model_fields == {}
