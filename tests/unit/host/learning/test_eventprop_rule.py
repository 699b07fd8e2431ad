"""EventProp around its gradients: what it refuses, bounds of jumps, what it does about silence, and its state."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hxloop.codes.neuron_model import NeuronModel
from hxloop.errors import ArrayError, InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch, Inputs, Observe, Recording, Spikes
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.learning.event_adjoint.adjoint_pass import LossSlopes, MeasuredSpikes
from hxloop_host.learning.event_adjoint.event_layout import EventLayout
from hxloop_host.learning.event_adjoint.event_prop import EventProp
from hxloop_host.learning.event_adjoint.seen_threshold import SeenThreshold
from hxloop_host.learning.event_adjoint.silence import SilentNeurons
from hxloop_host.readouts.readout_registry import READOUTS

N, DURATION, TICK_US = 40, 4000, 0.008


def network(**changes):
    return Network(
        5,
        (
            Population("hidden", 6, t_refractory_us=2.0, **changes),
            Population("output", 3, t_refractory_us=2.0, **changes),
        ),
        (Projection(INPUT, "hidden", copies=2), Projection("hidden", "hidden"), Projection("hidden", "output")),
    )


def weights_of(net, seed=1, mean=0.3):
    rng = generator(seed, "weights")
    return [rng.normal(mean, 0.3, net.weight_shape(p)) for p in net.projections]


def spikes_of(rng, size, per_sample):
    found = SpikeBatch.from_arrays(
        np.repeat(np.arange(N), per_sample), rng.integers(10, DURATION, N * per_sample),
        rng.integers(0, size, N * per_sample), N,
    )  # fmt: skip
    return Spikes(np.repeat(np.arange(N), per_sample), found.source, found.tick)


def first_of(spikes, size):
    found = np.full((N, size), np.inf)
    np.minimum.at(found, (spikes.sample, spikes.neuron), spikes.tick)
    return found


def recording(net, seed=1, weights=None, per_sample=7):
    """Spikes that no model explains: a chip may give back anything."""
    rng = generator(seed, "spikes")
    trains = spikes_of(rng, 5, 6)
    spikes = {p.name: spikes_of(rng, p.size, per_sample) for p in net.populations if p.spiking}
    weights = weights_of(net) if weights is None else weights
    return Recording(
        net, Inputs(SpikeBatch(np.arange(N + 1) * 6, trains.tick, trains.neuron)), [w.copy() for w in weights], weights,
        TICK_US, 128, DURATION, {name: first_of(s, net.population(name).size) for name, s in spikes.items()}, spikes,
    )  # fmt: skip


def runner(net, recorded, loss="shift_invariant_mse"):
    readout = READOUTS.find(loss)[0]()
    return SimpleNamespace(network=net, readout=readout, strength=None, run=lambda batch, weights: recorded)


def batch(number=0):
    return Batch(Inputs(SpikeBatch(np.zeros(N + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))),
                 np.arange(N) % 3, 0, number, 1)  # fmt: skip


def first_times_1():
    return LossSlopes(first_times=np.ones((N, 3)))


@pytest.mark.parametrize("kind", ["count_cross_entropy", "count_mse"])
def test_losses_of_counts_are_refused(kind):
    with pytest.raises(InvalidInputError, match="no derivative") as found:
        EventProp().check(network(), READOUTS.find(kind)[0]())
    assert found.value.field == "loss.kind"
    assert "membrane_cross_entropy" in found.value.hint


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": NeuronModel(tau_adaptation_us=50.0, adaptation_b_na=1.0)}, "network.hidden.model"),
        ({"model": NeuronModel(exponential_na=1.0)}, "network.hidden.model"),
        ({"v_reset_mv": 800.0}, "network.hidden.v_reset_mv"),
    ],
)
def test_neurons_without_a_model_are_refused(changes, field):
    with pytest.raises(InvalidInputError) as found:
        EventProp().check(network(**changes), READOUTS.find("softmax_times")[0]())
    assert found.value.field == field


@pytest.mark.parametrize(
    ("settings", "field"), [({"rate_low": 3.0, "rate_high": 2.0}, "rule.rate_low"), ({"phantom": 1.0}, "rule.phantom")]
)
def test_settings_that_do_not_go_together_are_refused(settings, field):
    with pytest.raises(InvalidInputError) as found:
        EventProp(**settings).check(network(), READOUTS.find("membrane_mse")[0]())
    assert found.value.field == field


def test_it_asks_for_all_spikes_and_nothing_else():
    assert EventProp().observe(network()) == Observe("all")


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("changes", [{}, {"tau_mem_us": 12.0, "v_reset_mv": 300.0}])
def test_any_spikes_have_finite_gradients(seed, changes):
    net = network(**changes)
    update = EventProp(phantom=1.0, rates=1.0, rate_high=0.1, thresholds="measured").step(
        runner(net, recording(net, seed)), batch(), weights_of(net)
    )
    assert all(np.isfinite(g).all() and g.any() for g in update.gradients)
    assert 0.0 < update.diagnostics["falling_fraction"].max() <= 1.0


@pytest.mark.parametrize("seed", [1, 2])
def test_silence_everywhere_has_no_gradient_and_raises_weights(seed):
    net = network()
    silent = recording(net, seed, per_sample=0)
    rule, given = EventProp(lift=0.25, lift_batches=2), weights_of(net, seed)
    first, second = (rule.step(runner(net, silent), batch(k), given) for k in range(2))
    assert first.weights is None and not any(g.any() for g in first.gradients)
    assert second.gradients is None
    for before, after in zip(given, second.weights, strict=True):
        np.testing.assert_allclose(after, before + 0.25)
    assert np.array_equal(first.answers, np.full(N, -1))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_phantom_pulls_up_the_label_alone(seed):
    """A missing spike of the label: its weights from neurons that spiked go up, those of other outputs stay."""
    net = network()
    recorded = recording(net, seed)
    none = Spikes(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))
    recorded = replace(
        recorded, spikes={**recorded.spikes, "output": none},
        first_ticks={**recorded.first_ticks, "output": np.full((N, 3), np.inf)},
    )  # fmt: skip
    label_1 = replace(batch(), label=np.ones(N, np.int64))
    with_it = EventProp(phantom=2.0).step(runner(net, recorded), label_1, weights_of(net)).gradients[2]
    assert (with_it[:, 1] < 0).all() and not with_it[:, [0, 2]].any()
    assert not EventProp().step(runner(net, recorded), label_1, weights_of(net)).gradients[2].any()


def test_a_floor_bounds_jumps_and_falling_membranes_may_be_dropped():
    net = network()
    recorded = recording(net, 3)
    largest = [
        max(np.abs(g).max() for g in MeasuredSpikes(EventLayout(net, TICK_US, 1.0, floor), recorded).gradients(
            first_times_1(), keep_falling=keep)) for floor, keep in ((0.01, True), (1.0, True), (1.0, False))
    ]  # fmt: skip
    assert largest[0] > 5 * largest[1] and largest[1] != largest[2]
    # Without any drive, all membranes fall: nothing is left.
    zero = recording(net, 3, [np.zeros(net.weight_shape(p)) for p in net.projections])
    spikes = MeasuredSpikes(EventLayout(net, TICK_US, 1.0, 0.1), zero)
    assert not any(g.any() for g in spikes.gradients(first_times_1(), keep_falling=False))
    assert any(g.any() for g in spikes.gradients(first_times_1(), keep_falling=True))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_limit_leaves_out_neurons_of_a_sample(seed):
    net = network()
    spikes = MeasuredSpikes(EventLayout(net, TICK_US, 1.0, 0.1), recording(net, seed))
    whole, none = (spikes.gradients(first_times_1(), limit=limit) for limit in (1e9, 1e-12))
    for one, other, nothing in zip(spikes.gradients(first_times_1()), whole, none, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
        assert not nothing.any()


def test_cores_do_not_change_a_bit(monkeypatch):
    net = network()
    found = []
    for cores in (1, 2, 3):
        monkeypatch.setattr("hxloop_host.learning.event_adjoint.adjoint_pass.n_cores", lambda cores=cores: cores)
        spikes = MeasuredSpikes(EventLayout(net, TICK_US, 1.0, 0.1), recording(net, 5))
        found.append(np.concatenate([g.ravel() for g in spikes.gradients(first_times_1())]))
    assert found[0].any()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_copies_and_masks_are_respected():
    net = network()
    mask = generator(1, "mask").random((6, 3)) < 0.5
    masked = replace(net, projections=(*net.projections[:2], replace(net.projections[2], mask=mask)))
    found = MeasuredSpikes(EventLayout(masked, TICK_US, 1.0, 0.1), recording(masked)).gradients(first_times_1())
    assert not found[2][~mask].any() and found[2][mask].all()
    np.testing.assert_array_equal(found[0][::2], found[0][1::2])


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_thresholds_are_seen_in_spikes(factor):
    """A neuron that always spikes where the model has a membrane of `factor`; NaN and infinity are left out."""
    seen, nominal = SeenThreshold(3), np.array([1.5, 1.5, 1.5])
    np.testing.assert_array_equal(seen.thresholds(nominal), nominal)
    for _ in range(4):
        seen.add(np.array([0] * 100 + [1, 1], np.int32), np.array([1.5 * factor] * 100 + [np.nan, np.inf]), nominal)
    found = seen.thresholds(nominal)
    assert found[0] == pytest.approx(1.5 * factor, rel=0.02)
    np.testing.assert_array_equal(found[1:], nominal[1:])


@pytest.mark.parametrize("seed", [4, 5])
def test_state_goes_on_bit_by_bit(seed):
    net = network()
    values = {"lift": 0.1, "lift_batches": 3, "thresholds": "measured"}
    rule, again = EventProp(**values), EventProp(**values)
    few = recording(net, seed, per_sample=1)
    for k in range(2):
        rule.step(runner(net, few), batch(k), weights_of(net))
    again.load_state({name: np.array(v) for name, v in rule.state().items()})
    for k in range(2, 7):
        one, other = (r.step(runner(net, recording(net, seed + k)), batch(k), weights_of(net)) for r in (rule, again))
        for a, b in zip(one.gradients or one.weights, other.gradients or other.weights, strict=True):
            np.testing.assert_array_equal(a, b)
    assert rule.state().keys() == again.state().keys() == {"seen", "spiked", "number", "total"}


@pytest.mark.parametrize(
    "state", [{}, {"seen": np.array(1)}, {"seen": np.array(1), "spiked": np.array(1)},
              {"seen": np.array(1), "spiked": np.ones(2), "number": np.ones(3)},
              {"seen": np.array(1), "spiked": np.ones(2), "number": np.array(3)}],
)  # fmt: skip
def test_a_damaged_state_is_refused(state):
    with pytest.raises(ArrayError):
        EventProp().load_state(state)


def test_only_neurons_that_were_silent_all_along_are_lifted():
    net = network()
    silence, weights = SilentNeurons(1.0, 2), [np.zeros(net.weight_shape(p)) for p in net.projections]
    counts = np.zeros((2, 4, 9), np.int64)
    counts[0, 1, 2] = counts[1, 3, 8] = 1
    assert silence.lifted(net, counts[0], weights) is None
    found = silence.lifted(net, counts[1], weights)
    np.testing.assert_array_equal(found[0].any(axis=0), np.arange(6) != 2)
    np.testing.assert_array_equal(found[2].any(axis=0), [True, True, False])
    assert silence.lifted(net, np.ones((4, 9), np.int64), weights) is None
    assert silence.lifted(net, np.ones((4, 9), np.int64), weights) is None
