"""Rules that go forward in time: what they refuse and keep, and that what they hold does not grow with a sample."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from support.grid.recorded import PERIOD, TICK_US, N, feed_forward, recording

from hxloop.errors import ArrayError, InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch, Inputs, Spikes
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.learning.eligibility.eprop_rule import EligibilityPropagation, eligible_gradients, onto_output
from hxloop_host.learning.forward_propagation.fptt_rule import ForwardPropagation, parts_of
from hxloop_host.learning.forward_propagation.running_mean import RunningMean
from hxloop_host.learning.through_time.ottt_rule import OnlineThroughTime, online_gradients
from hxloop_host.readings.backward_pass import weight_gradients
from hxloop_host.readings.parts import part_of
from hxloop_host.readings.reading_grid import ReadingGrid
from hxloop_host.readouts.readout_registry import READOUTS

RULES = (OnlineThroughTime, EligibilityPropagation, ForwardPropagation)


def readout(kind="membrane_cross_entropy", **settings):
    return READOUTS.find(kind)[0](**settings)


class Recorder:
    """A chip that gives back the same whatever it is asked; keeps what it was asked."""

    strength = None

    def __init__(self, recorded):
        self.network, self.readout, self.recorded, self.asked = recorded.network, readout(scale=2.0), recorded, []
        self.duration_ticks = recorded.duration_ticks

    def run(self, batch, weights, *, trial=0, observe=None):
        self.asked.append(([w.copy() for w in weights], trial))
        return self.recorded


def batch_of(recorded, **changes):
    values = {"epoch": 0, "number": 9, "seed": 5} | changes
    return Batch(recorded.inputs, np.arange(recorded.n_samples) % 3, **values)


def step(rule, recorded, weights=None, **changes):
    chip = Recorder(recorded)
    return rule.step(chip, batch_of(recorded, **changes), recorded.weights if weights is None else weights), chip


def repeated(recorded, times):
    """The same sample again and again in one that is as many times as long."""
    n_reads, given = len(recorded.membrane_times_us), recorded.inputs.spikes
    length = n_reads * PERIOD
    again = [given.tick + k * length for k in range(times)]
    inputs = SpikeBatch.from_arrays(
        np.tile(given.sample, times), np.concatenate(again), np.tile(given.source, times), recorded.n_samples
    )
    spikes = {}
    for name, s in recorded.spikes.items():
        sample, neuron = np.tile(s.sample, times), np.tile(s.neuron, times)
        tick = np.concatenate([s.tick + k * length for k in range(times)])
        order = np.lexsort((tick, sample))
        spikes[name] = Spikes(sample[order], neuron[order], tick[order])
    return replace(
        recorded, inputs=Inputs(inputs), spikes=spikes, duration_ticks=times * recorded.duration_ticks,
        membranes={name: np.tile(v, (1, times, 1)) for name, v in recorded.membranes.items()},
        membrane_times_us=np.arange(times * n_reads) * PERIOD * TICK_US,
    )  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_losses_of_first_spikes_are_refused(rule):
    with pytest.raises(InvalidInputError, match="membranes or spike counts") as found:
        rule().check(feed_forward(), readout("shift_invariant_mse"))
    assert found.value.field == "loss.kind"


@pytest.mark.parametrize("rule", RULES[1:])
def test_losses_of_counts_are_refused_where_errors_are_those_of_membranes(rule):
    with pytest.raises(InvalidInputError, match="membranes") as found:
        rule().check(Network(2, (Population("all", 3),), (Projection(INPUT, "all"),)), readout("count_cross_entropy"))
    assert found.value.field == "loss.kind"


def test_symmetric_broadcast_must_reach_all_neurons():
    deep = Network(
        2,
        (Population("first", 3), Population("second", 3), Population("output", 2, spiking=False)),
        (Projection(INPUT, "first"), Projection("first", "second"), Projection("second", "output")),
    )
    with pytest.raises(InvalidInputError, match="'first' has no synapses") as found:
        EligibilityPropagation().check(deep, readout())
    assert found.value.field == "rule.broadcast"
    for broadcast in ("random", "adaptive"):
        EligibilityPropagation(broadcast=broadcast).check(deep, readout())


def online(rule, chip, batch, seen):
    return online_gradients(chip.recorded, seen, rule.settings)


def eligible(rule, chip, batch, seen):
    return eligible_gradients(chip.recorded, seen, onto_output(seen.grid, chip.recorded.weights), rule.settings)


def in_parts(rule, chip, batch, seen):
    return rule._through_parts(chip, batch, chip.recorded, seen, chip.recorded.weights)


def whole(rule, chip, batch, seen):
    own = rule.settings
    return weight_gradients(
        seen.grid, chip.recorded, seen.grad_v, seen.grad_count, surrogate=own.surrogate, steepness=own.steepness,
        threshold=seen.threshold,
    )  # fmt: skip


def peak_bytes(rule, recorded, learn):
    """Most that is held at a time beside the recording and the derivative of the loss by its readings."""
    chip, batch = Recorder(recorded), batch_of(recorded)
    seen = rule._seen(chip, batch, recorded)
    learn(rule, chip, batch, seen)
    tracemalloc.start()
    learn(rule, chip, batch, seen)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(
    ("rule", "learn"),
    [(OnlineThroughTime, online), (EligibilityPropagation, eligible), (ForwardPropagation, in_parts),
     (OnlineThroughTime, whole)],
)  # fmt: skip
def test_what_is_held_does_not_grow_with_the_duration(rule, learn):
    """Ten times as long a sample, and nothing more is held; the whole backward pass holds ten times as much."""
    hidden = Network(
        5,
        (Population("hidden", 60), Population("output", 3, spiking=False)),
        (Projection(INPUT, "hidden"), Projection("hidden", "output")),
    )
    for seed in (1, 2):
        short, long = (repeated(recording(hidden, seed), times) for times in (8, 80))
        short_bytes, long_bytes = (peak_bytes(rule(measured_batches=0), r, learn) for r in (short, long))
        if learn is whole:
            assert long_bytes > 5 * short_bytes
        else:
            assert long_bytes < 1.1 * short_bytes
            updates = [step(rule(), r)[0].diagnostics["trace_bytes"] for r in (short, long)]
            assert updates[0] == updates[1] > 0


@pytest.mark.parametrize("first", [0, 3, 5])
def test_a_part_has_what_arrives_within_it(first):
    net = feed_forward()
    for seed in (1, 2):
        rec, grid = recording(net, seed), ReadingGrid(net, PERIOD, TICK_US, 128)
        part = part_of(grid, rec, slice(1, 3), slice(first, first + 3))
        given = rec.inputs.spikes.part(1, 3)
        begin, end = (first - 1) * PERIOD, (first + 2) * PERIOD
        kept = (given.tick > begin) & (given.tick <= end)
        np.testing.assert_array_equal(part.inputs.spikes.tick, given.tick[kept] - first * PERIOD)
        np.testing.assert_array_equal(part.inputs.spikes.source, given.source[kept])
        np.testing.assert_array_equal(part.inputs.spikes.sample, given.sample[kept])
        spikes, found = rec.spikes["hidden"], part.spikes["hidden"]
        kept = (spikes.sample >= 1) & (spikes.tick + 128 > begin) & (spikes.tick <= end)
        np.testing.assert_array_equal(found.tick, spikes.tick[kept] - first * PERIOD)
        np.testing.assert_array_equal(found.sample, spikes.sample[kept] - 1)
        np.testing.assert_array_equal(part.membranes["output"], rec.membranes["output"][1:3, first : first + 3])


def test_parts_cover_all_readings_and_none_has_a_single_one():
    for n_reads in range(2, 40):
        for length in (2, 3, 7, 32):
            parts = parts_of(n_reads, length)
            covered = [k for part in parts for k in range(part.start, part.stop)]
            assert covered == list(range(n_reads))
            assert min(part.stop - part.start for part in parts) >= 2


def test_running_means_follow_the_published_steps():
    rng, alpha, beta, rate = generator(1, "steps"), 0.3, 0.4, 0.01
    w = [rng.normal(size=(3, 2)), rng.normal(size=(2, 2))]
    running, flat = RunningMean(w), np.concatenate([x.ravel() for x in w])
    mean, pull, m, v = flat.copy(), np.zeros(10), np.zeros(10), np.zeros(10)
    for t in range(1, 6):
        g = [rng.normal(size=x.shape) for x in w]
        whole = np.concatenate([x.ravel() for x in g]) + alpha * (flat - mean) - pull
        m, v = 0.9 * m + 0.1 * whole, 0.999 * v + 0.001 * whole**2
        flat = flat - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        pull = pull - alpha * (flat - mean)
        mean = (1 - beta) * mean + beta * flat - beta / alpha * pull
        w = running.move(w, g, rate, alpha, beta)
        np.testing.assert_allclose(np.concatenate([x.ravel() for x in w]), flat, rtol=1e-12)
        np.testing.assert_allclose(np.concatenate([x.ravel() for x in running.settled()]), mean, rtol=1e-12)


def test_fptt_takes_the_label_more_and_more_and_what_is_usual_less_and_less():
    rule, loss = ForwardPropagation(), readout(scale=2.0)
    rng = generator(2, "scores")
    scores, label = rng.normal(size=(4, 3)), np.array([0, 1, 2, 1])
    rule.answered = rng.dirichlet(np.ones(3), size=(2, 3))
    o = np.exp(2.0 * scores - (2.0 * scores).max(axis=1, keepdims=True))
    o /= o.sum(axis=1, keepdims=True)
    for known in (0.25, 1.0):
        target = known * np.eye(3)[label] + (1 - known) * rule.answered[1][label]
        found = rule._derivative(loss, scores, label, 1, known)
        np.testing.assert_allclose(found, 2.0 * (o - target) / 4, atol=1e-10)


def test_fptt_runs_again_for_each_part_only_where_it_is_asked_to():
    recorded = recording(feed_forward(), 3)
    _, once = step(ForwardPropagation(readings=3), recorded)
    update, often = step(ForwardPropagation(readings=3, run_again=True), recorded)
    assert [trial for _, trial in once.asked] == [0]
    assert [trial for _, trial in often.asked] == [0, 1, 2]
    assert any((a != b).any() for a, b in zip(often.asked[1][0], often.asked[2][0], strict=True))
    assert update.gradients is None


@pytest.mark.parametrize(
    "make",
    [lambda: EligibilityPropagation(broadcast="adaptive", measured_batches=9), lambda: ForwardPropagation(readings=3)],
    ids=["eprop", "fptt"],
)  # fmt: skip
def test_what_is_kept_goes_on_bit_by_bit(make):
    recorded = recording(feed_forward(), 4)
    rule, weights = make(), recorded.weights
    rng = generator(4, "moves")
    for number in range(2):
        step(rule, recorded, weights, number=number)
        weights = [w + 0.01 * rng.normal(size=w.shape) for w in weights]
    other = make()
    other.load_state(rule.state())
    updates = [step(each, recorded, weights, number=2)[0] for each in (rule, other)]
    given = [update.weights if update.gradients is None else update.gradients for update in updates]
    for one, again in zip(*given, strict=True):
        np.testing.assert_array_equal(one, again)
    for name, values in rule.state().items():
        np.testing.assert_array_equal(values, other.state()[name])
    fresh = step(make(), recorded, weights, number=2)[0]
    plain = fresh.weights if fresh.gradients is None else fresh.gradients
    assert any((a != b).any() for a, b in zip(plain, given[0], strict=True))


def test_a_state_of_another_network_is_refused():
    recorded = recording(feed_forward(), 4)
    rule, other = ForwardPropagation(), ForwardPropagation()
    step(rule, recorded)
    other.load_state(rule.state() | {"pull": np.zeros(3)})
    with pytest.raises(ArrayError, match="another network") as found:
        step(other, recorded)
    assert found.value.field == "rule state pull"


def test_adaptive_broadcast_weights_come_to_follow_those_onto_the_output():
    recorded = recording(feed_forward(), 5)
    rule, weights = EligibilityPropagation(broadcast="adaptive", broadcast_decay=0.1), recorded.weights
    rng, learned = generator(5, "learned"), 0.0 * recorded.weights[1]
    for number in range(60):
        step(rule, recorded, weights, number=number)
        change = rng.normal(size=learned.shape) * 0.1
        learned = 0.9 * learned + change
        weights = [weights[0], weights[1] + change]
    step(rule, recorded, weights, number=60)
    np.testing.assert_allclose(rule.broadcast[:4], learned, atol=0.01)


def test_rates_are_pulled_to_their_target():
    recorded = recording(feed_forward(), 6)
    counts = recorded.spikes["hidden"].counts(N, 4)
    free = step(EligibilityPropagation(), recorded)[0]
    held = step(EligibilityPropagation(c_reg=0.5, target_spikes=2.0), recorded)[0]
    expected = 0.25 * float(((counts.mean(axis=0) - 2.0) ** 2).mean())
    assert held.loss - free.loss == pytest.approx(expected)
    assert any((a != b).any() for a, b in zip(held.gradients, free.gradients, strict=True))
    assert held.gradients[1] == pytest.approx(free.gradients[1])
