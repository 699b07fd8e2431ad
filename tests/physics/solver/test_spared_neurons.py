"""Neurons that a run does not solve: only where none could spike; those that are read are the same to the last bit."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.solving.bare_solver import make_circuit, make_inputs, make_trial, make_watch, solve
from support.solving.margins import ALL_NOISE, DURATION, N_SAMPLES, cases, trial_of

from hxloop.codes.capmem import Cell
from hxloop.result import Readout
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_calibration.measuring.chip_bench import Bench
from hxloop_calibration.measuring.stimulus import EXC, INH, N_GROUPS
from hxloop_calibration.targets import Target, start_codes
from hxloop_chip.chip import running, spared
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.solver import layout as at

N = 3 * at.BLOCK + 5


def events_of(circuit, inputs):
    return spared.most_events(inputs, len(circuit.rows))


@pytest.mark.parametrize("noise", [False, True])
@settings(max_examples=60)
@given(data=st.data(), stretch=st.floats(1.0, 2.0))
def test_what_spikes_could(noise, data, stretch):
    case = data.draw(cases(recurrent=False))
    circuit, trial = case.circuit(stretch), trial_of(noise)
    found = solve(circuit, case.inputs, trial)
    assume(found.counts[:, at.COUNT_OUT].any())
    assert spared.can_spike(circuit, events_of(circuit, case.inputs), trial)


@pytest.mark.parametrize(("tau_mem", "tau_exc"), [(750.0, 750.0), (2500.0, 500.0), (300.0, 2000.0)])
@pytest.mark.parametrize("n_events", [1, 7])
def test_the_bound_is_the_peak_of_all_events_together(tau_mem, tau_exc, n_events):
    """Closed form: events that come at once peak at t = ln(a / b) / (a - b), so no bound is tighter."""
    a, b = 1.0 / tau_mem, 1.0 / tau_exc
    t = tau_mem if a == b else math.log(a / b) / (a - b)
    peak = t * math.exp(-a * t) if a == b else (math.exp(-b * t) - math.exp(-a * t)) / (a - b)
    step, inputs = 0.3, make_inputs([(64, 0)] * n_events + [(65, 1)], [(3, 0)])
    weights = np.zeros((2, 2, N))
    weights[0, 0, 70], weights[1, 1, 71:] = step, 5.0
    threshold = np.full(N, 0.1)
    for factor, can in ((0.999, True), (1.003, False)):
        threshold[70] = factor * n_events * step * peak
        circuit = make_circuit(weights, tau_mem=tau_mem, tau_exc=tau_exc, tau_inh=tau_exc, threshold=threshold)
        found = solve(circuit, inputs, make_trial(9000))
        assert spared.can_spike(circuit, events_of(circuit, inputs), make_trial(9000)) == can
        assert bool(found.counts[:, at.COUNT_OUT].any()) == can


@pytest.mark.parametrize("row", [at.SIGMA_THRESHOLD, at.SIGMA_DRIFT, at.SIGMA_AMPLITUDE])
def test_noise_counts_at_its_largest(row):
    weights = np.zeros((2, 1, 1))
    weights[0] = 1.0
    circuit = make_circuit(weights, threshold=1.01 * 750.0 / math.e)
    inputs = make_inputs([(0, 0)])
    assert not spared.can_spike(circuit, events_of(circuit, inputs), make_trial(9000))
    sigma = 0.01 if row == at.SIGMA_AMPLITUDE else 1.0
    assert spared.can_spike(circuit, events_of(circuit, inputs), make_trial(9000, {row: sigma}))


def test_neurons_with_terms_of_their_own_always_could():
    circuit = make_circuit(np.zeros((2, 1, 1)), threshold=1e6, switches=at.SWITCH_EXPONENTIAL)
    assert spared.can_spike(circuit, np.zeros(1, np.int64), make_trial(9000))


def network(seed, compressed):
    rng = generator(seed, "spared network")
    weights = rng.exponential(0.2, (2, 4, N)) * (rng.random((2, 4, N)) < 0.5)
    weights[1] *= weights[0] == 0.0
    tau = rng.uniform(300, 1500, (3, N))
    compression = rng.uniform(0.0, 0.01, (at.N_COMPRESSION, N)) if compressed else 0.0
    circuit = make_circuit(
        weights, tau_mem=tau[0], tau_exc=tau[1], tau_inh=tau[2], threshold=1e5, sigma_membrane=3.0,
        compression=compression,
    )  # fmt: skip
    trains = [[(int(t), int(s)) for t, s in zip(rng.integers(0, DURATION, 20), rng.integers(0, 4, 20), strict=True)]
              for _ in range(N_SAMPLES)]  # fmt: skip
    return circuit, make_inputs(*trains)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("read", [[5], [70, 100], [N - 1], [63, 64]])
def test_membranes_that_are_read_are_the_same_to_the_last_bit(read, seed, compressed):
    circuit, inputs = network(seed, compressed)
    trial = make_trial(DURATION, ALL_NOISE)
    assert not spared.can_spike(circuit, events_of(circuit, inputs), trial)
    first, last = spared.block_range(np.array(read))
    part, begin = spared.blocks_of(circuit, first, last), first * at.BLOCK
    assert part.neuron_id.size < circuit.neuron_id.size
    watches = [
        make_watch(N_SAMPLES, DURATION, neuron=np.array(read) - zero, period=7, madc_neuron=read[0] - zero)
        for zero in (0, begin)
    ]
    found = [solve(c, inputs, trial, w) for c, w in zip((circuit, part), watches, strict=True)]
    assert found[0] == found[1]
    assert np.isfinite(watches[0].cadc).all()
    assert np.ptp(watches[0].cadc) > 1.0
    assert watches[0].cadc.tobytes() == watches[1].cadc.tobytes()
    assert watches[0].madc.tobytes() == watches[1].madc.tobytes()


@pytest.mark.parametrize("serial", [1, 3])
@pytest.mark.parametrize("circuit", [0, 100, 511])
def test_a_trace_of_one_circuit_is_that_of_a_whole_chip(circuit, serial, monkeypatch):
    """As calibration measures synaptic time constants: volleys, thresholds out of reach, all that silicon does."""
    chip = EmulatedChip("uncalibrated", serial)
    bench = Bench(chip, start_codes(Target(), chip.boot, chip.spec), seed=serial)
    out_of_reach = bench.with_cells({Cell.v_leak: 400, Cell.v_threshold: chip.spec.capmem_code_max})
    bench.write(out_of_reach, bench.stimulus.uniform(20, 10))
    channels = [bench.stimulus.channel(group, sign) for group in range(N_GROUPS) for sign in (EXC, INH)]
    volleys = SpikeBatch.from_arrays(np.repeat(np.arange(4), len(channels)),
                                     np.tile([900, 4000] * N_GROUPS, 4),
                                     np.tile(channels, 4), 4)  # fmt: skip
    now_us, found, widths = bench._now_us, [], {}
    solve_samples = running.run_samples

    def counting(*arguments):
        widths.setdefault(spared._WORTH, set()).add(arguments[3].neuron_id.size)
        return solve_samples(*arguments)

    monkeypatch.setattr(running, "run_samples", counting)
    for worth in (spared._WORTH, 10**9):
        monkeypatch.setattr(spared, "_WORTH", worth)
        bench._now_us = now_us
        found.append(bench.run(volleys, 80.0, Readout(madc_circuit=circuit)))
    assert [*widths.values()] == [{at.BLOCK}, {chip.spec.n_circuits}]
    alone, together = found
    assert np.ptp(alone.observations.madc) > 30
    assert alone.observations.madc.tobytes() == together.observations.madc.tobytes()
    for name in ("events_in", "events_out", "events_lost", "synaptic_events", "energy_j_estimate"):
        assert getattr(alone, name) == getattr(together, name)


def test_where_neurons_spike_all_of_them_are_solved():
    chip = EmulatedChip("typical", 2)
    bench = Bench(chip, start_codes(Target(), chip.boot, chip.spec), seed=2)
    bench.write(bench.neurons, bench.stimulus.uniform(500, 0))
    channels = [bench.stimulus.channel(group, EXC) for group in range(N_GROUPS)]
    burst = SpikeBatch.from_arrays(np.repeat(np.arange(4), len(channels)), np.full(4 * len(channels), 900),
                                   np.tile(channels, 4), 4)  # fmt: skip
    assert bench.run(burst, 80.0, Readout(madc_circuit=9)).events_out > 1000
