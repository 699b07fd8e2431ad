"""Gradients against central differences of the independent membrane of `support.solving.membrane`."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.special import lambertw
from support.solving.membrane import central_difference, first_spike, layer_times, times_of

from hxloop.seeds import generator
from hxloop_host.readouts.first_spikes import FirstSpikeReadout, ShiftInvariantMSE, SoftmaxTimes, TargetTimesMSE
from hxloop_host.spike_times import closed_form as module
from hxloop_host.spike_times.closed_form import BLOCK, FirstSpikeLayer

RATIOS = pytest.mark.parametrize("tau_ratio", [1, 2])
STEP = 2e-5
RELATIVE_ERROR = 1e-5


def neuron(seed, tau_ratio):
    """Inputs, weights, threshold and time of one neuron that spikes with a slope, no input close to its spike."""
    for attempt in range(100):
        g = generator(seed, "neuron", tau_ratio, attempt)
        n_in = int(g.integers(1, 15))
        t_in, w = g.uniform(0, 2, n_in), g.normal(0.6, 0.8, n_in)
        threshold = float(g.uniform(0.5, 2.0))
        spike = first_spike(t_in, w, tau_ratio, threshold)
        if np.isfinite(spike.time) and spike.slope > 0.05 and np.abs(t_in - spike.time).min() > 1e-3:
            return t_in, w, threshold, spike.time
    raise AssertionError("no spiking neuron found")


def at_measured(tau_ratio, threshold, t_in, w, time, max_dw_norm=None, outer=1.0):
    """dT/dw [n_in] and dT/dt_in [n_in] of one neuron of one sample."""
    layer = FirstSpikeLayer(tau_ratio, threshold)
    dw, dt = layer.gradients(t_in[None], w[:, None], np.array([[time]]), np.array([[outer]]), max_dw_norm)
    return dw[:, 0], dt[0]


@RATIOS
@pytest.mark.parametrize("seed", range(40))
def test_derivatives_of_one_spike_time(tau_ratio, seed):
    t_in, w, threshold, time = neuron(seed, tau_ratio)
    dw, dt = at_measured(tau_ratio, threshold, t_in, w, time)
    expected_dw = central_difference(lambda x: first_spike(t_in, x, tau_ratio, threshold).time, w, STEP)
    expected_dt = central_difference(lambda x: first_spike(x, w, tau_ratio, threshold).time, t_in, STEP)
    assert np.abs(dw - expected_dw).max() < RELATIVE_ERROR * np.abs(expected_dw).max()
    assert np.abs(dt - expected_dt).max() < RELATIVE_ERROR * np.abs(expected_dt).max()
    # Shifting all inputs shifts the spike.
    assert dt.sum() == pytest.approx(1.0, rel=1e-9)
    acausal = t_in > time
    assert (dw[acausal] == 0).all()
    assert (dt[acausal] == 0).all()
    assert (dw[~acausal] < 0).all()


@RATIOS
def test_acausal_inputs_were_among_them(tau_ratio):
    drawn = [neuron(seed, tau_ratio) for seed in range(40)]
    assert sum((t_in > time).any() for t_in, _, _, time in drawn) > 10


@RATIOS
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "loss",
    [SoftmaxTimes(xi=0.5, alpha=0.05), ShiftInvariantMSE(delta=0.3), TargetTimesMSE(t_correct=1.5, t_wrong=2.0)],
    ids=lambda x: type(x).__name__,
)
def test_whole_network_of_two_layers(tau_ratio, seed, loss: FirstSpikeReadout):
    g = generator(seed, "network")
    n_samples, threshold = 3, 1.0
    t_in, label = g.uniform(0.1, 2.0, (n_samples, 5)), np.array([0, 2, 1])
    w1, w2 = g.normal(1.0, 0.6, (5, 7)), g.normal(0.9, 0.5, (7, 3))
    w1[:, 6] = -0.5  # one silent hidden neuron

    def forward(first, second):
        hidden = times_of(layer_times(t_in, first, tau_ratio, threshold))
        return hidden, times_of(layer_times(hidden, second, tau_ratio, threshold))

    hidden, out = forward(w1, w2)
    assert np.isinf(hidden[:, 6]).all()
    assert np.isfinite(out).sum() >= 7
    rule = FirstSpikeLayer(tau_ratio, threshold)
    value, grad_out = loss.value_and_gradient(out, label)
    grad_w2, grad_hidden = rule.gradients(hidden, w2, out, grad_out, None)
    grad_w1, grad_in = rule.gradients(t_in, w1, hidden, grad_hidden, None)
    assert value > 0

    def total(first, second):
        return loss.value_and_gradient(forward(first, second)[1], label)[0]

    expected1 = central_difference(lambda x: total(x, w2), w1, STEP)
    expected2 = central_difference(lambda x: total(w1, x), w2, STEP)
    assert np.abs(grad_w1 - expected1).max() < RELATIVE_ERROR * np.abs(expected1).max()
    assert np.abs(grad_w2 - expected2).max() < RELATIVE_ERROR * np.abs(expected2).max()
    assert (grad_w1[:, 6] == 0).all()
    assert (grad_w2[6] == 0).all()
    assert np.isfinite(grad_in).all()


def published_form(tau_ratio, threshold, t_in, w, time):
    """Slow transcription of the published derivatives in unshifted exponentials, causes by the measured time."""
    silent = np.zeros(len(w)), np.zeros(len(w))
    causal = t_in < time
    t_c, w_c = t_in[causal], w[causal]
    c = threshold / tau_ratio
    a1, a2 = w_c @ np.exp(t_c), w_c @ np.exp(t_c / 2)
    dw, dt = np.zeros(len(w)), np.zeros(len(w))
    if a1 <= 0:
        return silent
    if tau_ratio == 1:
        factor = lambertw(-c / a1 * np.exp(w_c @ (t_c * np.exp(t_c)) / a1))
        if factor.imag != 0:
            return silent
        dw[causal] = -np.exp(t_c) * (time - t_c) / a1 / (1 + factor.real)
        dt[causal] = -w_c * np.exp(t_c) * (time - t_c - 1) / a1 / (1 + factor.real)
    else:
        if a2 <= 0 or a2**2 < 4 * a1 * c:
            return silent
        x = np.sqrt(a2**2 - 4 * a1 * c)
        f = (1 + c / x * np.exp(time / 2)) / a1
        dw[causal] = 2 * (f * np.exp(t_c) - np.exp(t_c / 2) / x)
        dt[causal] = w_c * (2 * f * np.exp(t_c) - np.exp(t_c / 2) / x)
    return dw, dt


@RATIOS
@pytest.mark.parametrize("shift", [-0.1, 0.15])
def test_measured_times_enter_as_published(tau_ratio, shift):
    explained = 0
    for seed in range(40):
        t_in, w, threshold, time = neuron(seed, tau_ratio)
        measured = time + shift
        expected = published_form(tau_ratio, threshold, t_in, w, measured)
        explained += bool(expected[0].any())
        dw, dt = at_measured(tau_ratio, threshold, t_in, w, measured)
        np.testing.assert_allclose(dw, expected[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(dt, expected[1], rtol=1e-9, atol=1e-12)
    assert explained > 10


def batch(tau_ratio):
    """More outputs than a block, times on a clock so that many coincide, silence everywhere, some slopes of zero."""
    g = generator(17, "batch", tau_ratio)
    n_samples, n_in, n_out = 11, 30, 2 * BLOCK + 5
    t_in = np.round(g.uniform(0, 2, (n_samples, n_in)), 1)
    t_in[g.random(t_in.shape) < 0.3] = np.inf
    t_in[4] = np.inf
    w, outer = g.normal(0.3, 0.5, (n_in, n_out)), g.normal(0, 1, (n_samples, n_out))
    t_out = np.round(g.uniform(0, 3, outer.shape), 1)
    t_out[g.random(t_out.shape) < 0.3] = np.inf
    t_out[5], t_out[6, 3], outer[7], outer[:, 9] = np.inf, np.nan, 0.0, 0.0
    return t_in, w, t_out, outer


@RATIOS
@pytest.mark.parametrize("limit", [None, 0.5])
def test_batches_equal_the_published_form_spike_by_spike(tau_ratio, limit):
    t_in, w, t_out, outer = batch(tau_ratio)
    expected_w, expected_t, dropped, spikes = np.zeros(w.shape), np.zeros(t_in.shape), 0, 0
    for sample, j in np.argwhere(np.isfinite(t_out)):
        dw, dt = published_form(tau_ratio, 1.2, t_in[sample], w[:, j], t_out[sample, j])
        dw, dt = outer[sample, j] * dw, outer[sample, j] * dt
        expected_t[sample] += dt
        spikes += bool(dw.any())
        if limit is not None and np.abs(dw).max() > limit:
            dropped += 1
            continue
        expected_w[:, j] += dw
    assert spikes > 100
    assert (limit is None) or 10 < dropped < spikes - 10
    rule = FirstSpikeLayer(tau_ratio, 1.2)
    grad_w, grad_t = rule.gradients(t_in, w, t_out, outer, limit)
    np.testing.assert_allclose(grad_w, expected_w, rtol=1e-8, atol=1e-12 * np.abs(expected_w).max())
    np.testing.assert_allclose(grad_t, expected_t, rtol=1e-8, atol=1e-12 * np.abs(expected_t).max())
    np.testing.assert_array_equal(rule.weight_gradient(t_in, w, t_out, outer, limit), grad_w)


@RATIOS
def test_same_bits_for_any_number_of_threads(tau_ratio, monkeypatch):
    rule, found = FirstSpikeLayer(tau_ratio, 1.2), []
    monkeypatch.setattr(module, "WORTH_THREADS", 0)
    for workers in (1, 2, 3, 9):
        monkeypatch.setattr(module, "n_cores", lambda workers=workers: workers)
        found.append(rule.gradients(*batch(tau_ratio), 0.5))
    for other in found[1:]:
        for mine, theirs in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@RATIOS
@pytest.mark.parametrize(
    ("t_in", "w", "time"),
    [
        ([0.0, 0.5], [0.2, 0.1], 1.0),  # stays below threshold for ever
        ([0.0, 0.5], [3.0, -9.0], 1.0),  # inhibition prevails: no net drive
        ([1.0, 1.5], [3.0, 3.0], 0.5),  # spiked before any input
        ([1.0, 1.5], [3.0, 3.0], 1.0),  # spiked at the moment of its first input
        ([np.inf, np.inf], [3.0, 3.0], 0.5),  # had no input at all
        ([0.0, 0.5], [3.0, 3.0], np.inf),  # did not spike
        ([0.0, 0.5], [3.0, 3.0], np.nan),
    ],
)
def test_spikes_the_model_cannot_explain_have_no_gradient(tau_ratio, t_in, w, time):
    dw, dt = at_measured(tau_ratio, 1.0, np.array(t_in), np.array(w), time)
    assert (dw == 0).all()
    assert (dt == 0).all()


@RATIOS
def test_just_touching_the_threshold_stays_finite(tau_ratio):
    peak_weight, peak_time = ((np.e, 1.0), (2.0, 2 * np.log(2)))[tau_ratio - 1]
    for above in (0.0, 1e-15, 1e-12, 1e-6):
        dw, dt = at_measured(tau_ratio, 1.0, np.zeros(1), np.array([peak_weight * (1 + above)]), peak_time)
        assert np.isfinite(dw).all()
        assert np.isfinite(dt).all()
    dw, _ = at_measured(tau_ratio, 1.0, np.zeros(1), np.array([peak_weight * (1 + 1e-12)]), peak_time, max_dw_norm=0.2)
    assert (dw == 0).all()


@RATIOS
def test_max_dw_norm_drops_whole_columns_of_single_samples(tau_ratio):
    g = generator(11, "norm", tau_ratio)
    t_in, w, outer = g.uniform(0, 2, (5, 8)), g.normal(0.7, 0.5, (8, 6)), g.normal(0, 1, (5, 6))
    rule = FirstSpikeLayer(tau_ratio, 1.0)
    t_out = rule.times(t_in, w)
    parts = np.zeros((5, 6, 8))
    for sample in range(5):
        for j in range(6):
            if np.isfinite(t_out[sample, j]):
                parts[sample, j], _ = at_measured(
                    tau_ratio, 1.0, t_in[sample], w[:, j], t_out[sample, j], outer=outer[sample, j]
                )
    limit = float(np.median(np.abs(parts).max(axis=2)))
    assert limit > 0
    kept = parts * (np.abs(parts).max(axis=2, keepdims=True) <= limit)
    grad_w, grad_t = rule.gradients(t_in, w, t_out, outer, limit)
    np.testing.assert_allclose(grad_w, kept.sum(axis=0).T, rtol=1e-9, atol=1e-14)
    assert np.abs(grad_w).max() > 0
    unlimited_w, unlimited_t = rule.gradients(t_in, w, t_out, outer, None)
    np.testing.assert_allclose(unlimited_w, parts.sum(axis=0).T, rtol=1e-9, atol=1e-14)
    np.testing.assert_array_equal(grad_t, unlimited_t)


@RATIOS
def test_times_far_apart_and_late(tau_ratio):
    # Two groups of inputs and outputs 3000 tau_syn apart in one sample: no exponential of either is lost.
    t_in, w, threshold, time = neuron(3, tau_ratio)
    n = len(w)
    late = 3000.0
    dw, dt = at_measured(tau_ratio, threshold, t_in, w, time)
    weights = np.zeros((2 * n, 2))
    weights[:n, 0] = weights[n:, 1] = w
    grad_w, grad_t = FirstSpikeLayer(tau_ratio, threshold).gradients(
        np.concatenate([t_in, t_in + late])[None], weights, np.array([[time, time + late]]), np.ones((1, 2)), None
    )
    np.testing.assert_allclose(grad_w[:n, 0], dw, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(grad_w[n:, 1], dw, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(grad_t[0, :n], dt, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(grad_t[0, n:], dt, rtol=1e-8, atol=1e-12)


@RATIOS
def test_same_bits_alone_and_among_other_threads(tau_ratio):
    g = generator(2, "threads")
    t_in, w, outer = g.uniform(0, 2, (40, 25)), g.normal(0.3, 0.5, (25, 60)), g.normal(0, 1, (40, 60))
    rule = FirstSpikeLayer(tau_ratio, 1.52)
    t_out = rule.times(t_in, w)
    alone = rule.gradients(t_in, w, t_out, outer, 0.2)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(rule.gradients, t_in, w, t_out, outer, 0.2) for _ in range(12)]
        for job in jobs:
            for mine, theirs in zip(alone, job.result(), strict=True):
                np.testing.assert_array_equal(mine, theirs)
