"""Scale and shift of many neurons at once, of neurons whose answer to weights is known."""

import numpy as np
import pytest

from hxloop.seeds import generator
from hxloop_host.beginnings.neuron_search import NeuronSearch, Seen, Wanted

N = 40


class Neurons:
    """Spike at ``3 - gain (shift + offset) + scale spread z`` for samples of noise z, before 3.5, or never."""

    def __init__(self, seed, n=N):
        g = generator(seed, "neurons")
        self.gain, self.offset = g.uniform(1.0, 10.0, n), g.normal(0.0, 0.2, n)
        self.spread, self.z = g.uniform(0.1, 0.8, n), g.normal(0.0, 1.0, (200, n))

    def __call__(self, scale, shift):
        times = 3.0 - self.gain * (shift + self.offset) + scale * self.spread * self.z
        return np.where(times < 3.5, np.maximum(times, 0.0), np.inf)


def found(neurons, wanted, most=60, limit=5.0):
    search = NeuronSearch(wanted, np.full(len(wanted.median), 0.02), limit)
    for run in range(most):
        search.learn(Seen.of(neurons(search.scale, search.shift)))
        if search.is_done:
            return search, run + 1
    return search, most


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_medians_come_where_they_are_wanted(seed):
    neurons = Neurons(seed)
    wanted = Wanted(np.linspace(0.5, 2.5, N), 0.05, 0.6, 1.0)
    search, runs = found(neurons, wanted)
    seen = Seen.of(neurons(search.best_scale, search.best_shift))
    np.testing.assert_allclose(seen.median, wanted.median, atol=0.05)
    assert (seen.share >= 0.6).all()
    assert search.is_done
    assert runs <= 24


def test_neurons_that_miss_samples_are_made_to_see_them_alike():
    neurons = Neurons(5)
    neurons.spread[:] = 1.5
    wanted = Wanted(np.full(N, 2.8), 0.1, 0.9, 1.0)
    search, _ = found(neurons, wanted)
    seen = Seen.of(neurons(search.best_scale, search.best_shift))
    assert (seen.share >= 0.9).mean() > 0.9
    assert (search.best_scale < 1.0).any()


@pytest.mark.parametrize("dead", [np.inf, 0.0])
def test_what_cannot_be_reached_is_told_and_harms_nobody(dead):
    """One neuron never spikes, or always at once, whatever its weights."""
    neurons = Neurons(6)

    def answer(scale, shift):
        times = neurons(scale, shift)
        times[:, 3] = dead
        return times

    search, _ = found(answer, Wanted(np.linspace(0.5, 2.5, N), 0.05, 0.6, 1.0))
    assert search.best[3] > 0.0
    assert np.isfinite(search.best_scale).all()
    assert (np.abs(search.best_shift) <= 5.0).all()
    assert np.count_nonzero(search.best == 0.0) == N - 1


def test_no_samples_say_nothing():
    seen = Seen.of(np.empty((0, 3)))
    assert (seen.share == 0.0).all()
    assert np.isinf(seen.median).all()
