"""Inputs that pass on less of large currents and far from leak, against a reference in double precision."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from support.held_gains.compressed_inputs import Neurons, gains, integrate
from support.solving.bare_solver import make_circuit, make_inputs, make_trial, make_watch, solve
from support.solving.margins import assert_same_spikes, cases, trial_of

from hxloop.seeds import generator
from hxloop_chip.solver import layout as at

DURATION, PER_TICK = 640, 8
HELD = at.STEP_TICKS * PER_TICK
LOSSES = np.array([0.05, 0.05, 5e-4, 5e-4])[:, None]
noisy_or_not = pytest.mark.parametrize("noise", [False, True])


def network(seed, n=80, losses=LOSSES):
    """Neurons that inputs of both signs make spike some times, and the events of one sample."""
    rng, n_inputs = generator(seed, "compressed"), 12
    size = rng.uniform(0.2, 1.0, (n_inputs, n)) * (rng.random((n_inputs, n)) < 0.8)
    down = rng.random((n_inputs, n)) < 0.35
    tau_mem, tau_exc, tau_inh = rng.uniform(300, 1500, (3, n))
    train = [(int(t), int(k)) for t, k in zip(rng.integers(0, 560, 60), rng.integers(0, n_inputs, 60), strict=True)]
    neurons = Neurons(
        np.stack([size * ~down, size * down]), tau_mem, tau_exc, tau_inh, rng.uniform(100, 300, n),
        rng.choice([0.0, -100.0], n), rng.choice([0.0, 20.0, 64.0, 150.0], n),
        losses * np.exp(0.3 * rng.standard_normal((4, n))),
    )  # fmt: skip
    return neurons, train


def circuit_of(neurons):
    """The same for the solver."""
    return make_circuit(
        neurons.weights, tau_mem=neurons.tau_mem, tau_exc=neurons.tau_exc, tau_inh=neurons.tau_inh,
        threshold=neurons.threshold, reset=neurons.reset, refractory=neurons.refractory,
        compression=neurons.compression,
    )  # fmt: skip


def differences(times, other):
    """Of first spikes of neurons that spike in both."""
    return np.array([a[0] - b[0] for a, b in zip(times, other, strict=True) if a and b])


@pytest.mark.parametrize("event_by_event", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_every_spike_and_reading_is_that_of_the_reference(seed, event_by_event):
    neurons, train = network(seed)
    n, period = neurons.tau_mem.size, 7
    circuit, inputs = circuit_of(neurons), make_inputs(train)
    assert isinstance(circuit.rates, at.CompressedRates)
    watch = make_watch(1, DURATION, neuron=np.arange(n), period=period, madc_neuron=seed, madc_period=8.0)
    found = solve(circuit, inputs, make_trial(DURATION, event_by_event=event_by_event), watch)
    times, seen = integrate(neurons, train, DURATION, HELD, PER_TICK)
    assert found.counts[0, at.COUNT_OUT] + found.counts[0, at.COUNT_LOST] == sum(map(len, times)) > 200
    for neuron in range(n):
        stamps = np.ceil(times[neuron])
        assert np.abs(found.of(0, neuron) - stamps[stamps < DURATION]).max(initial=0) <= 1, neuron
    assert np.abs(watch.cadc[0] - seen[::period]).max() < 0.01
    assert np.abs(watch.madc[0] - seen[::8, seed]).max() < 0.01
    free, _ = integrate(replace(neurons, compression=0.0 * LOSSES), train, DURATION, HELD, PER_TICK)
    assert differences(times, free).mean() > 20.0, "it is an effect worth a test"


def test_what_holding_the_gains_over_a_step_costs():
    # docs/solver.md has the figures
    off, effect = [], []
    for seed in range(4):
        neurons, train = network(seed)
        held, smooth = (integrate(neurons, train, DURATION, hold, PER_TICK)[0] for hold in (HELD, 1))
        free, _ = integrate(replace(neurons, compression=0.0 * LOSSES), train, DURATION, HELD, PER_TICK)
        off += differences(held, smooth).tolist()
        effect += differences(smooth, free).tolist()
    assert np.median(np.abs(off)) < 4.0
    assert np.sqrt(np.mean(np.square(off))) < 0.2 * np.sqrt(np.mean(np.square(effect)))


def test_the_reference_is_an_integral_of_the_equations():
    neurons, train = network(1, n=1)
    neurons = replace(neurons, threshold=np.array([1e9]))
    _, seen = integrate(neurons, train, DURATION, 1, 64)
    tick, source = np.array(sorted(train)).T
    steps = neurons.weights[:, source, 0]
    tau_syn = np.array([neurons.tau_exc[0], neurons.tau_inh[0]])

    def slope(t, v, k):
        current = (steps[:, :k] * np.exp(-(t - tick[:k]) / tau_syn[:, None])).sum(axis=1)
        passed = gains(v, current[0], current[1], neurons.compression[:, 0])
        return passed[0] * current[0] - passed[1] * current[1] - v / neurons.tau_mem[0]

    v = np.zeros(1)
    for k, (begin, end) in enumerate(zip([0, *tick], [*tick, DURATION - 1], strict=True)):
        if end > begin:
            v = solve_ivp(slope, (begin, end), v, args=(k,), rtol=1e-9, atol=1e-9).y[:, -1]
            assert seen[end, 0] == pytest.approx(v[0], abs=0.02)


@noisy_or_not
@pytest.mark.parametrize("recurrent", [False, True])
@settings(max_examples=25)
@given(data=st.data())
def test_short_cuts_change_no_spike(noise, recurrent, data):
    case = data.draw(cases(recurrent=recurrent))
    losses = LOSSES * np.exp(0.3 * generator(case.kind[-1], "losses").standard_normal((4, case.weights.shape[2])))
    case = replace(case, weights=1.5 * case.weights, options={**case.options, "compression": losses})
    fast = solve(case.circuit(), case.inputs, trial_of(noise))
    slow = solve(case.circuit(), case.inputs, trial_of(noise, event_by_event=True))
    # A gain follows from membrane and current in single precision.
    assert_same_spikes(case, noise, fast, slow, grazing=3e-6)


def test_next_to_no_compression_is_none():
    neurons, train = network(5)
    none, little = (
        solve(circuit_of(replace(neurons, compression=x * LOSSES)), make_inputs(train), make_trial(DURATION))
        for x in (0.0, 1e-9)
    )
    assert isinstance(circuit_of(replace(neurons, compression=0.0 * LOSSES)).rates, at.SeparateRates)
    assert np.array_equal(none.neuron, little.neuron)
    assert np.abs(none.stamp - little.stamp).max() <= 1


def test_samples_solved_together_are_those_solved_alone():
    neurons, train = network(6)
    inputs, trial = make_inputs(train, train[:40], [], train[20:], train, train[::2]), trial_of(noise=True)
    circuit, whole = circuit_of(neurons), make_watch(6, DURATION, neuron=[0, 3], period=29, madc_neuron=2)
    parts, trial = make_watch(6, DURATION, neuron=[0, 3], period=29, madc_neuron=2), trial._replace(duration=DURATION)
    together = solve(circuit, inputs, trial, whole)
    for part in ((0, 1), (1, 4), (4, 6)):
        alone = solve(circuit, inputs, trial, parts, part)
        within = (together.sample >= part[0]) & (together.sample < part[1])
        assert np.array_equal(alone.stamp, together.stamp[within])
        assert np.array_equal(alone.neuron, together.neuron[within])
    assert np.array_equal(whole.cadc, parts.cadc)
    assert np.array_equal(whole.madc, parts.madc)


def test_a_neuron_with_adaptation_of_nothing_is_a_plain_one():
    neurons, train = network(7, n=20)
    plain, stepped = (
        solve(
            make_circuit(
                neurons.weights, tau_mem=neurons.tau_mem, tau_exc=neurons.tau_exc, tau_inh=neurons.tau_inh,
                threshold=neurons.threshold, reset=neurons.reset, refractory=neurons.refractory,
                compression=neurons.compression, switches=switches, model={at.ADAPT_RATE: 1e-3},
            ),
            make_inputs(train), make_trial(DURATION),
        )
        for switches in (0, at.SWITCH_ADAPTATION)
    )  # fmt: skip
    assert plain.stamp.size > 30
    assert np.array_equal(plain.neuron, stepped.neuron)
    assert np.abs(plain.stamp - stepped.stamp).max() <= 1
