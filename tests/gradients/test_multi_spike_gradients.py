"""Gradients of all spike times with a hard reset, against finite differences of an event-driven solution."""

import numpy as np
import pytest
from support.hard_reset import recorded, spike_times

from hxloop.network import INPUT, Network, Population, Projection
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.learning.multi_spike.exact_backward import weight_gradients
from hxloop_host.learning.multi_spike.kernels import add_gradients, merged, slopes

TICK_US, DURATION, N, STEP = 0.008, 9000, 2, 4e-5


def slope(value):
    """Derivative at 0 by differences of fourth order, and how uncertain it is: where a spike nearly grazes, more so."""
    d = [(value(step) - value(-step)) / (2 * step) for step in (STEP, STEP / 2, STEP / 4)]
    coarse, fine = (4.0 * d[1] - d[0]) / 3.0, (4.0 * d[2] - d[1]) / 3.0
    return fine, abs(fine - coarse)


def gradients_of(arrival, w, spike, outer, refractory, threshold, reset, soften=0.0):
    """Of one neuron: by weights and by arrivals."""
    order, n = np.argsort(arrival, kind="stable"), len(arrival)
    known, grad_w, grad_t = np.zeros((2, len(spike))), np.zeros((n, 1)), np.zeros(n)
    entries = merged(arrival[order], spike, refractory)
    common = entries, arrival[order], order, spike, np.zeros(len(spike), np.int64), w[:, None], refractory
    slopes(*common, threshold, reset, 0.0, soften, known)
    add_gradients(*common, known, outer.copy(), np.zeros(1), np.inf, np.empty((n, 1)), grad_w, grad_t)
    return grad_w[:, 0], grad_t[np.argsort(order)]


@pytest.mark.parametrize("refractory", [0.0, 0.3])
@pytest.mark.parametrize("reset", [0.0, -0.4, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_one_neuron(seed, reset, refractory):
    rng = generator(seed, "neuron")
    arrival, w = rng.uniform(0.0, 4.0, 40), rng.normal(0.2, 0.3, 40)

    def times(arrival, w):
        return spike_times(arrival, w, refractory=refractory, threshold=1.0, reset=reset, until=6.0)

    spike = times(arrival, w)
    assert len(spike) >= 3
    outer = rng.normal(0.0, 1.0, len(spike))
    found = gradients_of(arrival, w, spike, outer, refractory, 1.0, reset)
    for which in range(2):
        for place in range(40):

            def loss(step, which=which, place=place):
                moved = [arrival.copy(), w.copy()]
                moved[1 - which][place] += step
                return outer @ times(*moved)

            largest = max(1.0, np.abs(found[which]).max())
            expected, error = slope(loss)
            assert error < 1e-8 * largest
            assert found[which][place] == pytest.approx(expected, abs=1e-8 * largest)


def network(reset_mv=420.0, refractory_us=1.0):
    """Two hidden populations, one also behind the other; other time constants, copies, a mask and parts."""
    point = {"v_leak_mv": 420.0, "v_reset_mv": reset_mv, "v_threshold_mv": 735.0}
    mask = generator(3, "mask").random((5, 3)) < 0.7
    return Network(
        6,
        (
            Population("out", 3, tau_mem_us=20.0, tau_syn_us=10.0, t_refractory_us=refractory_us, **point),
            Population("a", 5, tau_mem_us=16.0, tau_syn_us=8.0, t_refractory_us=2.0, model_threshold=1.3, **point),
            Population("b", 3, tau_mem_us=20.0, tau_syn_us=10.0, t_refractory_us=refractory_us, **point),
        ),
        (
            Projection(INPUT, "out", part=(0, 2)), Projection("a", "out", 2), Projection("b", "out"),
            Projection(INPUT, "a", 2), Projection("a", "b", mask=mask), Projection(INPUT, "b", part=(1, 6)),
        ),
        output="out",
    )  # fmt: skip


def case(seed):
    net = network(reset_mv=(420.0, 350.0, 480.0)[seed % 3], refractory_us=(1.0, 0.0, 5.0)[seed % 3])
    rng = generator(seed, "case")
    mean = {INPUT: 0.35, "a": 0.12, "b": 0.2}
    weights = [
        net.as_wired(p, rng.normal(mean[p.source], 0.25, net.weight_shape(p))) for p in net.projections
    ]  # fmt: skip
    n = rng.poisson(2.5, (N, 6))
    sample, channel = np.divmod(np.repeat(np.arange(n.size), n.ravel()), 6)
    trains = SpikeBatch.from_arrays(sample, rng.integers(0, 5000, len(sample)), channel, N)
    return net, weights, trains, rng


class Measured:
    """A calibration that found other strengths and another time constant."""

    def __init__(self, net, rng):
        self.tau_factor = 1.1
        self.factors = [rng.uniform(0.8, 1.2, net.weight_shape(p)) for p in net.projections]

    def factor(self, projection, codes):
        return self.factors[projection]


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_network(seed, calibrated):
    net, weights, trains, rng = case(seed)
    strength = Measured(net, rng) if calibrated else None
    more = {"factors": strength.factors, "tau_factor": 1.1} if calibrated else {}

    def run(changed):
        return recorded(net, trains, changed, tick_us=TICK_US, delay_ticks=50, duration_ticks=DURATION, **more)

    now = run(weights)
    counts = {name: len(s.tick) / (N * net.population(name).size) for name, s in now.spikes.items()}
    assert min(counts.values()) > 1.0, counts
    outer = rng.normal(0.0, 1.0, len(now.spikes["out"].tick))
    by_neuron = outer[by_neuron_of(now)]
    found = weight_gradients(now, outer, strength)
    assert not any(found.unexplained.values())
    errors = []
    for k, (p, w) in enumerate(zip(net.projections, weights, strict=True)):
        largest = max(1.0, np.abs(found.gradients[k]).max())
        for place in rng.permutation(np.argwhere(net.connected(p)))[:3]:

            def loss(step, k=k, w=w, place=tuple(place)):
                moved = w.copy()
                moved[place] += step
                after = run([*weights[:k], moved, *weights[k + 1 :]])
                return by_neuron @ after.spikes["out"].tick[by_neuron_of(after)] * TICK_US / 10.0

            expected, error = slope(loss)
            errors.append(error / largest)
            assert found.gradients[k][tuple(place)] == pytest.approx(expected, abs=1e-8 * largest + error)
    assert np.median(errors) < 1e-8 and max(errors) < 1e-5


def by_neuron_of(recording):
    spikes = recording.spikes["out"]
    return np.lexsort((spikes.tick, spikes.neuron, spikes.sample))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lower", [0.5, 1.0])
def test_a_temperature_bounds_the_derivative_of_a_spike_and_gives_one_to_spikes_of_the_chip_alone(seed, lower):
    """A first spike, of a neuron with this share of the model's threshold, by sums over all that came before it."""
    rng = generator(seed, "soft")
    arrival = np.sort(rng.uniform(0.0, 4.0, 40))
    alone = 0
    for _ in range(40):
        w = rng.normal(0.05, 0.15, 40)
        spike = spike_times(arrival, w, refractory=0.0, threshold=lower, reset=0.0, until=6.0)[:1]
        if not len(spike):
            continue
        since = spike - arrival
        fast, late = (np.where(since > 0, np.exp(-rate * np.maximum(since, 0.0)), 0.0) for rate in (1.0, 0.5))
        a, b = w @ fast, w @ late
        x = np.sqrt(max(b * b - 2.0 * a, 0.0)) if min(a, b) > 0 else 0.0
        alone += x == 0.0
        for soften in (0.0, 0.2, 0.5):
            found = gradients_of(arrival, w, spike, np.ones(1), 0.0, 1.0, 0.0, soften)[0]
            slope_there = np.hypot(x, soften)
            expected = 2.0 / slope_there * (fast - late) if slope_there else np.zeros(40)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10)
    assert alone > 3 if lower < 1.0 else alone == 0
