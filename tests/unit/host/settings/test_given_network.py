"""Networks made in Python go into settings and come out as they were."""

import re
from dataclasses import replace

import numpy as np
import pytest
from support import own_network
from support.places import ROOT

import hxloop
from hxloop.codes.neuron_model import NeuronModel
from hxloop.errors import InvalidInputError
from hxloop.network import Network, Population, Projection
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import Settings
from hxloop_host.settings.given_network import settings_of


def made():
    mask = np.random.default_rng(1).random((9, 9)) < 0.3
    populations = (Population("a", 9, tau_mem_us=8.0), Population("b", 3, spiking=False, model_threshold=2.0))
    projections = (
        Projection("input", "a", 2, (0, 3), 30.0, init_mean=0.1, init_std=0.2),
        Projection("input", "a", 1, (4, 5), 30.0, label="offset"),
        Projection("a", "a", 1, None, 30.0, mask=mask, signs=np.repeat([1, -1], [7, 2])),
        Projection("a", "b", 1, (2, 9), 20.0),
    )
    return Network(5, populations, projections, (2.5,))


def same(one, other):
    assert one.populations == other.populations
    assert (one.n_inputs, one.bias_times_us, one.output) == (other.n_inputs, other.bias_times_us, other.output)
    for mine, theirs in zip(one.projections, other.projections, strict=True):
        assert one.sources(mine) == other.sources(theirs)
        for name in ("source", "target", "copies", "scale_weights", "init_mean", "init_std"):
            assert getattr(mine, name) == getattr(theirs, name)
        for name in ("mask", "signs"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))


def test_there_and_back():
    settings = hxloop.load_settings(own_network.settings()).with_network(made())
    same(build_network(settings, 4), made())
    assert build_network(settings, 4).projections[1].name == "offset"
    whole = build_network(own_network.settings(), 4)
    same(build_network(own_network.settings().with_network(whole), 4), whole)


@pytest.mark.parametrize(
    "model",
    [
        NeuronModel(tau_adaptation_us=90.0, adaptation_b_na=-0.5),
        NeuronModel(tau_adaptation_us=90.0, adaptation_a_ns=20.0, v_adapt_leak_mv=450.0),
        NeuronModel(exponential_na=0.5, v_exp_mv=700.0, reversal_inh_mv=200.0, v_reference_mv=500.0),
        NeuronModel(exponential_na=0.5, reversal_exc_mv=900.0),
    ],
)
def test_terms_of_neurons_there_and_back(model):
    whole = made()
    network = replace(whole, populations=(replace(whole.populations[0], model=model), whole.populations[1]))
    settings = own_network.settings().with_network(network)
    assert build_network(settings, 4).populations == network.populations
    again = Settings.model_validate_json(settings.model_dump_json())
    assert build_network(again, 4).populations == network.populations


def test_the_code_of_the_page_makes_one():
    page = (ROOT / "docs" / "your-own.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    exec(re.search(r"```python\n([^`]*hxloop\.Network[^`]*)```", page)[1], names)
    same(build_network(names["settings"], 4), names["network"])
    assert names["settings"].network.n_outputs == 3


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda p, q: ((replace(p[0], synapse_gain_mv_per_us=1.0), p[1]), q), "a.synapse_gain_mv_per_us"),
        (lambda p, q: (p, (replace(q[0], part=None), *q[1:])), "projections[0].part"),
        (lambda p, q: (p, (q[0], q[1], replace(q[1], label="again"), *q[2:])), "projections[2].part"),
        (lambda p, q: (p, (q[0], *q[2:])), "bias_times_us"),
    ],
)
def test_what_settings_cannot_say_is_refused(change, field):
    whole = made()
    with pytest.raises(InvalidInputError) as error:
        settings_of(Network(5, *change(whole.populations, whole.projections), whole.bias_times_us))
    assert error.value.field == field
