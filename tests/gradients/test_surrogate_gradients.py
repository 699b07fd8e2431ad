"""Surrogate gradients against finite differences of a dense float64 model, and what they are made of."""

import numpy as np
import pytest
from support.grid.grid_model import GridModel, primitive
from support.grid.recorded import N_READS, NETWORKS, PERIOD, TICK_US, N, recording, wide

from hxloop.seeds import generator
from hxloop_host.readings.backward_pass import weight_gradients
from hxloop_host.readings.kernels import fill_slopes
from hxloop_host.readings.reading_grid import ReadingGrid
from hxloop_host.readings.surrogates import CODES
from hxloop_host.readouts.readout_registry import READOUTS

STEP = 5e-8  # some surrogates have a kink at threshold


def grid(net, dtype=np.float64):
    return ReadingGrid(net, PERIOD, TICK_US, 128, dtype=dtype)


def gradients(net, rec, grad_v, grad_count, kind, dtype=np.float64, factors=None, steepness=5.0, threshold=None):
    own = grid(net, dtype)
    nominal = own.threshold.astype(np.float64) if threshold is None else threshold
    return weight_gradients(
        own, rec, grad_v, grad_count, surrogate=kind, steepness=steepness, threshold=nominal, factors=factors
    )


def case(name, seed):
    net = NETWORKS[name]() if isinstance(name, str) else name()
    rec, rng = recording(net, seed), generator(seed, "loss")
    g, size = grid(net), net.population(net.output).size
    grad_v = rng.normal(size=(N, N_READS, size))
    return net, rec, grad_v, rng.normal(size=(N, g.n_neurons)) * (g.threshold < np.inf)


def loss(model, net, weights, grad_v, grad_count):
    voltages, counts, _ = model.run(weights)
    stacked = np.concatenate([counts[p.name] for p in net.populations], axis=1)
    return float((voltages[net.output] * grad_v).sum() + (stacked * grad_count).sum())


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("name", NETWORKS)
def test_against_finite_differences(name, kind):
    for seed in (1, 2):
        net, rec, grad_v, grad_count = case(name, seed)
        model, found = GridModel(rec, kind, 5.0), gradients(net, rec, grad_v, grad_count, kind)
        scale = max(np.abs(g).max() for g in found)
        rng = generator(seed, "directions")
        for number, projection in enumerate(net.projections):
            connected = np.argwhere(net.connected(projection))
            for row, column in connected[rng.choice(len(connected), 3, replace=False)]:
                step = []
                for sign in (1.0, -1.0):
                    moved = [w.copy() for w in rec.weights]
                    moved[number][row, column] += sign * STEP
                    step.append(loss(model, net, moved, grad_v, grad_count))
                assert (step[0] - step[1]) / (2 * STEP) == pytest.approx(found[number][row, column], abs=1e-6 * scale)
            assert not found[number][~net.connected(projection)].any()


def test_many_neurons_against_finite_differences():
    for seed in (1, 2):
        net, rec, grad_v, grad_count = case(wide, seed)
        model, found = GridModel(rec, "arctan", 5.0), gradients(net, rec, grad_v, grad_count, "arctan")
        rng = generator(seed, "directions")
        for number in range(len(net.projections)):
            along = rng.normal(size=rec.weights[number].shape)
            step = []
            for sign in (1.0, -1.0):
                moved = [w.copy() for w in rec.weights]
                moved[number] += sign * STEP * along
                step.append(loss(model, net, moved, grad_v, grad_count))
            expected = float((found[number] * along).sum())
            size = float(np.linalg.norm(found[number]) * np.linalg.norm(along))
            assert (step[0] - step[1]) / (2 * STEP) == pytest.approx(expected, abs=1e-6 * size)


@pytest.mark.parametrize("name", NETWORKS)
def test_single_precision_is_as_good(name):
    for seed in (3, 4):
        net, rec, grad_v, grad_count = case(name, seed)
        fine = gradients(net, rec, grad_v, grad_count, "superspike")
        coarse = gradients(net, rec, grad_v, grad_count, "superspike", np.float32)
        scale = max(np.abs(g).max() for g in fine)
        for one, other in zip(fine, coarse, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * scale)


def test_measured_strengths_and_thresholds_enter_by_the_chain_rule():
    net, rec, grad_v, grad_count = case("recurrent", 5)
    rng = generator(5, "factors")
    factors = [rng.uniform(0.7, 1.3, w.shape) for w in rec.weights]
    own = grid(net)
    threshold = own.threshold * rng.uniform(0.8, 1.2, own.n_neurons)
    found = gradients(net, rec, grad_v, grad_count, "sigmoid", factors=factors, threshold=threshold)
    by_name = {p.name: threshold[own.part[p.name]] for p in net.populations}
    model = GridModel(rec, "sigmoid", 5.0, by_name)
    seen = [w * f for w, f in zip(rec.weights, factors, strict=True)]
    model.base = None
    model.base = model.run(seen)[2]
    scale = max(np.abs(g).max() for g in found)
    for number in range(len(seen)):
        step = []
        for sign in (1.0, -1.0):
            moved = [w.copy() for w in seen]
            moved[number][0, 1] += sign * STEP * factors[number][0, 1]
            step.append(loss(model, net, moved, grad_v, grad_count))
        assert (step[0] - step[1]) / (2 * STEP) == pytest.approx(found[number][0, 1], abs=1e-6 * scale)


def derivative(kind, x, steepness):
    """What the kernel makes of membranes this far above a threshold of 1."""
    found = np.empty(x.shape)
    fill_slopes(CODES[kind], 1.0 + x, np.ones(x.shape), np.array([1.0, steepness, 0.5 * np.pi * steepness]), found)
    return found


@pytest.mark.parametrize("kind", CODES)
def test_surrogates_are_one_at_threshold_and_derivatives_of_their_primitives(kind):
    x = np.linspace(-1.0, 1.0, 41) + 1e-3
    found = derivative(kind, x, 7.0)
    assert derivative(kind, np.zeros(1), 7.0) == pytest.approx(1.0)
    for k, at in enumerate(x):
        slope = (primitive(kind, at + 1e-6, 7.0) - primitive(kind, at - 1e-6, 7.0)) / 2e-6
        assert found[k] == pytest.approx(slope, abs=1e-5)


def test_results_do_not_depend_on_the_size_of_chunks(monkeypatch):
    net, rec, grad_v, grad_count = case("recurrent", 6)
    whole = gradients(net, rec, grad_v, grad_count, "arctan")
    monkeypatch.setattr("hxloop_host.readings.backward_pass.CHUNK", 1)
    for one, other in zip(whole, gradients(net, rec, grad_v, grad_count, "arctan"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_counts_are_those_of_the_recording():
    net, rec, *_ = case("recurrent", 7)
    own = grid(net)
    counts = own.counts(rec)
    for p in net.populations:
        begin = own.part[p.name].start
        expected = np.zeros((N, p.size), int)
        if p.spiking:
            np.add.at(expected, (rec.spikes[p.name].sample, rec.spikes[p.name].neuron), 1)
        np.testing.assert_array_equal(counts[:, begin : begin + p.size], expected)


def test_readouts_hand_over_what_the_rule_takes():
    """Membranes have a derivative for each reading, counts one a sample."""
    rec = case("feed_forward", 8)[1]
    readout = READOUTS.find("membrane_cross_entropy")[0]()
    _, grad = readout.value_and_gradient(readout.scores(rec), np.zeros(N, np.int64))
    assert readout.derivative(rec, grad).shape == (N, N_READS, 3)
