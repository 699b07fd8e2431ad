"""The rule around its gradients: what it refuses, errors of counts, silent neurons, bounds, and odd recordings."""

from dataclasses import replace

import numpy as np
import pytest

from hxloop.codes.neuron_model import NeuronModel
from hxloop.errors import ArrayError, InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch, Inputs, Recording, Spikes
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.learning.multi_spike.exact_backward import Bounds, weight_gradients
from hxloop_host.learning.multi_spike.lifted_weights import lifts
from hxloop_host.learning.multi_spike.multi_spike_rule import MultiSpike, of_counts, of_first_spikes
from hxloop_host.readouts.readout_registry import READOUTS

POINT = {"tau_mem_us": 20.0, "tau_syn_us": 10.0, "t_refractory_us": 1.0}
N, TICK_US, DURATION = 4, 0.008, 4000


def readout(kind="count_mse", **settings):
    return READOUTS.find(kind)[0](**settings)


def network(sizes=(6, 3), **changes):
    hidden, out = (Population(n, size, **POINT | changes) for n, size in zip(("hidden", "out"), sizes, strict=True))
    return Network(5, (hidden, out), (Projection(INPUT, "hidden", copies=2), Projection("hidden", "out")))


def spikes(rng, size, per_neuron):
    counts = rng.poisson(per_neuron, (N, size))
    sample, neuron = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), size)
    tick = rng.integers(0, DURATION, len(sample))
    order = np.lexsort((neuron, tick, sample))
    return Spikes(sample[order], neuron[order].astype(np.int32), tick[order])


def recording(seed=1, per_neuron=2.0, net=None):
    """Spikes as they could have been: gradients are taken at whatever was measured."""
    net, rng = net or network(), generator(seed, "recording")
    sent = spikes(rng, net.n_inputs, 3.0)
    weights = [rng.normal(0.3, 0.3, net.weight_shape(p)) for p in net.projections]
    trains = SpikeBatch.from_arrays(sent.sample, sent.tick, sent.neuron, N)
    found = {p.name: spikes(rng, p.size, per_neuron) for p in net.populations}
    codes = [np.sign(w).astype(np.int8) for w in weights]
    return Recording(net, Inputs(trains), codes, weights, TICK_US, 50, DURATION, spikes=found)


class Recorder:
    """A chip that gives back the same whatever it is asked."""

    strength = None
    duration_ticks = DURATION

    def __init__(self, recorded, loss):
        firsts = {
            name: np.full((N, recorded.network.population(name).size), np.inf) for name in recorded.spikes
        }  # fmt: skip
        for name, s in recorded.spikes.items():
            np.minimum.at(firsts[name], (s.sample, s.neuron), s.tick)
        self.recorded, self.readout = replace(recorded, first_ticks=firsts), loss
        self.network = recorded.network

    def run(self, batch, weights, *, trial=0, observe=None):
        return self.recorded


def step(recorded, loss=None, **settings):
    chip = Recorder(recorded, loss or readout())
    return MultiSpike(**settings).step(chip, Batch(recorded.inputs, np.arange(N) % 3, 0, 0, 1), recorded.weights)


def layered(*extra, **changes):
    return Network(
        5, (Population("hidden", 6, **POINT | changes), Population("out", 3, **POINT)),
        (Projection(INPUT, "hidden"), Projection("hidden", "out"), *extra),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("net", "field", "message"),
    [
        (layered(tau_mem_us=10.0), "neuron.tau_mem_us", "'hidden' has 1 times it"),
        (layered(v_reset_mv=800.0), "network.hidden.v_reset_mv", "not below its threshold"),
        (layered(model=NeuronModel(exponential_na=1.0)), "network.hidden.model", "no closed form"),
        (layered(Projection("out", "hidden", label="back")), "network.projections", "drives itself"),
        (layered(Projection("hidden", "hidden", label="self")), "network.projections", "'hidden' drives itself"),
        (Network(2, (Population("a", 2, **POINT), Population("b", 2, **POINT)), (Projection(INPUT, "b"),)),
         "network.a", "'a' has no inputs"),
        (Network(2, (Population("a", 2, **POINT, spiking=False),), (Projection(INPUT, "a"),)),
         "network.a.spiking", "'a' does not spike"),
    ],
)  # fmt: skip
def test_networks_that_the_closed_form_does_not_describe_are_refused(net, field, message):
    with pytest.raises(InvalidInputError, match=message) as found:
        MultiSpike().check(net, readout())
    assert found.value.field == field


def test_losses_of_membranes_are_refused_and_others_are_not():
    with pytest.raises(InvalidInputError, match="first spike times or of spike counts") as found:
        MultiSpike().check(network(), readout("membrane_mse"))
    assert found.value.field == "loss.kind"
    for kind in ("count_mse", "count_cross_entropy", "softmax_times", "shift_invariant_mse", "target_times_mse"):
        MultiSpike().check(network(), readout(kind))


def test_what_counts_and_first_times_say_to_each_spike():
    recorded = recording(3)
    out = recorded.spikes["out"]
    grad = generator(1, "grad").normal(0, 1, (N, 3))
    np.testing.assert_array_equal(of_counts(recorded, grad), -grad[out.sample, out.neuron])
    found = of_first_spikes(recorded, grad)
    for sample in range(N):
        for neuron in range(3):
            mine = (out.sample == sample) & (out.neuron == neuron)
            expected = np.zeros(mine.sum())
            expected[:1] = grad[sample, neuron]
            np.testing.assert_array_equal(found[mine], expected)


def test_silent_neurons_are_lifted():
    counts = {"hidden": np.array([[0, 1, 0], [0, 2, 3], [0, 1, 1]]), "out": np.array([[0, 1], [0, 0], [2, 0]])}
    wanted = np.array([[0.5, 0.5], [-0.5, 0.25], [0.5, -1.0]])
    found = lifts(counts, "out", wanted, lift=0.3, quiet=0.5, wanted_lift=2.0)
    np.testing.assert_allclose(found["hidden"], [[0.1, 0, 0]] * 3)  # the third spikes in two samples of three
    expected = [[0.1 + 1.0, 0.0], [0.1, 0.1 + 0.5], [0.0, 0.1]]
    np.testing.assert_allclose(found["out"], expected)
    assert lifts(counts, "out", wanted, lift=0.0, quiet=0.5, wanted_lift=0.0) == {}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_lift_is_taken_off_for_each_event(seed):
    recorded = recording(seed)
    lift = generator(seed, "lift").random((N, 6))
    outer = np.zeros(len(recorded.spikes["out"].tick))
    found = weight_gradients(recorded, outer, None, lift={"hidden": lift}).gradients
    events = np.zeros((N, 10))
    sent = recorded.inputs.spikes
    for copy in range(2):
        np.add.at(events, (sent.sample, sent.source * 2 + copy), 1.0)
    np.testing.assert_allclose(found[0], -events.T @ lift, atol=1e-12)
    assert not found[1].any()


def test_gradients_are_bounded_by_single_events_and_keep_their_direction():
    net = Network(5, (Population("out", 3, **POINT),), (Projection(INPUT, "out"),))
    recorded = recording(2, net=net)
    one = replace(recorded, inputs=recorded.inputs.part(0, 1))
    mine = one.spikes["out"].sample == 0
    out = one.spikes["out"]
    one = replace(one, spikes={"out": Spikes(out.sample[mine], out.neuron[mine], out.tick[mine])})
    outer = np.ones(mine.sum())
    free = weight_gradients(one, outer, None).gradients[0]
    held = weight_gradients(one, outer, None, Bounds(max_dw_norm=1e-3)).gradients[0]
    events = np.bincount(one.inputs.spikes.source, minlength=5)
    assert (np.abs(held) <= 1e-3 * events[:, None] * (1 + 1e-12)).all()
    lengths = np.linalg.norm(free, axis=0), np.linalg.norm(held, axis=0)
    moved = lengths[0] > 0
    assert moved.any()
    np.testing.assert_allclose((held / lengths[1])[:, moved], (free / lengths[0])[:, moved], rtol=1e-9)
    flat = weight_gradients(one, outer, None, Bounds(least_slope=1e3)).gradients[0]
    assert np.abs(flat).max() <= 2e-3 * events.sum() * outer.size


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("per_neuron", [0.0, 0.3, 30.0])
def test_whatever_is_measured_gives_finite_gradients(seed, per_neuron):
    recorded = recording(seed, per_neuron)
    for loss in (readout(), readout("softmax_times")):
        update = step(recorded, loss, lift=0.1, wanted_lift=0.1)
        assert all(np.isfinite(g).all() for g in update.gradients)
        assert all(np.isfinite(v).all() for v in update.diagnostics.values())
    assert per_neuron > 0 or update.diagnostics["silent_fraction"].tolist() == [1.0, 1.0]


def test_spikes_long_after_the_last_input_and_before_the_first():
    net = Network(1, (Population("out", 1, **POINT),), (Projection(INPUT, "out"),))
    tick = np.array([0, 10, 3_000_000, 3_000_500, 3_002_000, 9_000_000])  # up to 7200 tau_syn
    trains = SpikeBatch.from_arrays(np.zeros(2, int), np.array([1250, 3_001_000]), np.zeros(2, int), 1)
    spiked = {"out": Spikes(np.zeros(6, np.int64), np.zeros(6, np.int32), tick)}
    recorded = Recording(
        net, Inputs(trains), [np.ones((1, 1), np.int8)], [np.full((1, 1), 9.0)], TICK_US, 0, 10_000_000, spikes=spiked
    )  # fmt: skip
    found = weight_gradients(recorded, np.ones(6), None)
    assert np.isfinite(found.gradients[0]).all() and found.gradients[0][0, 0] != 0.0
    assert found.unexplained["out"] == pytest.approx(5 / 6)


def test_bits_do_not_depend_on_threads_or_on_the_batch(monkeypatch):
    recorded = recording(5, 4.0)
    outer = generator(1, "outer").normal(0, 1, len(recorded.spikes["out"].tick))
    whole = weight_gradients(recorded, outer, None).gradients
    module = "hxloop_host.learning.multi_spike.exact_backward."
    for name, value in (("WORTH_THREADS", 1), ("BLOCK", 1), ("n_cores", lambda: 3)):
        monkeypatch.setattr(module + name, value)
    shared = weight_gradients(recorded, outer, None).gradients
    monkeypatch.setattr(module + "n_cores", lambda: 1)
    for one, other, alone in zip(shared, whole, weight_gradients(recorded, outer, None).gradients, strict=True):
        np.testing.assert_array_equal(one, alone)
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_spikes_that_were_not_recorded_are_named():
    recorded = recording()
    seen = replace(recorded, spikes={"out": recorded.spikes["out"]})
    with pytest.raises(ArrayError, match="no spikes of 'hidden'"):
        weight_gradients(seen, np.ones(len(recorded.spikes["out"].tick)), None)
