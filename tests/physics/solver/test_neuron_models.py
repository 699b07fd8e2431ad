"""Sub-stepped neurons against scipy and closed forms.

Measured against scipy's DOP853 at 1e-12: spike times before rounding within 1e-4 ticks, membranes within 2e-3 mV with
the seeds used here; within 2e-3 ticks and 0.06 mV with about 5200 spikes of 830 other neurons. The largest errors are
those of exponential neurons with a threshold tens of slopes above `EXP_AT`; others stay within 1e-4 ticks and 3e-3 mV.
"""

import numpy as np
import pytest
from scipy.linalg import expm
from support.solving.bare_solver import exact_spike_ticks, make_circuit, make_inputs, make_trial, make_watch, solve
from support.solving.neuron_models import Neuron, integrate

from hxloop.codes import nominal
from hxloop.codes.units import TICK_US
from hxloop.seeds import generator
from hxloop_chip.solver import layout as at

ADAPT, EXP = at.SWITCH_ADAPTATION, at.SWITCH_EXPONENTIAL
COBA_EXC, COBA_INH = at.SWITCH_COBA_EXC, at.SWITCH_COBA_INH
COMBINATIONS = (
    ADAPT, EXP, COBA_EXC, COBA_INH, ADAPT | EXP, COBA_EXC | COBA_INH, ADAPT | COBA_EXC, EXP | COBA_INH,
    ADAPT | EXP | COBA_EXC | COBA_INH,
)  # fmt: skip
DURATION, N_EVENTS, READ_PERIOD = 2500, 40, 7
WORST_TICKS, WORST_MV = 2e-3, 2e-2
SEEDS = range(8)
NA_TO_MV_PER_TICK = TICK_US / nominal.capacitance_pf(63)


def log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_neuron(rng, switches):
    """Neuron of full capacitance anywhere in the published ranges of its parameters."""
    tau_mem, tau_exc, tau_inh = (log_uniform(rng, *r) / TICK_US for r in ((0.5, 60), (0.3, 30), (0.3, 30)))
    threshold = rng.uniform(50, 600)
    extra = {}
    if switches & ADAPT:
        a = nominal.adaptation_a_ns(rng.integers(0, 1023)) * 1e-3 * NA_TO_MV_PER_TICK
        a = min(a, 5 / tau_mem) * rng.choice([1.0, -0.15])  # strongly negative: no resting potential
        b = nominal.adaptation_b_na(rng.integers(0, 300)) * NA_TO_MV_PER_TICK * rng.choice([1.0, -0.3])
        tau_w = nominal.tau_adaptation_us(rng.integers(20, 1023)) / TICK_US
        extra["adaptation"] = (float(tau_w), float(a), float(b), rng.uniform(-100, 100))
    if switches & EXP:
        current = float(nominal.exponential_na(rng.integers(50, 1023)) * NA_TO_MV_PER_TICK)
        slope = nominal.EXP_SLOPE_MV * rng.uniform(0.3, 1.2)
        extra["exponential"] = (current, threshold * rng.uniform(0.3, 0.9), slope)
    if switches & COBA_EXC:
        extra["coba_exc"] = (float(nominal.coba_per_mv(rng.integers(100, 1023))), threshold + rng.uniform(100, 800))
    if switches & COBA_INH:
        extra["coba_inh"] = (float(nominal.coba_per_mv(rng.integers(100, 1023))), rng.uniform(-300, 0))
    refractory = rng.uniform(0.04, 5) / TICK_US
    return Neuron(tau_mem, tau_exc, tau_inh, threshold, rng.uniform(-200, 0.5 * threshold), refractory, **extra)


def step_to(mean_mv, tau_mem, tau_syn):
    """Step with which events would hold the membrane at about `mean_mv`."""
    return mean_mv * DURATION / N_EVENTS / np.minimum(tau_mem, DURATION / 4) / np.minimum(tau_syn, DURATION / 4)


def draw_drive(rng, neuron):
    """Input events (tick, source) and the steps of the excitatory source 0 and the inhibitory source 1."""
    tick = rng.integers(0, DURATION, N_EVENTS)
    events = sorted(zip(tick.tolist(), rng.choice(2, N_EVENTS, p=[0.75, 0.25]).tolist(), strict=True))
    half = 0.5 * neuron.threshold
    factor_exc = neuron.coba_exc[0] * (neuron.coba_exc[1] - half) if neuron.coba_exc else 1.0
    factor_inh = neuron.coba_inh[0] * (half - neuron.coba_inh[1]) if neuron.coba_inh else 1.0
    exc = rng.uniform(2.5, 8.0) * step_to(neuron.threshold, neuron.tau_mem, neuron.tau_exc) / factor_exc
    inh = rng.uniform(0.3, 2.0) * step_to(neuron.threshold, neuron.tau_mem, neuron.tau_inh) / factor_inh
    return events, float(exc), float(inh)


def circuit_of(neuron, switches, exc, inh):
    rows = {at.EXP_SLOPE: 1.0}
    if neuron.adaptation:
        tau_w, *others = neuron.adaptation
        rows |= dict(zip((at.ADAPT_RATE, at.ADAPT_A, at.ADAPT_B, at.ADAPT_REST), (1 / tau_w, *others), strict=True))
    if neuron.exponential:
        rows |= dict(zip((at.EXP_CURRENT, at.EXP_AT, at.EXP_SLOPE), neuron.exponential, strict=True))
    if neuron.coba_exc:
        rows |= dict(zip((at.COBA_EXC, at.REVERSAL_EXC), neuron.coba_exc, strict=True))
    if neuron.coba_inh:
        rows |= dict(zip((at.COBA_INH, at.REVERSAL_INH), neuron.coba_inh, strict=True))
    names = ("tau_mem", "tau_exc", "tau_inh", "threshold", "reset", "refractory")
    weights = [[[exc], [0.0]], [[0.0], [inh]]]
    return make_circuit(weights, **{name: getattr(neuron, name) for name in names}, switches=switches, model=rows)


@pytest.mark.parametrize("switches", COMBINATIONS)
def test_spike_times_and_membranes_are_those_of_scipy(switches):
    errors_ticks, errors_mv = [], []
    for seed in SEEDS:
        rng = generator(seed, "neuron models", switches)
        neuron = draw_neuron(rng, switches)
        events, exc, inh = draw_drive(rng, neuron)
        circuit, inputs = circuit_of(neuron, switches, exc, inh), make_inputs(events)
        watch = make_watch(1, DURATION, neuron=[0], period=READ_PERIOD, madc_neuron=0)
        spikes = solve(circuit, inputs, make_trial(DURATION), watch)
        cadc_ticks = np.arange(watch.cadc.shape[1]) * float(READ_PERIOD)
        madc_ticks = np.arange(watch.madc.shape[1]) * watch.madc_period
        read_at = np.unique(np.concatenate([cadc_ticks, madc_ticks]))
        drive = [(t, exc if source == 0 else 0.0, inh if source == 1 else 0.0) for t, source in events]
        expected = integrate(neuron, drive, DURATION, read_at)
        exact = np.array(exact_spike_ticks(circuit, inputs, 0, 0, DURATION))
        assert len(exact) == len(expected.spikes)
        errors_ticks.extend(np.abs(exact - expected.spikes))
        stamps = np.ceil(exact)
        assert list(spikes.of(0, 0)) == list(stamps[stamps < DURATION])
        errors_mv.extend(np.abs(watch.cadc[0, :, 0] - expected.trace[np.searchsorted(read_at, cadc_ticks)]))
        errors_mv.extend(np.abs(watch.madc[0] - expected.trace[np.searchsorted(read_at, madc_ticks)]))
    assert len(errors_ticks) > 25
    assert max(errors_ticks) < WORST_TICKS
    assert max(errors_mv) < WORST_MV


PLAIN_LIMIT = {
    at.COBA_EXC: 2.0**-60, at.REVERSAL_EXC: 2.0**60, at.COBA_INH: 2.0**-60, at.REVERSAL_INH: -(2.0**60),
    at.EXP_SLOPE: 1.0,
}  # fmt: skip


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("switches", COMBINATIONS)
def test_strength_zero_is_the_plain_neuron(switches, noisy):
    n, n_samples = 40, 5
    rng = generator(7, "plain limit")
    taus = rng.uniform(60, 3000, (3, n))
    options = {
        "tau_mem": taus[0], "tau_exc": taus[1], "tau_inh": taus[2], "threshold": rng.uniform(50, 500, n),
        "refractory": rng.uniform(0, 300, n), "sigma_membrane": 3.0,
    }  # fmt: skip
    weights = np.zeros((2, 2, n))
    weights[0, 0] = step_to(6.0 * options["threshold"], taus[0], taus[1])
    weights[1, 1] = step_to(2.0 * options["threshold"], taus[0], taus[2])
    inputs = make_inputs(
        *[
            list(zip(rng.integers(0, DURATION, N_EVENTS), rng.integers(0, 2, N_EVENTS), strict=True))
            for _ in range(n_samples)
        ]
    )
    sigma = {at.SIGMA_THRESHOLD: 4.0, at.SIGMA_AMPLITUDE: 0.05, at.SIGMA_JITTER: 2.0, at.SIGMA_MEMBRANE: 3.0}
    trial = make_trial(DURATION, sigma if noisy else None)
    found, traces = [], []
    for bits in (0, switches):
        watch = make_watch(n_samples, DURATION, neuron=np.arange(n), period=50)
        circuit = make_circuit(weights, **options, switches=bits, model=PLAIN_LIMIT)
        found.append(solve(circuit, inputs, trial, watch))
        traces.append(watch.cadc)
    assert len(found[0].stamp) > 1000
    assert found[0] == found[1]
    # Both in single precision at the ends of steps; a crossing off by a bit moves the membrane behind it.
    assert np.abs(traces[1] - traces[0]).max() < 2e-3


@pytest.mark.parametrize(
    ("at_mv", "slope", "threshold"), [(50.0, 35.0, 400.0), (60.0, 12.0, 800.0), (40.0, 5.0, 9000.0)]
)
def test_exponential_runs_away_in_closed_form(at_mv, slope, threshold):
    # du/dt = c exp((u - at) / slope) from u = 0 without leak; the exponent at threshold is up to 1792.
    for wanted in (3.3, 400.0, 2000.7):
        current = slope / wanted * np.exp(at_mv / slope)
        expected = slope / current * (np.exp(at_mv / slope) - np.exp(-(threshold - at_mv) / slope))
        circuit = make_circuit(
            np.zeros((2, 1, 1)), tau_mem=1e15, threshold=threshold, refractory=1e6, switches=EXP,
            model={at.EXP_CURRENT: current, at.EXP_AT: at_mv, at.EXP_SLOPE: slope},
        )  # fmt: skip
        (time,) = exact_spike_ticks(circuit, make_inputs([]), 0, 0, DURATION)
        assert abs(time - expected) < 0.01
        assert list(solve(circuit, make_inputs([]), make_trial(DURATION)).stamp) == [np.ceil(time)]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_adaptation_below_threshold_is_a_linear_system(sign):
    r_mem, r_exc, rate, a, rest, step = 1 / 700, 1 / 400, 1 / 1500, sign * 0.6 / 700, 40.0, 0.3
    system = np.array(
        [[-r_mem, -1.0, 1.0, 0.0], [rate * a, -rate, 0.0, -rate * a * rest], [0, 0, -r_exc, 0], [0, 0, 0, 0]]
    )
    model = {at.ADAPT_RATE: rate, at.ADAPT_A: a, at.ADAPT_REST: rest}
    circuit = make_circuit([[[step]], [[0.0]]], tau_mem=700, tau_exc=400, threshold=1e4, switches=ADAPT, model=model)
    watch = make_watch(1, 6000, neuron=[0], period=100)
    solve(circuit, make_inputs([(0, 0)]), make_trial(6000), watch)
    expected = [(expm(system * t) @ [0.0, 0.0, step, 1.0])[0] for t in range(0, 6000, 100)]
    assert np.abs(watch.cadc[0, :, 0] - expected).max() < 1e-5  # 57 mV in single precision


def test_positive_adaptation_slows_a_train_and_negative_speeds_it_up():
    # A current that hardly decays; b acts at every spike.
    intervals = {}
    for b in (-0.02, 0.0, 0.02):
        circuit = make_circuit(
            [[[0.6]], [[0.0]]], tau_mem=800, tau_exc=1e12, refractory=20, switches=ADAPT,
            model={at.ADAPT_RATE: 1e-4, at.ADAPT_B: b},
        )  # fmt: skip
        intervals[b] = np.diff(exact_spike_ticks(circuit, make_inputs([(0, 0)]), 0, 0, 8000))
    assert np.ptp(intervals[0.0]) < 1e-3
    assert (np.diff(intervals[0.02]) > 0).all()
    assert (np.diff(intervals[-0.02]) < 0).all()


def test_conductances_saturate_at_their_reversal_potentials():
    for source, reversal in ((0, 120.0), (1, -80.0)):
        weights = np.zeros((2, 2, 1))
        weights[0, 0, 0] = weights[1, 1, 0] = 50.0
        model = {at.COBA_EXC: 1e-3, at.REVERSAL_EXC: 120.0, at.COBA_INH: 1e-3, at.REVERSAL_INH: -80.0}
        circuit = make_circuit(
            weights, tau_mem=1e4, tau_exc=1e6, tau_inh=1e6, switches=COBA_EXC | COBA_INH, model=model
        )  # fmt: skip
        watch = make_watch(1, 2000, neuron=[0], period=100)
        solve(circuit, make_inputs([(0, source)]), make_trial(2000), watch)
        assert watch.cadc[0, -1, 0] == pytest.approx(reversal, rel=0.005)
        assert np.abs(watch.cadc).max() < abs(reversal)


def test_spikes_of_a_model_neuron_travel_like_any_others():
    # Neuron 0 (exponential) hears source 0, neuron 1 (plain) hears neuron 0 over source 1.
    weights = np.zeros((2, 2, 2))
    weights[0, 0, 0] = weights[0, 1, 1] = 2.0
    model = {at.EXP_CURRENT: 0.05, at.EXP_AT: 200.0, at.EXP_SLOPE: 35.0}
    options = {"tau_exc": 500, "refractory": 1000, "delay": 150, "model": model}
    chain = make_circuit(weights, switches=[EXP, 0], neuron_source=[1, -1], **options)
    spikes = solve(chain, make_inputs([(5, 0), (1500, 0)]), make_trial(4000))
    alone = make_circuit(weights, switches=[EXP, 0], **options)
    arrivals = [(int(t) + 150, 1) for t in spikes.of(0, 0)]
    assert len(arrivals) >= 2
    direct = solve(alone, make_inputs([(5, 0), (1500, 0), *arrivals]), make_trial(4000))
    assert len(spikes.of(0, 1)) >= 2
    assert list(direct.of(0, 1)) == list(spikes.of(0, 1))
