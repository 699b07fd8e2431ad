"""Feedback alignment: gradients against loops and finite differences, feedback weights that learn from noise."""

from dataclasses import replace

import numpy as np
import pytest
from support.grid.recorded import DURATION, PERIOD, TICK_US, N, adapting, feed_forward, recording

from hxloop.errors import ArrayError, InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch
from hxloop.seeds import generator
from hxloop_host.learning.feedback.feedback_rule import FeedbackAlignment, activity
from hxloop_host.learning.feedback.local_gradients import closeness, local_gradients, membrane_rise
from hxloop_host.learning.feedback.noise_alignment import FeedbackWeights, forward_of
from hxloop_host.readouts.readout_registry import READOUTS

LABEL = np.array([0, 1, 2])


def deep(spiking=True):
    mask = generator(4, "mask").random((5, 3)) < 0.7
    return Network(
        6,
        (
            Population("a", 5, tau_mem_us=10.0, tau_syn_us=5.0), Population("b", 4, model_threshold=1.5),
            Population("out", 3, spiking=spiking, tau_mem_us=20.0, tau_syn_us=6.0),
        ),
        (
            Projection(INPUT, "a", copies=2), Projection("a", "b", part=(1, 5)), Projection(INPUT, "b", part=(4, 6)),
            Projection("b", "out", copies=2), Projection("a", "out", mask=mask),
        ),
        output="out",
    )  # fmt: skip


def readout(kind="membrane_cross_entropy", **settings):
    return READOUTS.find(kind)[0](**settings)


class Recorder:
    """A chip that gives back one recording after another."""

    strength = None
    duration_ticks = DURATION

    def __init__(self, loss, *recorded):
        self.network, self.readout, self.recorded, self.trials = recorded[0].network, loss, recorded, []

    def run(self, batch, weights, *, trial=0, observe=None):
        self.trials.append(trial)
        return self.recorded[trial % len(self.recorded)]


def batch_of(recorded, number=0):
    return Batch(recorded.inputs, LABEL, 0, number, 5)


def risen(population, passed_us):
    """Membrane a time after an event of weight 1, by the differential equations in small steps."""
    current, v, step = 1.0 / population.tau_syn_us, 0.0, 4e-3
    for _ in range(round(passed_us / step)):
        middle = v + 0.5 * step * (current - v / population.tau_mem_us)
        half = current * np.exp(-0.5 * step / population.tau_syn_us)
        v += step * (half - middle / population.tau_mem_us)
        current *= np.exp(-step / population.tau_syn_us)
    return v


@pytest.mark.parametrize(("tau_mem", "tau_syn"), [(6.0, 6.0), (10.0, 5.0), (20.0, 6.0), (5.0, 10.0)])
def test_the_membrane_after_an_event(tau_mem, tau_syn):
    population = Population("one", 1, tau_mem_us=tau_mem, tau_syn_us=tau_syn)
    rise = membrane_rise(population, 1000, 0.01)
    for tick in (10, 100, 700, 1000):
        assert rise[tick] == pytest.approx(risen(population, 0.01 * tick), rel=1e-4)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("steepness", [2.0, 30.0])
def test_closeness_to_a_spike(seed, steepness):
    recorded = recording(deep(), seed)
    population = recorded.network.population("b")
    found = closeness(recorded, population, steepness)
    v = recorded.membranes["b"] / 1.5
    expected = 1.0 / (1.0 + steepness * np.abs(v - 1.0)) ** 2
    spikes = recorded.spikes["b"]
    for n, j, tick in zip(spikes.sample, spikes.neuron, spikes.tick, strict=True):
        reading = -(-tick // PERIOD)
        if reading < expected.shape[1]:
            expected[n, reading, j] = 1.0
    np.testing.assert_allclose(found, expected / 1.5, rtol=1e-6)


def test_what_is_not_finite_counts_as_nothing():
    recorded = recording(deep(), 1)
    wild = {name: v.astype(np.float32).copy() for name, v in recorded.membranes.items()}
    wild["b"][0, :4], wild["out"][1, 2] = np.nan, np.inf
    wild["a"][:] = -np.inf
    recorded = replace(recorded, membranes=wild)
    chip = Recorder(readout("count_mse"), recorded, recorded)
    update = FeedbackAlignment().step(chip, batch_of(recorded), recorded.weights)
    assert all(np.isfinite(g).all() for g in update.gradients)
    assert np.isfinite(activity(replace(recorded, network=deep(spiking=False)))["out"]).all()


def by_hand(recorded, out_error, matrices, steepness):
    """Gradients of all weights, pair by pair; `out_error` float64 [n, reads, 3] of the output's membranes."""
    net = recorded.network
    sizes = {p.name: p.size for p in net.populations}
    errors, told = {"out": out_error}, {"out": out_error.sum(axis=1)}
    for name in ("b", "a"):
        near = closeness(recorded, net.population(name), steepness)
        got = np.zeros((N, sizes[name]))
        for k, p in enumerate(net.projections):
            if p.source == name:
                first, last = net.sources(p)
                got[:, first:last] += told[p.target] @ matrices[k].T
        errors[name], told[name] = got[:, None] * near, got * near.mean(axis=1)
    found = []
    for p, w in zip(net.projections, recorded.weights, strict=True):
        first, last = net.sources(p)
        rise = membrane_rise(net.population(p.target), DURATION, TICK_US)
        given = recorded.inputs.spikes if p.source == INPUT else recorded.spikes[p.source]
        source = given.source if p.source == INPUT else given.neuron
        delay = 0 if p.source == INPUT else recorded.delay_ticks
        gradient = np.zeros_like(w)
        for n, i, tick in zip(given.sample, source, given.tick + delay, strict=True):
            for r in range(out_error.shape[1]):
                if first <= i < last and r * PERIOD > tick:
                    for copy in range(p.copies):
                        gradient[(i - first) * p.copies + copy] += rise[r * PERIOD - tick] * errors[p.target][n, r]
        found.append(gradient * net.connected(p))
    return found


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("feedback", ["random", "symmetric"])
@pytest.mark.parametrize("score", ["mean", "max"])
def test_gradients_are_errors_through_feedback_times_what_synapses_know(seed, feedback, score):
    recorded = recording(deep(spiking=False), seed)
    loss = readout(score=score, scale=2.0)
    rule = FeedbackAlignment(feedback=feedback, runs=1)
    update = rule.step(Recorder(loss, recorded), batch_of(recorded), recorded.weights)
    _, gradient = loss.value_and_gradient(loss.scores(recorded), LABEL)
    net = recorded.network
    matrices = rule.feedback.matrices
    if feedback == "symmetric":
        matrices = {k: forward_of(net.projections[k], recorded.weights[k]) for k in matrices}
        np.testing.assert_array_equal(update.diagnostics["alignment"], 1.0)
    expected = by_hand(recorded, loss.derivative(recorded, gradient), matrices, 10.0)
    for one, other in zip(update.gradients, expected, strict=True):
        assert other.any()
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_weights_onto_membranes_that_never_spike_have_their_true_derivative():
    """The last hop is linear: finite differences of the loss with membranes that move as the model says."""
    recorded = recording(deep(spiking=False), 4)
    net, loss = recorded.network, readout(score="mean", scale=2.0)
    update = FeedbackAlignment(runs=1, feedback="random").step(
        Recorder(loss, recorded), batch_of(recorded), recorded.weights
    )
    rise = membrane_rise(net.population("out"), DURATION, TICK_US)
    spikes = recorded.spikes["b"]
    for i, j in ((0, 0), (2, 1), (3, 2)):
        values = []
        for step in (1e-3, -1e-3):
            v = recorded.membranes["out"].astype(float)
            for n, k, tick in zip(spikes.sample, spikes.neuron, spikes.tick + recorded.delay_ticks, strict=True):
                for r in range(v.shape[1]):
                    if k == i and r * PERIOD > tick:
                        v[n, r, j] += step * rise[r * PERIOD - tick]
            moved = replace(recorded, membranes=recorded.membranes | {"out": v})
            values.append(loss.value_and_gradient(loss.scores(moved), LABEL)[0])
        assert update.gradients[3][2 * i, j] == pytest.approx((values[0] - values[1]) / 2e-3, rel=1e-4, abs=1e-9)


def test_losses_of_counts_go_through_the_closeness_of_the_output():
    recorded, loss = recording(deep(), 6), readout("count_cross_entropy")
    update = FeedbackAlignment(runs=1, feedback="random").step(
        Recorder(loss, recorded), batch_of(recorded), recorded.weights
    )
    _, gradient = loss.value_and_gradient(loss.scores(recorded), LABEL)
    near = closeness(recorded, recorded.network.population("out"), 10.0)
    error = {name: np.zeros((N, near.shape[1], size)) for name, size in (("a", 5), ("b", 4))}
    expected = local_gradients(recorded, error | {"out": gradient[:, None] * near})[3]
    np.testing.assert_allclose(update.gradients[3], expected)


def test_gradients_are_means_over_runs_whose_noise_is_their_own():
    one, other = recording(deep(spiking=False), 1), recording(deep(spiking=False), 2)
    other = replace(other, inputs=one.inputs, weights=one.weights)
    loss = readout(score="mean")
    alone = [
        FeedbackAlignment(runs=1, feedback="random").step(Recorder(loss, r), batch_of(one), one.weights)
        for r in (one, other)
    ]
    chip = Recorder(loss, one, other)
    both = FeedbackAlignment(runs=2, feedback="random").step(chip, batch_of(one), one.weights)
    assert chip.trials == [0, 1]
    assert both.loss == pytest.approx((alone[0].loss + alone[1].loss) / 2)
    for mean, a, b in zip(both.gradients, alone[0].gradients, alone[1].gradients, strict=True):
        np.testing.assert_allclose(mean, (a + b) / 2)


def noisy(net, weights, rng, spread, n=50, runs=2):
    """Runs of a linear network whose neurons have noise of their own, which goes on through the forward weights."""
    signal = {p.name: rng.normal(size=(n, p.size)) for p in net.populations}
    found = []
    for _ in range(runs):
        run = {}
        for p in net.populations:
            run[p.name] = signal[p.name] + (0.0 if p.name == "out" else rng.normal(0, spread[p.name], (n, p.size)))
            for k in net.onto(p.name):
                projection = net.projections[k]
                if projection.source != INPUT:
                    first, last = net.sources(projection)
                    deviation = run[projection.source] - signal[projection.source]
                    run[p.name] += deviation[:, first:last] @ forward_of(projection, weights[k])
        found.append(run)
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("runs", [2, 3])
def test_feedback_weights_become_the_forward_weights(seed, runs):
    """In a linear network they are what correlations of noise must come to, and in size, too, where the decay is 1."""
    net = Network(
        2, (Population("a", 6), Population("out", 4)), (Projection(INPUT, "a"), Projection("a", "out", copies=2))
    )
    rng = generator(seed, "linear")
    weights = [rng.normal(size=net.weight_shape(p)) for p in net.projections]
    feedback = FeedbackWeights(net, seed, 1.0)
    before = feedback.cosines(weights)
    assert before[1] == 1.0
    assert abs(before[0]) < 0.6
    for _ in range(400):
        feedback.learn(noisy(net, weights, rng, {"a": 0.3}, runs=runs), 0.02, 1.0, "even")
    assert feedback.cosines(weights)[0] > 0.98
    np.testing.assert_allclose(feedback.matrices[1], forward_of(net.projections[1], weights[1]), atol=0.3)


@pytest.mark.parametrize("seed", [1, 2])
def test_unequal_noise_leaves_directions_right_where_it_fades_them_alike(seed):
    net = Network(2, (Population("a", 6), Population("out", 4)), (Projection(INPUT, "a"), Projection("a", "out")))
    rng = generator(seed, "unequal")
    weights = [rng.normal(size=net.weight_shape(p)) for p in net.projections]
    spread = {"a": np.array([0.1, 0.1, 0.1, 0.3, 0.3, 1.0])}
    found = {}
    for fading in ("even", "noise"):
        feedback = FeedbackWeights(net, seed, 0.1)
        for _ in range(600):
            feedback.learn(noisy(net, weights, rng, spread), 0.05, 1.0, fading)
        found[fading] = feedback.cosines(weights)[0]
    assert found["even"] < 0.9
    assert found["noise"] > 0.95


def test_two_layers_align_at_once():
    net, rng = deep(), generator(1, "two layers")
    weights = [net.as_wired(p, rng.normal(0, 0.5, net.weight_shape(p))) for p in net.projections]
    feedback = FeedbackWeights(net, 1, 0.3)
    for _ in range(300):
        feedback.learn(noisy(net, weights, rng, {"a": 0.3, "b": 0.3}), 0.02, 1.0, "even")
    assert (feedback.cosines(weights) > 0.75).all()
    assert not feedback.matrices[4][~net.projections[4].mask].any()


def test_without_noise_feedback_weights_stay_random():
    net, rng = deep(), generator(2, "quiet")
    weights = [rng.normal(size=net.weight_shape(p)) for p in net.projections]
    feedback = FeedbackWeights(net, 1, 0.3)
    before = {k: m.copy() for k, m in feedback.matrices.items()}
    feedback.learn(noisy(net, weights, rng, {"a": 0.0, "b": 0.0}), 0.5, 1.0, "even")
    for k, matrix in feedback.matrices.items():
        np.testing.assert_array_equal(matrix, before[k])


@pytest.mark.parametrize(
    ("settings", "std"),
    [
        ({"feedback": "random"}, 0.1),
        ({"feedback": "learned"}, 0.001),
        ({"feedback": "learned", "feedback_std": 0.5}, 0.5),
    ],
)
def test_feedback_that_learns_begins_near_nothing(settings, std):
    recorded = recording(deep(spiking=False), 1)
    rule = FeedbackAlignment(**settings)
    rule.step(Recorder(readout(), recorded, recorded), batch_of(recorded), recorded.weights)  # no noise: nothing moves
    first = np.concatenate([rule.feedback.matrices[k].ravel() for k in (1, 3)])
    assert 0.5 * std < np.std(first) < 1.7 * std


def test_a_rule_goes_on_bit_by_bit():
    recorded = [recording(deep(spiking=False), seed) for seed in (1, 2)]
    recorded[1] = replace(recorded[1], inputs=recorded[0].inputs, weights=recorded[0].weights)
    loss = readout(score="mean")

    def steps(rule, numbers):
        found = [rule.step(Recorder(loss, *recorded), batch_of(recorded[0], n), recorded[0].weights) for n in numbers]
        return found[-1].gradients

    whole = FeedbackAlignment(feedback_rate=0.2)
    assert whole.state() == {}
    steps(whole, range(2))
    again = FeedbackAlignment(feedback_rate=0.2)
    again.load_state(whole.state())
    assert sorted(again.state()) == sorted(whole.state()) == ["feedback_1", "feedback_3", "feedback_4"]
    fresh = steps(FeedbackAlignment(feedback_rate=0.2), [2])
    one, other = steps(whole, [2, 3]), steps(again, [2, 3])
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(one, fresh, strict=True))


@pytest.mark.parametrize("damage", ["missing", "shape", "nan"])
def test_a_state_of_another_network_is_refused(damage):
    recorded = recording(deep(spiking=False), 1)
    rule = FeedbackAlignment()
    rule.step(Recorder(readout(), recorded), batch_of(recorded), recorded.weights)
    state = rule.state()
    if damage == "missing":
        del state["feedback_3"]
    else:
        state["feedback_3"] = state["feedback_3"][1:] if damage == "shape" else state["feedback_3"] * np.nan
    rule.load_state(state)
    with pytest.raises(ArrayError, match="feedback_3"):
        rule.step(Recorder(readout(), recorded), batch_of(recorded), recorded.weights)


@pytest.mark.parametrize(
    ("network", "loss", "settings", "field"),
    [
        (deep(), readout("shift_invariant_mse"), {}, "loss.kind"),
        (deep(), readout(period_us=3.0), {}, "rule.period_us"),
        (deep(), readout(), {"runs": 1}, "rule.runs"),
        (adapting(), readout("count_mse"), {}, "network.hidden.model"),
        (deep(spiking=False), readout("count_mse"), {}, "loss.kind"),
        (replace(deep(spiking=False), output="b"), readout(), {}, "network.out.spiking"),
        (replace(deep(), output="b"), readout(), {}, "network.projections"),
        (Network(2, (Population("a", 3),), (Projection(INPUT, "a"), Projection("a", "a"))), readout(), {},
         "network.projections"),
    ],
)  # fmt: skip
def test_what_it_cannot_train_is_refused(network, loss, settings, field):
    with pytest.raises(InvalidInputError) as found:
        FeedbackAlignment(**settings).check(network, loss)
    assert found.value.field == field


def test_what_it_can_train_is_not():
    FeedbackAlignment().check(deep(), readout())
    FeedbackAlignment(runs=1, feedback="random").check(deep(), readout("count_mse"))
    FeedbackAlignment().check(feed_forward(), readout())


def test_samples_without_readings_are_refused():
    recorded = recording(deep(), 1)
    short = replace(
        recorded, membranes={name: v[:, :0] for name, v in recorded.membranes.items()}, membrane_times_us=np.empty(0)
    )
    with pytest.raises(InvalidInputError, match="no reading") as found:
        FeedbackAlignment(runs=1, feedback="random").step(
            Recorder(readout("count_mse"), short), batch_of(short), short.weights
        )
    assert found.value.field == "rule.period_us"
