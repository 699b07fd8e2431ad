"""The rule around its gradients: what it refuses, costs of activity, neurons left out, and its state."""

from dataclasses import replace

import numpy as np
import pytest
from support.grid.recorded import DURATION, PERIOD, TICK_US, N, feed_forward, recording

from hxloop.codes.neuron_model import NeuronModel
from hxloop.errors import ArrayError, InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch
from hxloop_host.learning.surrogate_gradient.surrogate_rule import SurrogateGradient
from hxloop_host.readings.reading_grid import ReadingGrid
from hxloop_host.readouts.readout_registry import READOUTS


def readout(kind="membrane_cross_entropy", **settings):
    return READOUTS.find(kind)[0](**settings)


def one_population(**changes):
    return Network(2, (Population("all", 3, **changes),), (Projection(INPUT, "all"),))


class Recorder:
    """A chip that gives back the same whatever it is asked; keeps what it was asked."""

    strength = None
    duration_ticks = DURATION

    def __init__(self, network, recorded):
        self.network, self.readout, self.recorded, self.asked = network, readout(scale=2.0), recorded, []

    def run(self, batch, weights, *, trial=0, observe=None):
        self.asked.append((batch, [w.copy() for w in weights], trial))
        return self.recorded


@pytest.mark.parametrize("kind", ["shift_invariant_mse", "softmax_times", "target_times_mse"])
def test_losses_of_first_spikes_are_refused(kind):
    with pytest.raises(InvalidInputError, match="membranes or spike counts") as found:
        SurrogateGradient().check(one_population(), readout(kind))
    assert found.value.field == "loss.kind"


def test_readings_for_the_loss_are_those_of_the_rule():
    with pytest.raises(InvalidInputError, match="2 us for the loss") as found:
        SurrogateGradient(period_us=3.0).check(feed_forward(), readout(period_us=2.0))
    assert found.value.field == "rule.period_us"
    SurrogateGradient(period_us=3.0).check(feed_forward(), readout(period_us=3.0))


@pytest.mark.parametrize("term", [{"exponential_na": 1.0}, {"reversal_exc_mv": 900.0}, {"reversal_inh_mv": 100.0}])
def test_terms_without_a_model_are_refused_and_adaptation_is_not(term):
    with pytest.raises(InvalidInputError, match="exponential") as found:
        SurrogateGradient().check(one_population(model=NeuronModel(**term)), readout())
    assert found.value.field == "network.all.model"
    adapting = NeuronModel(tau_adaptation_us=50.0, adaptation_b_na=1.0)
    SurrogateGradient().check(one_population(model=adapting), readout())


def costs(rule, counts):
    net = feed_forward()
    return rule._activity_cost(net, ReadingGrid(net, PERIOD, TICK_US, 128), counts)


@pytest.mark.parametrize(
    "settings", [{"bursts": 0.3}, {"rates": 0.7, "rate_low": 1.2, "rate_high": 1.4}, {"bursts": 0.1, "rates": 0.2}]
)
def test_costs_of_activity_have_the_derivatives_they_say(settings):
    rule, rng = SurrogateGradient(**settings), np.random.default_rng(3)
    counts = rng.poisson(1.5, (N, 7)).astype(float)
    counts[:, 4:] = 0  # membranes only
    cost, grad = costs(rule, counts)
    assert cost > 0 or not settings.get("bursts", settings.get("rate_low"))
    for sample, neuron in ((0, 0), (1, 2), (2, 3), (1, 5)):
        step = []
        for sign in (1, -1):
            moved = counts.copy()
            moved[sample, neuron] += sign * 1e-4
            step.append(costs(rule, moved)[0])
        expected = (step[0] - step[1]) / 2e-4 if neuron < 4 else 0.0
        assert grad[sample, neuron] == pytest.approx(expected, abs=1e-8)


def step_of(rule, seed=1, **batch):
    net = feed_forward()
    recorded = recording(net, seed)
    chip = Recorder(net, recorded)
    weights = recorded.weights
    given = Batch(recorded.inputs, np.array([0, 1, 2]), **({"epoch": 0, "number": 9, "seed": 5} | batch))
    return chip, weights, rule.step(chip, given, weights)


def test_weights_have_a_cost():
    _, weights, plain = step_of(SurrogateGradient())
    _, _, update = step_of(SurrogateGradient(weights=0.5))
    assert update.loss - plain.loss == pytest.approx(0.5 * sum((w**2).mean() for w in weights))
    for one, other, w in zip(update.gradients, plain.gradients, weights, strict=True):
        np.testing.assert_allclose(one - other, w / w.size, atol=1e-12)


def test_neurons_left_out_drive_nothing_and_learn_nothing():
    chip, weights, update = step_of(SurrogateGradient(dropout=0.5))
    _, tried, _ = chip.asked[0]
    np.testing.assert_array_equal(tried[0], weights[0])
    out = ~tried[1].any(axis=1)
    assert 0 < out.sum() < 4
    np.testing.assert_array_equal(tried[1][~out], weights[1][~out])
    assert not update.gradients[1][out].any()
    assert update.gradients[1][~out].any()


def test_each_batch_leaves_other_neurons_out_and_the_same_again():
    def left_out(**batch):
        return tuple((~step_of(SurrogateGradient(dropout=0.5), **batch)[0].asked[0][1][1].any(axis=1)).tolist())

    assert len({left_out(number=n) for n in range(12)}) > 3
    assert left_out(number=4, epoch=2) == left_out(number=4, epoch=2)


def test_each_batch_draws_others_beyond_its_band_and_the_same_again():
    def looked_at(**batch):
        *_, update = step_of(SurrogateGradient(band=0.05, beyond="drawn"), **batch)
        return update.diagnostics["active_fraction"], *(g.sum() for g in update.gradients)

    *_, ignored = step_of(SurrogateGradient(band=0.05))
    found = [looked_at(number=n) for n in range(12)]
    assert len(set(found)) > 6
    assert min(share for share, *_ in found) >= ignored.diagnostics["active_fraction"]
    assert looked_at(number=4, epoch=2) == looked_at(number=4, epoch=2)


@pytest.mark.parametrize("value", ["some", True, 1.0])
def test_what_is_beyond_a_band_is_ignored_or_drawn(value):
    with pytest.raises(InvalidInputError, match="beyond") as found:
        SurrogateGradient(band=0.1, beyond=value)
    assert found.value.field == "beyond"


def test_a_single_reading_is_refused():
    net, recorded = feed_forward(), recording(feed_forward(), 1)
    short = replace(
        recorded,
        membranes={name: v[:, :1] for name, v in recorded.membranes.items()},
        membrane_times_us=recorded.membrane_times_us[:1],
    )
    with pytest.raises(InvalidInputError, match="1 readings") as found:
        SurrogateGradient().step(
            Recorder(net, short), Batch(short.inputs, np.zeros(N, np.int64), 0, 0, 1), short.weights
        )
    assert found.value.field == "rule.period_us"


def test_readings_beyond_a_channels_range_are_not_measured():
    """What is read there says nothing of events, and would make their weights look weak."""
    net, recorded = feed_forward(), recording(feed_forward(), 3)
    grid = ReadingGrid(net, PERIOD, TICK_US, 128)
    traces = recorded.membranes["output"].copy()
    traces[0, 3:6, 1], traces[2, 1, 1], traces[1, 2:4, 2] = -1.4, -1.4, -0.3
    used = grid.undisturbed(replace(recorded, membranes=recorded.membranes | {"output": traces}))[:, :, 4:]
    beyond = np.argwhere(~used).tolist()
    # From the reading before the first to the one after the last; a single lowest reading is one that was there.
    assert beyond == [[0, step, 1] for step in (2, 3, 4, 5)]


def test_the_height_of_the_surrogate_damps_what_goes_through_spikes():
    """Once through a hidden spike: as many times as much for the weights onto it, the same for those behind it."""
    _, _, whole = step_of(SurrogateGradient())
    _, _, half = step_of(SurrogateGradient(height=0.5))
    np.testing.assert_allclose(half.gradients[0], 0.5 * whole.gradients[0], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(half.gradients[1], whole.gradients[1], rtol=1e-6)


def test_what_was_measured_is_its_state():
    rule = SurrogateGradient(measured_batches=1)
    assert rule.state() == {}
    step_of(rule, number=0)
    other = SurrogateGradient(measured_batches=1)
    other.load_state(rule.state())
    np.testing.assert_array_equal(other.scale.strengths(), rule.scale.strengths())
    assert (rule.scale.strengths() != 1.0).any()
    with pytest.raises(ArrayError, match="normal"):
        other.load_state({"crossings": np.zeros(7)})


def test_activity_is_shown_by_population():
    _, _, update = step_of(SurrogateGradient(), seed=2)
    spikes = recording(feed_forward(), 2).spikes["hidden"]
    shown = update.diagnostics["spikes_per_neuron"]
    assert shown[0] == pytest.approx(len(spikes.tick) / (N * 4))
    assert shown[1] == 0.0
