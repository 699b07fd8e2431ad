import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.errors import ArrayError, OutOfRangeError
from hxloop.seeds import generator
from hxloop_host.spike_times.weight_bumper import MOST, WeightBumper


class SlowBumper:
    """Loop by loop transcription of the published rule."""

    def __init__(self, limits, bump, doubling, targeted):
        self.limits, self.bump, self.doubling, self.targeted = limits, bump, doubling, targeted
        self.streak, self.last = 0, None

    def batch(self, weights, t_layers):
        for layer, times in enumerate(t_layers):
            n_samples, n_neurons = times.shape
            missed = [sum(1 for k in range(n_samples) if times[k, j] == np.inf) for j in range(n_neurons)]
            if sum(missed) / (n_samples * n_neurons) > self.limits[layer]:
                self.streak = self.streak + 1 if layer == self.last else 0
                self.last = layer
                increment = self.bump * 2 ** (self.streak if self.doubling else 0)
                for j in range(n_neurons):
                    if missed[j] > 0 or not self.targeted:
                        for i in range(len(weights[layer])):
                            weights[layer][i, j] += increment
                return layer
        self.last = None
        return None


def batches(seed, n):
    g = generator(seed, "bumper")
    for _ in range(n):
        layers = [g.uniform(0, 3, (4, 5)), g.uniform(0, 3, (4, 3))]
        for times in layers:
            times[g.random(times.shape) < g.choice([0.0, 0.2, 0.6])] = np.inf
        yield layers


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("doubling", [True, False])
@given(seed=st.integers(0, 2**40))
@settings(max_examples=25, deadline=None)
def test_weights_follow_the_published_rule(doubling, targeted, seed):
    limits = (0.3, 0.1)
    bumper = WeightBumper(limits, 0.005, doubling=doubling, targeted=targeted)
    slow = SlowBumper(limits, 0.005, doubling, targeted)
    ours, theirs = ([np.zeros((6, 5)), np.zeros((5, 3))] for _ in range(2))
    for t_layers in batches(seed, 12):
        layer = bumper.check(t_layers)
        if layer is not None:
            bumper.apply([ours[layer]], layer, t_layers)
        assert layer == slow.batch(theirs, t_layers)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_increment_doubles_while_the_same_layer_is_silent():
    silent, loud = np.full((2, 3), np.inf), np.ones((2, 3))
    bumper = WeightBumper((0.5, 0.5), 0.001)
    weights = [np.zeros((4, 3)), np.zeros((3, 3))]

    def increment(t_layers):
        layer = bumper.check(t_layers)
        return None if layer is None else (layer, bumper.apply([weights[layer]], layer, t_layers))

    assert increment([silent, silent]) == (0, 0.001)
    assert increment([silent, silent]) == (0, 0.002)
    assert increment([silent, loud]) == (0, 0.004)
    assert increment([loud, silent]) == (1, 0.001)
    assert increment([silent, loud]) == (0, 0.001)
    assert increment([loud, loud]) is None
    assert increment([silent, loud]) == (0, 0.001)
    np.testing.assert_allclose(weights[0], 0.009)
    np.testing.assert_allclose(weights[1], 0.001)


@pytest.mark.parametrize("bump", [0.0005, 4000.0])
def test_a_neuron_that_never_spikes_does_not_take_its_weights_out_of_the_numbers(bump):
    dead, bumper, weights = np.full((2, 1), np.inf), WeightBumper((0.5,), bump), np.zeros((3, 1))
    increments = []
    for _ in range(3000):
        assert bumper.check([dead]) == 0
        increments.append(bumper.apply([weights], 0, [dead]))
    assert increments[-1] == max(MOST, bump)
    assert np.isfinite(weights).all() and weights.min() < 3000 * max(increments) + 1
    again = WeightBumper((0.5,), bump)
    again.load_state(bumper.state())
    assert again.apply([weights], 0, [dead]) == increments[-1]


def test_the_limit_itself_is_tolerated():
    times = np.array([[np.inf, 1.0], [1.0, 1.0]])
    assert WeightBumper((0.25,)).check([times]) is None
    assert WeightBumper((0.2499,)).check([times]) == 0


def test_restored_state_continues():
    silent = [np.full((2, 3), np.inf)]
    first, second = WeightBumper((0.1,)), WeightBumper((0.1,))
    for _ in range(3):
        first.check(silent)
        first.apply([np.zeros((4, 3))], 0, silent)
    second.load_state(first.state())
    assert second.apply([np.zeros((4, 3))], 0, silent) == first.apply([np.zeros((4, 3))], 0, silent) == 8 * 0.0005
    with pytest.raises(ArrayError, match="bumper state"):
        second.load_state({})


def test_bad_arguments_are_named():
    with pytest.raises(OutOfRangeError, match="limits"):
        WeightBumper((0.3, 1.2))
    with pytest.raises(ArrayError, match="t_layers"):
        WeightBumper((0.3, 0.2)).check([np.ones((2, 2))])
