"""The rule for delays around its gradients: what it refuses, what it leaves alone, and who else takes delays."""

from dataclasses import replace

import numpy as np
import pytest

from hxloop.errors import InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch, Inputs, Recording
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.learning.delayed_spikes.delay_rule import Delays
from hxloop_host.network.building import build_network
from hxloop_host.readouts.readout_registry import READOUTS
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.settings.given_network import settings_of
from hxloop_host.training.assembly import check_parts, find_rule

N, TICK_US = 6, 0.008


def readout(kind="shift_invariant_mse"):
    return READOUTS.find(kind)[0]()


def network(**changes):
    one_to_one = np.eye(3, dtype=np.bool_)
    return Network(
        3, (Population("relay", 3, relay=True), Population("out", 2, **changes)),
        (Projection(INPUT, "relay", mask=one_to_one), Projection("relay", "out")),
    )  # fmt: skip


class Recorder:
    """A chip that gives back the same whatever it is asked."""

    strength = None

    def __init__(self, net, values, silent=False):
        rng = generator(1, "recorded")
        arrived = rng.uniform(100, 500, (N, 3))
        out = np.full((N, 2), np.inf) if silent else rng.uniform(4000, 4600, (N, 2))
        self.network, self.readout = net, readout()
        self.recorded = Recording(
            net, Inputs(SpikeBatch.from_arrays([], [], [], N), arrived), list(values), list(values), TICK_US, 10, 9000,
            {"relay": arrived + values[0].sum(axis=0) / TICK_US, "out": out},
        )  # fmt: skip

    def run(self, batch, weights, *, trial=0, observe=None):
        return self.recorded


def step(silent_recording=False, **settings):
    net = network()
    values = [np.diag([10.0, 14.0, 21.0]), np.full((3, 2), 1.4)]
    rule = Delays(limits=[0.5], **settings)
    rule.check(net, readout())
    batch = Batch(Inputs(SpikeBatch.from_arrays([], [], [], N)), np.arange(N) % 2, 0, 0, 1)
    return rule, rule.step(Recorder(net, values, silent_recording), batch, values), values


def test_weights_and_delays_have_gradients():
    _, update, _ = step()
    assert update.weights is None
    assert all(g.any() for g in update.gradients)
    assert update.diagnostics["delay"] == pytest.approx(15.0)
    assert update.diagnostics["delay_spread"] == pytest.approx(np.std([10.0, 14.0, 21.0]))
    assert update.diagnostics["silent_fraction"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("flag", "still"), [("train_delays", 0), ("train_weights", 1)])
def test_what_is_not_trained_has_none(flag, still):
    _, update, _ = step(**{flag: False})
    assert not update.gradients[still].any()
    assert update.gradients[1 - still].any()


def test_silence_raises_weights_and_never_delays():
    rule, update, values = step(silent_recording=True, bump=0.25)
    assert update.gradients is None
    np.testing.assert_array_equal(update.weights[0], values[0])
    np.testing.assert_array_equal(update.weights[1], values[1] + 0.25)
    assert update.diagnostics["bump_fraction"].tolist() == [0.0, 1.0]
    again = Delays(limits=[0.5], bump=0.25)
    again.load_state(rule.state())
    assert all(np.array_equal(a, b) for a, b in zip(rule.state().values(), again.state().values(), strict=True))


def test_silent_neurons_are_lifted_by_their_inputs_and_delays_are_left_alone():
    """Of weights, minus the potential at one tau after the last event (tau_mem = tau_syn), of samples of its label."""
    rule, update, _ = step(silent_recording=True, silent="lift", lift=0.25)
    assert update.weights is None
    arrived = Recorder(network(), [np.diag([10.0, 14.0, 21.0]), np.zeros((3, 2))]).recorded.first_ticks["relay"]
    since = (arrived.max(axis=1)[:, None] - arrived) * TICK_US / 6.0 + 1.0
    expected = [-0.25 * (since * np.exp(-since))[n::2].sum(axis=0) / N for n in range(2)]
    np.testing.assert_allclose(update.gradients[1], np.transpose(expected), rtol=1e-12)
    assert not update.gradients[0].any()
    assert update.diagnostics["bump_fraction"].tolist() == [0.0, 0.0]
    assert update.diagnostics["lifted_fraction"].tolist() == [0.0, 0.5]
    assert set(rule.state()) == {"silent_0"}


@pytest.mark.parametrize(
    ("made", "kind", "limits", "field"),
    [
        (network(spiking=False), "shift_invariant_mse", [0.5], "network.out.spiking"),
        (network(tau_mem_us=9.0), "shift_invariant_mse", [0.5], "neuron.tau_mem_us"),
        (network(), "membrane_cross_entropy", [0.5], "loss.kind"),
        (network(), "shift_invariant_mse", [0.5, 0.5], "rule.limits"),
        (replace(network(), output="relay"), "shift_invariant_mse", [0.5], "network.output"),
    ],
)
def test_what_is_refused(made, kind, limits, field):
    with pytest.raises(InvalidInputError) as caught:
        Delays(limits=limits).check(made, readout(kind))
    assert caught.value.field == field


@pytest.mark.parametrize("kind", ["fast_and_deep", "surrogate"])
def test_rules_that_know_no_delays_refuse_them_by_name(kind):
    section = {"kind": kind} | ({"limits": [0.5, 0.5]} if kind == "fast_and_deep" else {})
    settings = Settings(**(load_settings("yin_yang_delays").model_dump() | {"rule": section}))
    if kind == "surrogate":
        settings = Settings(**(settings.model_dump() | {"loss": {"kind": "count_cross_entropy"}}))
    rule, _, settings = find_rule(None, settings)
    with pytest.raises(InvalidInputError, match="delay neurons") as caught:
        check_parts(settings, build_network(settings, 4), rule)
    assert caught.value.field == "network.input_delays.relay"


def test_settings_of_a_network_with_delays():
    settings = load_settings("yin_yang_delays")
    net = build_network(settings, 4)
    assert [p.relay for p in net.populations] == [True, False, True, False]
    again = build_network(settings.with_network(net), 4)
    assert again.populations == net.populations
    for one, other in zip(net.projections, again.projections, strict=True):
        np.testing.assert_array_equal(net.connected(one), again.connected(other))
    plain = settings_of(build_network(load_settings("yin_yang_no_delays"), 4)).model_dump()
    assert all("relay" not in p for p in plain["populations"])  # names of points of before hash it


def test_synaptic_delays_by_masks():
    values = load_settings("yin_yang_delays").model_dump()
    values["network"]["populations"][0]["size"] = 4 * 30
    values["network"]["projections"][0]["mask"] = "one_to_many"
    values["network"]["projections"][1] |= {"mask": "many_to_one", "copies": 1}
    net = build_network(Settings(**values), 4)
    onto, behind = (net.connected(p) for p in net.projections[:2])
    assert (onto.sum(axis=0) == 1).all()
    assert (onto.sum(axis=1) == 30).all()
    pairs = onto.astype(int) @ behind.astype(int)
    np.testing.assert_array_equal(pairs, 1)  # each pair of input and hidden neuron has a delay neuron of its own
    values["network"]["populations"][0]["size"] = 4 * 30 + 1
    with pytest.raises(InvalidInputError, match="multiple of 4") as caught:
        build_network(Settings(**values), 4)
    assert caught.value.field == "network.projections.0.mask"
