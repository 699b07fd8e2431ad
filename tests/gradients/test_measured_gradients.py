"""Gradients of neurons whose weight scale and time constant calibration measured: against finite differences."""

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.tables.chip_tables import table_for
from support.training_parts import make_runner

from hxloop.rule import Inputs, Recording
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.network.weight_codes import dequantise
from hxloop_host.settings.experiment_settings import Settings
from hxloop_host.spike_times.backward import first_times, weight_gradients
from hxloop_host.spike_times.closed_form import FirstSpikeLayer

N_IN, SIZES, THRESHOLD, TAU_US = 5, (6, 3), 1.0, 6.0


def settings(tau_ratio):
    return Settings.model_validate(
        {
            "network": {
                "sizes": list(SIZES), "copies": [2, 1], "bias_copies": [0, 0], "bias_times": [0.9, 0.9],
                "init_mean": [0.3, 0.5], "init_std": [0.1, 0.1],
            },
            "neuron": {"model_threshold": THRESHOLD, "tau_mem_us": 6.0 * tau_ratio},
            "loss": {"kind": "shift_invariant_mse"},
            "rule": {"kind": "fast_and_deep", "limits": [0.5, 0.5], "max_dw_norm": 0.0},
            "optimizer": {"learning_rate": 0.01},
            "training": {"epochs": 1},
        }
    )  # fmt: skip


def factors(seed):
    rng = generator(seed, "factors")
    n = GridChip().spec.n_circuits
    return np.exp(rng.normal(0.1, 0.2, n)), np.exp(rng.normal(-0.1, 0.2, n)), float(np.exp(rng.normal(0.15, 0.05)))


def model_times(runner, t_in, weights, measured):
    """Times of all layers: every neuron with its own weight factors, all with one time constant; as a recording.

    Written out here once more: w x factor by sign, times over f on the way in, and times f on the way out.
    """
    exc, inh, f = measured
    network, tick = runner.network, runner.spec.tick_us / TAU_US
    population = network.populations[0]
    layer = FirstSpikeLayer(round(population.tau_mem_us / TAU_US), THRESHOLD)
    ticks, arrival = {}, t_in
    for k, (projection, w) in enumerate(zip(network.projections, weights, strict=True)):
        head = runner.placement.circuits(projection.target).astype(int)
        rows = np.repeat(arrival, network.projections[k].copies, axis=1)
        seen = np.where(w < 0, inh[head], exc[head]) * w
        out = f * layer.times(rows / f, seen)
        ticks[projection.target] = out / tick
        arrival = out + runner.spec.routing_delay_ticks * tick
    codes = [np.rint(w * runner.network.projections[0].scale_weights).astype(np.int8) for w in weights]
    return Recording(
        network, Inputs(SpikeBatch.from_arrays([], [], [], len(t_in)), t_in / tick), codes, list(weights),
        runner.spec.tick_us, runner.spec.routing_delay_ticks, runner.duration_ticks, ticks,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tau_ratio", [1, 2])
def test_gradients_are_those_of_the_measured_neurons(tau_ratio, seed):
    chip, rng = GridChip(), generator(seed, "case", tau_ratio)
    measured = factors(seed)
    table = table_for(chip, exc=measured[0], inh=measured[1], tau=measured[2])
    runner = make_runner(settings(tau_ratio), chip, N_IN, table)
    network, scale = runner.network, runner.network.projections[0].scale_weights
    codes = [np.rint(rng.normal(20, 9, network.weight_shape(p))).astype(np.int8) for p in network.projections]
    codes = [np.where(c == 0, 3, c).astype(np.int8) for c in codes]
    codes[0][0, 1] = codes[1][2, 0] = 0  # seen as excitatory: differences below are taken on that side
    weights = [dequantise(c, scale) for c in codes]
    t_in = rng.uniform(0.1, 1.5, (4, N_IN))
    slope = rng.normal(0, 1, (4, SIZES[-1]))

    def loss(changed):
        out = first_times(model_times(runner, t_in, changed, measured))["output"]
        return np.sum(np.where(np.isfinite(out), slope * out, 0.0))

    forward = model_times(runner, t_in, weights, measured)
    out = first_times(forward)["output"]
    assert np.isfinite(out).mean() > 0.5
    grad_out = np.where(np.isfinite(out), slope, 0.0)
    found = weight_gradients(forward, grad_out, runner.strength)
    nominal = weight_gradients(forward, grad_out, None)
    for k, w in enumerate(weights):
        expected = np.zeros_like(w)
        for place in np.ndindex(w.shape):
            step = np.zeros_like(w)
            step[place] = 1e-6
            silent = w[place] == 0.0
            up, down = ([*weights[:k], w + s * step, *weights[k + 1 :]] for s in (1.0, 0.0 if silent else -1.0))
            expected[place] = (loss(up) - loss(down)) / (1e-6 if silent else 2e-6)
        largest = np.abs(expected).max()
        assert largest > 0
        np.testing.assert_allclose(found[k], expected, rtol=2e-4, atol=2e-5 * largest)
        assert np.abs(nominal[k] - expected).max() > 0.02 * largest  # what nominal neurons would say is something else
