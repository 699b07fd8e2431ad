"""The sparse backward pass: the dense one where all is active, and what it leaves out where not."""

from dataclasses import replace

import numpy as np
import pytest
from support.grid.forward_reference import seen_of
from support.grid.recorded import N_READS, NETWORKS, PERIOD, N, recording, wide

from hxloop.seeds import generator
from hxloop_host.readings.backward_pass import BackwardWork, dense_work, weight_gradients
from hxloop_host.readings.kernels import fill_slopes
from hxloop_host.readings.surrogates import CODES, distance_of, shape_of, value_at

STEEPNESS = 5.0
N_DRAWS = 300
FAR = 1e9  # thresholds from threshold: no surrogate is left


def gradients(rec, seen, band, work=None, surrogate="superspike", beyond=None):
    return weight_gradients(
        seen.grid, rec, seen.grad_v, seen.grad_count, surrogate=surrogate, steepness=STEEPNESS,
        threshold=seen.threshold, factors=seen.factors, band=band, beyond=beyond, work=work,
    )  # fmt: skip


def flat(found):
    return np.concatenate([g.ravel() for g in found])


def same(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(np.abs(g).max() for g in expected))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", [*NETWORKS, "wide"])
def test_where_all_neurons_are_active_it_is_the_dense_pass(name, seed):
    net = wide() if name == "wide" else NETWORKS[name]()
    rec, seen = recording(net, seed), seen_of(net, seed)
    dense, work = gradients(rec, seen, 0.0), BackwardWork()
    same(gradients(rec, seen, 1e6, work), dense, 1e-12)
    assert work.active == work.pairs == N * N_READS * sum(p.size for p in net.populations if p.spiking)
    for one, other in zip(gradients(rec, seen, np.inf), dense, strict=True):
        np.testing.assert_array_equal(one, other)


def without_far_membranes(rec, seen, band):
    """The same recording, with membranes that are not near threshold infinitely far from it."""
    found, n_near = {}, 0
    for name, v in rec.membranes.items():
        population = rec.network.population(name)
        near = np.abs(v / population.model_threshold - 1.0) < band
        found[name] = np.where(near, v, FAR * population.model_threshold)
        if population.spiking:
            spikes = rec.spikes[name]
            reading = -(-spikes.tick // PERIOD)
            near[spikes.sample[reading < N_READS], reading[reading < N_READS], spikes.neuron[reading < N_READS]] = True
            n_near += int(near.sum())
    return replace(rec, membranes=found), n_near


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("band", [0.05, 0.3])
@pytest.mark.parametrize("name", [*NETWORKS, "wide"])
def test_it_leaves_out_what_is_far_from_threshold_and_nothing_else(name, band, seed):
    net = wide() if name == "wide" else NETWORKS[name]()
    rec, seen = recording(net, seed), seen_of(net, seed)
    work = BackwardWork()
    far, n_near = without_far_membranes(rec, seen, band)
    found = gradients(rec, seen, band, work)
    same(found, gradients(far, seen, 0.0), 1e-12)
    assert work.active == n_near < work.pairs
    assert max(np.abs(a - b).max() for a, b in zip(found, gradients(rec, seen, 0.0), strict=True)) > 0


def test_the_narrower_the_band_the_less_work():
    net = wide()
    for seed in (1, 2):
        rec, seen = recording(net, seed), seen_of(net, seed)
        counted = []
        for band in (0.0, 0.8, 0.4, 0.1, 0.01):
            work = BackwardWork()
            gradients(rec, seen, band, work)
            counted.append(work.multiply_adds)
            assert work.dense_multiply_adds == counted[0]
        assert counted == sorted(counted, reverse=True)
        assert counted[0] == dense_work(seen.grid, rec) > 3 * counted[-1]


def test_single_precision_is_as_good():
    for seed in (3, 4):
        rec = recording(wide(), seed)
        same(gradients(rec, seen_of(wide(), seed, np.float32), 0.2), gradients(rec, seen_of(wide(), seed), 0.2), 1e-5)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("surrogate", ["superspike", "sigmoid", "arctan"])
@pytest.mark.parametrize("name", [*NETWORKS, "wide"])
def test_what_is_drawn_beyond_the_band_is_the_dense_gradient_in_the_mean(name, surrogate, seed):
    net = wide() if name == "wide" else NETWORKS[name]()
    rec, seen = recording(net, seed), seen_of(net, seed)
    dense = flat(gradients(rec, seen, 0.0, surrogate=surrogate))
    cut = flat(gradients(rec, seen, 0.1, surrogate=surrogate))
    drawn = np.array([
        flat(gradients(rec, seen, 0.1, surrogate=surrogate, beyond=generator(seed, "beyond", k)))
        for k in range(N_DRAWS)
    ])  # fmt: skip
    off, error = drawn.mean(axis=0) - dense, drawn.std(axis=0, ddof=1) / np.sqrt(N_DRAWS)
    assert abs(off @ dense) < 4 * np.std(drawn @ dense, ddof=1) / np.sqrt(N_DRAWS)
    assert np.linalg.norm(off) < 2 * np.linalg.norm(error)
    assert np.linalg.norm(off) < 0.5 * np.linalg.norm(cut - dense)


@pytest.mark.parametrize("seed", [1, 2])
def test_how_many_are_drawn_is_what_the_surrogate_says(seed):
    net = wide()
    rec, seen = recording(net, seed), seen_of(net, seed)
    expected, n_pairs = 0.0, 0
    for name, v in rec.membranes.items():
        if rec.network.population(name).spiking:
            x = np.abs(v / rec.network.population(name).model_threshold - 1.0)
            chance = np.minimum(1.0, ((STEEPNESS * 0.1 + 1.0) / (STEEPNESS * x + 1.0)) ** 2)
            spikes = rec.spikes[name]
            reading = -(-spikes.tick // PERIOD)
            inside = reading < N_READS
            chance[spikes.sample[inside], reading[inside], spikes.neuron[inside]] = 1.0
            expected, n_pairs = expected + chance.sum(), n_pairs + chance.size
    counted = []
    for k in range(N_DRAWS):
        work = BackwardWork()
        gradients(rec, seen, 0.1, work, beyond=generator(seed, "beyond", k))
        counted.append(work.active)
    assert abs(np.mean(counted) - expected) < 4 * np.std(counted, ddof=1) / np.sqrt(N_DRAWS)
    assert work.pairs == n_pairs > expected


@pytest.mark.parametrize("surrogate", ["superspike", "sigmoid", "triangle", "arctan"])
def test_values_and_distances_of_surrogates_are_those_of_the_kernel(surrogate):
    far, slopes = np.linspace(0.0, 0.9 / STEEPNESS, 50), np.empty(50)
    fill_slopes(CODES[surrogate], 1.0 - far, np.ones(50), shape_of(STEEPNESS, np.float64), slopes)
    values = [value_at(surrogate, x, STEEPNESS) for x in far]
    np.testing.assert_allclose(values, slopes, rtol=1e-12)
    np.testing.assert_allclose(distance_of(surrogate, np.array(values), STEEPNESS), far, atol=1e-8)


def test_where_nothing_is_beyond_nothing_is_drawn():
    rec, seen = recording(wide(), 1), seen_of(wide(), 1)
    for surrogate, band in (("triangle", 1.0 / STEEPNESS), ("sigmoid", 1e3)):
        drawn = gradients(rec, seen, band, surrogate=surrogate, beyond=generator(1, "beyond"))
        same(drawn, gradients(rec, seen, band, surrogate=surrogate), 0.0)
        same(drawn, gradients(rec, seen, 0.0, surrogate=surrogate), 1e-12)
