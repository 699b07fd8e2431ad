"""Single neurons of the ideal chip against formulas one can write down, independent of any solver."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import lambertw
from support.solving.networks import build_network, draw_plan
from support.solving.single import events, side_by_side

from hxloop.codes.units import TICK_US
from hxloop.program import Routes
from hxloop.spec import TEXTBOOK
from hxloop_chip.chip.emulated_chip import EmulatedChip

TAU = 6.0
CODE, GAIN = 50.0, 2.0  # a current step of 100 mV/us


@pytest.fixture(scope="module")
def chip():
    return EmulatedChip("ideal", 1)


def run(chip, config, inputs, duration_us=200.0):
    chip.configure(config)
    return chip.run(inputs, duration_ticks=round(duration_us / TICK_US)).spikes


def stamps(times_us):
    return np.ceil(np.asarray(times_us) / TICK_US).astype(np.int64)


def response(s, tau_mem, tau):
    return (np.exp(-s / tau_mem) - np.exp(-s / tau)) / (1 / tau - 1 / tau_mem)


def test_rise_with_equal_time_constants(chip):
    # U = J s exp(-s/tau) = theta: s = -tau W0(-theta / (J tau)).
    height = np.linspace(0.02, 0.98, 64) * CODE * GAIN * TAU / np.e
    config = side_by_side(64, spec=TEXTBOOK, v_threshold_mv=360.0 + height, code_exc=CODE, gain_mv_per_us=GAIN)
    spikes = run(chip, config, events([(123, 0)]))
    first = {int(n): int(t) for t, n in zip(spikes.tick[::-1], spikes.source[::-1], strict=True)}
    expected = stamps(123 * TICK_US - TAU * np.real(lambertw(-height / (CODE * GAIN * TAU))))
    assert [first[n] for n in range(64)] == list(expected)


def test_rise_with_a_membrane_twice_as_slow(chip):
    # With x = exp(-s / 2 tau): U = 2 J tau (x - x^2) = theta.
    height = np.linspace(0.02, 0.98, 64) * CODE * GAIN * TAU / 2
    config = side_by_side(
        64, spec=TEXTBOOK, v_threshold_mv=360.0 + height, code_exc=CODE, gain_mv_per_us=GAIN, tau_mem_us=2 * TAU
    )
    spikes = run(chip, config, events([(77, 0)]))
    first = {int(n): int(t) for t, n in zip(spikes.tick[::-1], spikes.source[::-1], strict=True)}
    x = 0.5 * (1 + np.sqrt(1 - 2 * height / (CODE * GAIN * TAU)))
    assert [first[n] for n in range(64)] == list(stamps(77 * TICK_US - 2 * TAU * np.log(x)))


@pytest.mark.parametrize(("tau_mem", "tau_exc", "tau_inh"), [(9.0, 4.0, 2.0), (3.0, 5.0, 11.0), (20.0, 1.0, 7.0)])
def test_inhibition_delays_by_its_own_time_constant(chip, tau_mem, tau_exc, tau_inh):
    peak = CODE * GAIN * np.max(response(np.linspace(0, 50, 5000), tau_mem, tau_exc))
    config = side_by_side(
        1,
        spec=TEXTBOOK,
        v_threshold_mv=360.0 + 0.5 * peak,
        tau_mem_us=tau_mem,
        tau_exc_us=tau_exc,
        tau_inh_us=tau_inh,
        code_exc=CODE,
        code_inh=0.2 * CODE,
        gain_mv_per_us=GAIN,
    )

    def excess(s):
        inhibited = 0.2 * response(s, tau_mem, tau_inh)
        return CODE * GAIN * (response(s, tau_mem, tau_exc) - inhibited) - 0.5 * peak

    s = next(
        brentq(excess, a, a + 0.05, xtol=1e-13) for a in np.arange(0, 40, 0.05) if excess(a) < 0 <= excess(a + 0.05)
    )
    spikes = run(chip, config, events([(10, 0), (10, 1)]))
    assert spikes.tick[0] == stamps(10 * TICK_US + s)


@pytest.mark.parametrize("t_refractory_us", [0.0, 0.3, 7.77])
@pytest.mark.parametrize("v_reset_mv", [360.0, 200.0, 500.0])
def test_refractory_period_and_reset(chip, t_refractory_us, v_reset_mv):
    # After a spike at exact t the current has decayed to J exp(-(t - t0)/tau) when the membrane is released at reset.
    config = side_by_side(
        1,
        spec=TEXTBOOK,
        v_threshold_mv=560.0,
        v_reset_mv=v_reset_mv,
        t_refractory_us=t_refractory_us,
        tau_mem_us=8.0,
        tau_exc_us=30.0,
        code_exc=60.0,
        gain_mv_per_us=2.0,
    )
    current, at, start, expected = 120.0, 40 * TICK_US, 0.0, []
    while True:

        def height(s, current=current, start=start):
            return start * np.exp(-s / 8.0) + current * response(s, 8.0, 30.0) - 200.0

        grid = np.linspace(0, 60, 6001)
        above = np.flatnonzero(height(grid) >= 0)
        if not above.size:
            break
        s = brentq(height, grid[above[0] - 1], grid[above[0]], xtol=1e-13)
        expected.append(at + s)
        at, start = at + s + t_refractory_us, v_reset_mv - 360.0
        current *= np.exp(-(s + t_refractory_us) / 30.0)
    assert len(expected) >= 3
    assert list(run(chip, config, events([(40, 0)])).tick) == list(stamps(expected))


def test_a_spike_arrives_one_routing_delay_after_its_stamp(chip):
    # Neuron 0 hears the input, neuron 1 only neuron 0 (over row 2).
    height = 0.4 * CODE * GAIN * TAU / np.e
    config = side_by_side(
        2, spec=TEXTBOOK, v_threshold_mv=360.0 + height, code_exc=[CODE, 0.0], code_inh=0.0, gain_mv_per_us=GAIN,
        t_refractory_us=50.0,
    )  # fmt: skip
    synapses = config.synapses
    row, code = synapses.row.copy(), synapses.weight_code.copy()
    row[1], code[1] = 2, CODE
    sign = config.row_sign.copy()
    sign[:, 2] = 1
    routes = Routes(np.zeros(1, np.int32), np.ones(1, np.int16), np.full(1, 5, np.uint8))
    config = replace(
        config,
        synapses=replace(synapses, row=row, weight_code=code),
        row_sign=sign,
        neuron_routes=routes,
    )
    spikes = run(chip, config, events([(500, 0)]))
    rise = -TAU * np.real(lambertw(-height / (CODE * GAIN * TAU)))
    first = stamps(500 * TICK_US + rise)
    second = stamps((first + TEXTBOOK.routing_delay_ticks) * TICK_US + rise)
    assert list(zip(spikes.source, spikes.tick, strict=True)) == [(0, first), (1, second)]


def test_peaks_a_hair_above_threshold_are_spikes(chip):
    excess = np.concatenate([s * 10.0 ** np.arange(-6, -1.9, 0.25) for s in (1, -1)]) * 1.01
    for tau_mem in (6.0, 12.0, 2.5):
        s = np.linspace(0.1, 30, 300_000)
        shape = s * np.exp(-s / 6.0) if tau_mem == 6.0 else response(s, tau_mem, 6.0)
        config = side_by_side(
            len(excess),
            spec=TEXTBOOK,
            tau_mem_us=tau_mem,
            code_exc=1.0,
            gain_mv_per_us=315.0 / shape.max() * (1 + excess),
        )
        for tick in (0, 31, 64, 1000):
            assert set(run(chip, config, events([(tick, 0)])).source) == set(np.flatnonzero(excess > 0)), tick


@pytest.mark.parametrize("merge", [2, 4])
def test_merged_circuits_with_half_or_a_quarter_of_the_current_act_as_one(chip, merge):
    plan = replace(draw_plan(0, 3), n_inputs=30, sizes=(20,), n_samples=10)
    found = []
    for k in (1, merge):
        network = build_network(replace(plan, merge=k), 0, 3)  # gain k times larger
        chip.configure(network.config)
        spikes = chip.run(network.inputs, duration_ticks=plan.duration_ticks).spikes
        neuron = spikes.source % TEXTBOOK.n_columns // max(1, k // 2)
        found.append(sorted(zip(spikes.sample, spikes.tick, neuron, strict=True)))
    assert len(found[0]) > 50
    assert found[0] == found[1]
