"""The short cuts of the solver against the same solver without them, at the margins where they could go wrong.

That the solver without short cuts is right is shown elsewhere (`test_exactness`, `test_closed_forms`).
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from support.solving.bare_solver import called, make_circuit, make_inputs, make_trial, make_watch, solve
from support.solving.margins import ALL_NOISE, DURATION, N_SAMPLES, assert_same_spikes, cases, trial_of

from hxloop.seeds import generator
from hxloop_chip.solver import layout as at
from hxloop_chip.solver.kernel import is_over
from hxloop_chip.solver.near import group as of
from hxloop_chip.solver.near.walk import _follow
from hxloop_chip.solver.random import LARGEST_FOURTH
from hxloop_chip.solver.state import new_state

STEP = at.STEP_TICKS
noisy_or_not = pytest.mark.parametrize("noise", [False, True])
recurrent_or_not = pytest.mark.parametrize("recurrent", [False, True])


@noisy_or_not
@recurrent_or_not
@settings(max_examples=40)
@given(data=st.data())
def test_short_cuts_change_no_spike(noise, recurrent, data):
    case = data.draw(cases(recurrent=recurrent))
    circuit = case.circuit()
    fast = solve(circuit, case.inputs, trial_of(noise))
    slow = solve(circuit, case.inputs, trial_of(noise, event_by_event=True))
    assert_same_spikes(case, noise, fast, slow)


@noisy_or_not
@recurrent_or_not
@settings(max_examples=40)
@given(data=st.data())
def test_equal_rates_are_a_case_of_separate_ones(noise, recurrent, data):
    case = data.draw(cases(recurrent=recurrent, regimes=("equal", "twice", "currents alike")))
    assume(case.kind[6] != "both")  # weights that all but cancel are rounded one by one, or their difference is
    assert isinstance(case.circuit().rates, at.EqualRates)
    assert isinstance(case.apart.circuit().rates, at.SeparateRates)
    equal, separate = (solve(c.circuit(), case.inputs, trial_of(noise)) for c in (case, case.apart))
    # Each has a basis of its own, with an error of up to 2e-6 of what an event does in a whole step.
    assert_same_spikes(case, noise, equal, separate, grazing=3e-6)
    event_by_event = solve(case.circuit(), case.inputs, trial_of(noise, event_by_event=True))
    assert_same_spikes(case, noise, equal, event_by_event, grazing=3e-6)


@noisy_or_not
@recurrent_or_not
@settings(max_examples=40)
@given(data=st.data())
def test_samples_that_are_solved_together_are_those_solved_alone(noise, recurrent, data):
    case = data.draw(cases(recurrent=recurrent))
    trains = data.draw(st.lists(st.sampled_from([[], *case.trains]), min_size=at.SAMPLES + 1, max_size=3 * at.SAMPLES))
    circuit, inputs, n_samples = case.circuit(), make_inputs(*trains), len(trains)
    trial = trial_of(noise, first_only=data.draw(st.booleans()), first_sample=5)
    watches = [make_watch(n_samples, DURATION, neuron=[0], period=29, madc_neuron=0) for _ in range(2)]
    whole = solve(circuit, inputs, trial, watches[0])
    cuts = data.draw(st.sets(st.integers(1, n_samples - 1)))
    for part in itertools.pairwise([0, *sorted(cuts), n_samples]):
        within = (whole.sample >= part[0]) & (whole.sample < part[1])
        some = solve(circuit, inputs, trial, watches[1], part)
        for name in ("sample", "stamp", "neuron"):
            assert np.array_equal(getattr(some, name), getattr(whole, name)[within])
        assert np.array_equal(some.counts[slice(*part)], whole.counts[slice(*part)])
    assert np.array_equal(watches[0].cadc, watches[1].cadc)
    assert np.array_equal(watches[0].madc, watches[1].madc)


@noisy_or_not
@recurrent_or_not
@settings(max_examples=40)
@given(data=st.data())
def test_samples_that_end_early_lose_nothing(noise, recurrent, data):
    case = data.draw(cases(recurrent=recurrent))
    circuit = case.circuit()
    early = solve(circuit, case.inputs, trial_of(noise))
    late = solve(circuit, case.kept_alive, trial_of(noise))
    late.counts[:, at.COUNT_IN] -= 1
    assert early == late


@noisy_or_not
@recurrent_or_not
@settings(max_examples=40)
@given(data=st.data())
def test_first_spikes_are_the_first_of_all_spikes(noise, recurrent, data):
    case = data.draw(cases(recurrent=recurrent))
    n = case.weights.shape[2]
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    case = replace(case, options={**case.options, "recorded": chosen})
    sigma = {**(ALL_NOISE if noise else {}), at.SIGMA_JITTER: data.draw(st.sampled_from([0.0, 5.0, 60.0]))}
    trial = make_trial(DURATION, sigma, drift_samples=3.0)
    first = solve(case.circuit(), case.inputs, trial._replace(first_only=True))
    every = solve(case.circuit(), case.kept_alive, trial)
    _, index = np.unique(every.sample * n + every.neuron, return_index=True)  # spikes are in order of stamps
    index.sort()
    for name in ("sample", "stamp", "neuron"):
        assert np.array_equal(getattr(first, name), getattr(every, name)[index])
    assert (first.counts[:, at.COUNT_OUT] <= every.counts[:, at.COUNT_OUT]).all()


def test_a_later_spike_may_be_stamped_first():
    # A spike every 30 ticks, stamped up to 64 ticks earlier or later: the first one in order of stamps is wanted.
    n_samples = 500
    circuit = make_circuit([[[1.0, 1.0]], [[0.0, 0.0]]], tau_mem=1e9, tau_exc=1e9, threshold=10.0, refractory=20.0)
    trial = make_trial(600, {at.SIGMA_JITTER: 60.0})
    inputs = make_inputs(*[[(0, 0)]] * n_samples)
    first, every = solve(circuit, inputs, trial._replace(first_only=True)), solve(circuit, inputs, trial)
    expected = [[every.of(k, n)[0] for n in range(2)] for k in range(n_samples)]
    assert [[first.of(k, n).tolist() for n in range(2)] for k in range(n_samples)] == [
        [[stamp] for stamp in row] for row in expected
    ]
    assert first.counts[:, at.COUNT_OUT].sum() < 0.5 * every.counts[:, at.COUNT_OUT].sum(), "samples end early"


@noisy_or_not
@recurrent_or_not
@settings(max_examples=40)
@given(data=st.data())
def test_chosen_neurons_spike_as_if_all_were_recorded(noise, recurrent, data):
    case = data.draw(cases(recurrent=recurrent))
    n = case.weights.shape[2]
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    every = solve(case.circuit(), case.inputs, trial_of(noise))
    some = solve(replace(case, options={**case.options, "recorded": chosen}).circuit(), case.inputs, trial_of(noise))
    kept = chosen[every.neuron]
    for name in ("sample", "stamp", "neuron"):
        assert np.array_equal(getattr(some, name), getattr(every, name)[kept])
    others = [at.COUNT_IN, at.COUNT_OUT, at.COUNT_LOST]
    assert np.array_equal(some.counts[:, others], every.counts[:, others])
    assert np.array_equal(some.counts[:, at.COUNT_RECORDED], np.bincount(every.sample[kept], minlength=N_SAMPLES))


@noisy_or_not
@recurrent_or_not
@settings(max_examples=40)
@given(data=st.data())
def test_a_sample_does_not_depend_on_the_ones_before_it(noise, recurrent, data):
    case = data.draw(cases(recurrent=recurrent))
    circuit, trial = case.circuit(), trial_of(noise, first_sample=7, first_only=data.draw(st.booleans()))
    whole = solve(circuit, case.inputs, trial)
    rest = replace(case, trains=case.trains[1:])
    alone = solve(circuit, rest.inputs, trial._replace(first_sample=8))
    behind = whole.sample >= 1
    for name, shift in (("sample", 1), ("stamp", 0), ("neuron", 0)):
        assert np.array_equal(getattr(alone, name) + shift, getattr(whole, name)[behind])
    assert np.array_equal(alone.counts, whole.counts[1:])


@pytest.mark.parametrize("event_by_event", [False, True])
@pytest.mark.parametrize("tau", [64.0, 640.0, 750.0])
@pytest.mark.parametrize("begin", [0, 1, 31, 63, 64, 127, 1000])
def test_peaks_that_graze(event_by_event, tau, begin):
    # tau_mem = tau_exc: the peak is w tau / e, after tau: for 64 and 640 on the edge of a step if the event is on one.
    excess = np.concatenate([s * 10.0 ** np.arange(-6, -1.9, 0.25) for s in (1, -1)]) * 1.5
    circuit = make_circuit(
        np.stack([np.ones((1, excess.size)), np.zeros((1, excess.size))]), tau_mem=tau, tau_exc=tau,
        threshold=tau / np.e / (1 + excess), refractory=1e6,
    )  # fmt: skip
    spikes = solve(circuit, make_inputs([(begin, 0)]), make_trial(begin + 2000, event_by_event=event_by_event))
    assert set(spikes.neuron) == set(np.flatnonzero(excess > 0))
    if excess.size:
        assert (spikes.stamp <= begin + tau + 1).all()


def _constant_current(current, refractory, *, reset=0.0, threshold=10.0, event_by_event=False, duration=640):
    """Spikes of neurons with a membrane that rises by `current` a tick: without leak, from tick 0 on."""
    current, refractory = np.broadcast_arrays(np.asarray(current, float), np.asarray(refractory, float))
    n = current.size
    circuit = make_circuit(
        np.stack([current[None], np.zeros((1, n))]), tau_mem=1e9, tau_exc=1e9, threshold=threshold, reset=reset,
        refractory=refractory,
    )  # fmt: skip
    trial = make_trial(duration, event_by_event=event_by_event)
    return solve(circuit, make_inputs([(0, 0)]), trial)


@pytest.mark.parametrize("event_by_event", [False, True])
def test_refractory_periods_that_end_anywhere_in_a_step(event_by_event):
    # A spike every (rise + refractory) ticks: also many in a step, releases on ticks and edges, steps all refractory.
    rise = np.array([1.9, 3.3, 9.7, 40.3, 63.7, 77.9])
    held = np.array([0.0, 0.25, 5.5, 17.0, 63.0, 64.0, 64.5, 128.0, 200.2])
    rise, held = (a.ravel() for a in np.meshgrid(rise, held))
    spikes = _constant_current(10.0 / rise, held, event_by_event=event_by_event)
    for n in range(rise.size):
        exact = rise[n] + np.arange(400) * (rise[n] + held[n])
        exact = exact[exact < 639.0]
        found = spikes.of(0, n)
        # A spike that falls on a tick to within 1e-3 may be stamped with the next one: 300 spikes add up roundings.
        assert found.size - exact.size in (0, 1)
        assert ((found[: exact.size] - exact > -2e-3) & (found[: exact.size] - exact < 1 + 2e-3)).all(), (
            n,
            rise[n],
            held[n],
        )


@pytest.mark.parametrize("tau", [0.15, 0.6, 3.0, 5.0])
@pytest.mark.parametrize("tau_inh", [1e9, 0.2])
def test_membranes_that_follow_their_current_within_a_tick(tau, tau_inh):
    # A constant current lifts them by I tau (1 - exp(-s / tau)); the shortest ones have no series that would hold.
    beyond = np.array([1.001, 1.1, 2.0, 30.0])
    n, held, duration = beyond.size, 7.25, 1000
    circuit = make_circuit(
        np.stack([beyond[None] * 100.0 / tau, np.zeros((1, n))]), tau_mem=tau, tau_exc=1e9, tau_inh=tau_inh,
        threshold=100.0, refractory=held,
    )  # fmt: skip
    spikes = solve(circuit, make_inputs([(5, 0)]), make_trial(duration))
    rise = -tau * np.log(1 - 1 / beyond)
    for k in range(n):
        exact = 5 + rise[k] + np.arange(200) * (rise[k] + held)
        exact = exact[exact < duration - 2]
        found = spikes.of(0, k)[: exact.size]
        assert found.size == exact.size
        assert np.abs(found - np.ceil(exact)).max() <= 1


@pytest.mark.parametrize("event_by_event", [False, True])
@pytest.mark.parametrize("begin", [0, 63, 64, 128])
def test_events_at_the_same_tick_act_as_their_sum(event_by_event, begin):
    rng = generator(4, "at once")
    n, count = 20, 40
    weights = rng.uniform(0.0, 0.2, (2, count, n)) * [[[1.0]], [[0.3]]]
    options = {"tau_mem": 500.0, "tau_exc": 300.0, "tau_inh": 200.0, "threshold": rng.uniform(50, 150, n)}
    split = solve(
        make_circuit(weights, **options), make_inputs([(begin, k) for k in range(count)]),
        make_trial(3000, event_by_event=event_by_event),
    )  # fmt: skip
    joined = solve(
        make_circuit(weights.sum(axis=1, keepdims=True), **options), make_inputs([(begin, 0)]), make_trial(3000)
    )
    assert split.stamp.size > 50
    for neuron in range(n):
        a, b = split.of(0, neuron), joined.of(0, neuron)
        assert a.size == b.size
        assert (np.abs(a - b) <= 1).all()


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    ("regime", "spread", "n_functions"),
    [
        ((750, 750.001, 750.001), 0.0, 2), ((6000, 9000, 9000), 0.2, 3), ((750, 750, 750), 0.2, 4),
        ((1500, 750, 300), 0.2, 4), ((400, 900, 700), 0.2, 4), ((70, 150, 150), 0.2, 8), ((8, 20, 20), 0.2, 8),
    ],
)  # fmt: skip
def test_membranes_at_ends_of_steps_are_sums_of_responses(apart, regime, spread, n_functions):
    rng = generator(9, "responses")
    n, n_sources = 70, 12
    tau = np.array(regime)[:, None] * rng.uniform(1 - spread, 1 + spread, (3, n))
    if regime[1] == regime[2]:
        tau[2] = tau[1] * (1 + 1e-12 * apart)
    exc, inh = rng.uniform(0, 1, (2, n_sources, n)) * (rng.random((2, n_sources, n)) < 0.6)
    circuit = make_circuit([exc, inh], tau_mem=tau[0], tau_exc=tau[1], tau_inh=tau[2], threshold=1e9)
    assert isinstance(circuit.rates, at.EqualRates) == (regime[1] == regime[2] and not apart)
    assert circuit.basis.shape[1] == n_functions
    train = sorted(zip(rng.integers(0, 900, 200).tolist(), rng.integers(0, n_sources, 200).tolist(), strict=True))
    watch = make_watch(1, 1280, neuron=np.arange(n), period=STEP)
    solve(circuit, make_inputs(train), make_trial(1280), watch)
    expected = np.zeros((20, n))
    for tick, source in train:
        s = np.maximum(np.arange(20) * STEP - tick, 0)[:, None]
        for step, x in ((exc[source], tau[1]), (-inh[source], tau[2])):
            expected += step * (np.exp(-s / tau[0]) - np.exp(-s / x)) / (1 / x - 1 / tau[0] + 1e-15)
    assert np.abs(watch.cadc[0] - expected).max() < 2e-6 * np.abs(expected).max() * np.sqrt(len(train))


def _is_over(circuit, current=0.0, sigma=None, n_coming=0):
    """Whether a sample in which nobody has spiked is over in step 4, if neuron 0 has this current."""
    state = new_state(circuit, 8, 8)
    rows = state.level.reshape(-1, at.N_LEVELS, at.LANES)
    rows[: circuit.neuron_id.size // at.LANES, at.LEVEL_THRESHOLD].flat = circuit.parameters[at.THRESHOLD]
    state.tally[0, at.TALLY_SILENT] = circuit.recorded.sum()
    now = np.zeros(at.SAMPLES * at.N_ROWS * at.BLOCK, np.float32)
    now[at.ROW_EXC * at.LANES] = current
    return is_over(0, 4, n_coming, circuit, make_trial(1000, sigma), state, now)


@pytest.mark.parametrize(("height", "over"), [(0.999, False), (1.001, True)])
def test_a_sample_is_over_when_the_largest_noise_cannot_reach_the_threshold(height, over):
    shift = make_circuit(np.zeros((2, 1, 3)), sigma_membrane=2.0).parameters[at.MEMBRANE_SHIFT, 0]
    circuit = make_circuit(np.zeros((2, 1, 3)), sigma_membrane=2.0, threshold=height * LARGEST_FOURTH * shift)
    assert _is_over(circuit, sigma={at.SIGMA_MEMBRANE: 2.0}) == over
    assert _is_over(circuit)
    assert not _is_over(circuit, n_coming=1)


@pytest.mark.parametrize("tau_inh", [500.0, 400.0])
def test_the_largest_current_that_is_over_does_not_reach_the_threshold(tau_inh):
    # The bound is the peak of the response: w tau / e for equal time constants.
    circuit = make_circuit(np.zeros((2, 1, 1)), tau_mem=500.0, tau_exc=500.0, tau_inh=tau_inh, threshold=100.0)
    for factor, over in ((1.0 - 1e-4, True), (1.0 + 1e-4, False)):
        assert _is_over(circuit, factor * 100.0 * np.e / 500.0) == over


def test_lanes_that_earlier_groups_left_have_no_say():
    """One neuron of a group on its way to threshold; behind it, neurons of other steps, or nothing that is a number.

    Its spike is found by iteration, as many times as the slowest of the group needs.
    """
    circuit, follow, rng = make_circuit(np.zeros((2, 1, 3))), called(_follow), generator(9, "lanes")
    rates = {of.R_MEM: 1 / 800, of.R_EXC: 1 / 600, of.R_INH: 1 / 700}
    found = []
    for _ in range(200):
        state = new_state(circuit, 8, 8)
        group = state.group.reshape(of.ROWS, at.LANES)
        mine = {of.U: rng.uniform(0.5, 0.9), of.EXC: rng.uniform(0.002, 0.02), of.INH: 0.0, of.THETA: 1.0, **rates}
        others = {row: np.full(at.LANES, value) for row, value in mine.items()}
        others[of.U], others[of.EXC] = rng.uniform(0.5, 0.9999, at.LANES), 10 ** rng.uniform(-3, 0, at.LANES)
        others[of.INH] = others[of.EXC] * rng.uniform(0, 1.2, at.LANES)
        seen = []
        for left in (dict.fromkeys(mine, 0.0), others, dict.fromkeys(mine, np.nan)):
            for row, value in mine.items():
                group[row // at.LANES] = left[row]
                group[row // at.LANES, 0] = value
            spiked, redone = (int(mask) & 1 for mask in follow(0, 0, 0, np.uint64(1), circuit, state))
            seen.append((spiked, redone, group[of.SPIKE // at.LANES, 0] if spiked else 0.0))
        assert seen[0] == seen[1] == seen[2]
        found.append(seen[0][0])
    assert 50 < sum(found) < 200


@pytest.mark.parametrize("offset", [-200, -64, 0, 40])
def test_spikes_are_the_same_where_steps_are_counted_anew(offset):
    # A refractory period that begins before and ends behind the first step of an epoch.
    train = [(tick, 0) for tick in range(0, 3000, 50)]
    circuit = make_circuit(np.full((2, 1, 1), [[[1.0]], [[0.0]]]), refractory=700.0)
    early = solve(circuit, make_inputs([(6400 + tick, source) for tick, source in train]), make_trial(12_000))
    begin = at.EPOCH_STEPS * at.STEP_TICKS + 64 * (offset // 64) - 640
    late = solve(circuit, make_inputs([(begin + tick, source) for tick, source in train]), make_trial(begin + 5600))
    assert early.stamp.size > 2
    assert np.array_equal(early.stamp - 6400, late.stamp - begin)


@pytest.mark.parametrize("event_by_event", [False, True])
@pytest.mark.parametrize("regime", [(750, 750, 750), (700, 300, 900), (300, 600, 270), (90, 400, 300)])
def test_membranes_rise_from_reset_where_a_refractory_period_ended(event_by_event, regime):
    rng, n, n_sources = generator(12, "wake-ups", *regime), 60, 10
    tau = np.array(regime)[:, None] * rng.uniform(0.9, 1.1, (3, n))
    weights = rng.uniform(0, 0.1, (2, n_sources, n)) * (rng.random((2, n_sources, n)) < 0.6)
    weights[:, 0] = [[1.0], [0.0]]  # each of them spikes within some twenty ticks
    held, reset = rng.uniform(70.0, 260.0, n), rng.uniform(-300.0, -150.0, n)
    circuit = make_circuit(
        weights, tau_mem=tau[0], tau_exc=tau[1], tau_inh=tau[2], threshold=20.0, reset=reset, refractory=held
    )
    later = zip(rng.integers(4, 400, 60).tolist(), rng.integers(1, n_sources, 60).tolist(), strict=True)
    train = [(3, 0), *sorted(later)]
    watch = make_watch(1, 512, neuron=np.arange(n), period=STEP)
    solve(circuit, make_inputs(train), make_trial(512, event_by_event=event_by_event), watch)
    tick = np.array([t for t, _ in train], float)
    seen = 0
    for k in range(n):
        exc, inh = (weights[sign, [source for _, source in train], k] for sign in (0, 1))

        def membrane(t, begin=0.0, v=0.0, k=k, exc=exc, inh=inh):
            """V at tick `t` of a neuron that is at `v` at `begin`, in closed form."""
            total = v * np.exp(-(t - begin) / tau[0, k])
            since = np.maximum(t - np.maximum(tick, begin), 0.0)
            for weight, x in ((exc, tau[1, k]), (-inh, tau[2, k])):
                left, rate = np.exp(-np.maximum(begin - tick, 0.0) / x), 1 / x - 1 / tau[0, k]
                response = -np.exp(-since / tau[0, k]) * np.expm1(-since * rate) / rate
                total += np.sum(weight * left * response * (tick < t))
            return total

        free = brentq(lambda t: membrane(t) - 20.0, 3.0, 80.0, xtol=1e-9) + held[k]
        again = next((t for t in np.arange(free, 512.0, 8.0) if membrane(t, free, reset[k]) > 19.9), 512.0)
        for r in range(8):
            if free < STEP * r < again - 8.0:
                assert watch.cadc[0, r, k] == pytest.approx(membrane(STEP * r, free, reset[k]), abs=2e-4, rel=2e-6)
                seen += 1
    assert seen > n
