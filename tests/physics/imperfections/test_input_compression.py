"""Compression of synaptic inputs on chips: spreads over serials, sizes of responses, merged circuits, nothing at 0."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from support.held_gains.compressed_inputs import Neurons, integrate
from support.solving.single import events, side_by_side

from hxloop.codes import nominal
from hxloop.result import Readout
from hxloop.spec import HICANN_X
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.imperfections import Imperfections
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.solver import layout as at
from hxloop_chip.truth import circuits_at_boot

SPREAD, LOSSES = 0.3, {"input_compression": 0.05, "input_headroom": 0.04}
STRENGTHS = {"input_compression_fixed": 0.05, "input_headroom_fixed": 0.04, "input_compression_spread_fixed": SPREAD}
BURST = [(1000, 0)] * 4 + [(1700, 1)] * 3 + [(2400, 0)] * 2
DURATION, TAU_TICKS = 3200, 750.0


def test_spreads_are_as_said_and_nothing_is_shared():
    chips = [Mismatch(HICANN_X, Imperfections(**STRENGTHS), serial) for serial in range(1, 11)]
    drawn = []
    for name, loss in LOSSES.items():
        x = np.log(np.array([chip.deviation(name) for chip in chips]) / loss) / SPREAD  # [serial, sign, circuit]
        assert abs(x.mean()) < 4.5 / np.sqrt(x.size)
        assert abs(x.std() - 1) < 4.5 / np.sqrt(2 * x.size)
        assert abs(np.mean(x**4) - 3) < 4.5 * np.sqrt(96 / x.size)
        drawn += [*x.reshape(-1, x.shape[2])]
    between = np.corrcoef(drawn)[np.triu_indices(len(drawn), 1)]  # of signs, serials, and of both losses
    assert np.abs(between).max() < 5.5 / np.sqrt(HICANN_X.n_circuits)


def traces(chip, config, circuit):
    """Readings of a membrane in mV above its first ones, and the ticks they are taken at."""
    chip.configure(config)
    run = chip.run(events(BURST), duration_ticks=DURATION, readout=Readout(madc_circuit=circuit))
    v_mv = nominal.madc_mv(run.observations.madc[0, HICANN_X.madc_invalid_samples :])
    tick = np.arange(HICANN_X.madc_invalid_samples, len(run.observations.madc[0]))
    return v_mv, tick * HICANN_X.madc_period_us / HICANN_X.tick_us


@pytest.mark.parametrize("serial", [1, 7])
@pytest.mark.parametrize("strengths", [{"input_compression_fixed": 0.1}, {"input_headroom_fixed": 0.1}])
def test_a_membrane_answers_as_its_strengths_say(serial, strengths):
    spread = {**strengths, "input_compression_spread_fixed": SPREAD}
    chip = EmulatedChip(f"uncalibrated[all=0,{','.join(f'{k}={v}' for k, v in spread.items())}]", serial)
    v_mv, tick = traces(chip, side_by_side(4, v_threshold_mv=1000.0), 2)
    loss = np.stack([chip.mismatch.deviation(name)[:, 2] for name in LOSSES])
    slope = loss / (1 - loss) / np.array([[100.0 * HICANN_X.tick_us], [100.0]])  # at 100 mV/us, and at 100 mV
    assert (slope > 0).any()
    expected = {}
    for name, compression in (("with", slope), ("without", 0 * slope)):
        neurons = Neurons(
            np.array([[60.0, 0.0], [0.0, 60.0]])[:, :, None] * HICANN_X.tick_us, *np.full((3, 1), TAU_TICKS),
            np.array([1e6]), np.zeros(1), np.zeros(1), compression.reshape(4, 1),
        )  # fmt: skip
        seen = integrate(neurons, BURST, DURATION, at.STEP_TICKS * 8)[1][:, 0]
        expected[name] = np.interp(tick, np.arange(DURATION), seen)
    off = v_mv - 360.0
    assert np.abs(expected["with"] - expected["without"]).max() > 30
    assert np.abs(off - expected["with"]).max() < 4.0  # codes, and the converter's 1.2 mV


def test_merged_circuits_that_hear_the_same_are_as_compressed_as_one():
    found = []
    for merged in (False, True):
        chip = EmulatedChip("uncalibrated[all=0,input_compression_fixed=0.1,input_headroom_fixed=0.05]", 3)
        config = side_by_side(2, v_threshold_mv=1000.0)
        head = np.zeros(2, np.int16) if merged else config.neurons.circuit
        found.append(traces(chip, replace(config, neurons=replace(config.neurons, head=head)), 0)[0])
    assert np.ptp(found[0]) > 100
    assert np.abs(found[0] - found[1]).max() < 1.5


@pytest.mark.parametrize(("compression", "headroom"), [(0.0025, 0.006), (0.03, 0.0), (0.0, 0.02)])
def test_a_night_makes_up_for_what_inputs_lose_of_a_volley(compression, headroom):
    """A volley that lifts a textbook membrane to threshold, through inputs that lose and synapses that make up."""
    losses = f"input_compression_fixed={compression},input_headroom_fixed={headroom}"
    chip = EmulatedChip(f"typical[all=0,{losses}]", 3)
    target, found = chip.boot.target, circuits_at_boot(chip.mismatch, chip.boot, chip.spec)
    distance_mv, tau_us = target.v_threshold_mv - target.v_leak_mv, target.tau_syn_us
    assert tau_us == target.tau_mem_us
    at_once = distance_mv * np.e / tau_us  # mV/us: the response to I exp(-t / tau) is I t exp(-t / tau)
    made_up = found.step_na[0, 0] / found.capacitance_pf[0] / target.synapse_gain_mv_per_us

    def slope(t_us, v_mv):
        current = made_up * at_once * np.exp(-t_us / tau_us)
        lost = found.compression_per_na[0, 0] * found.capacitance_pf[0] * current + found.headroom_per_mv[0, 0] * v_mv
        return -v_mv / tau_us + current / (1.0 + lost)

    lifted = solve_ivp(slope, (0.0, 3 * tau_us), [0.0], rtol=1e-9, atol=1e-9, max_step=0.05).y.max()
    assert made_up > 1.01
    assert lifted == pytest.approx(distance_mv, rel=0.003)


def test_a_spread_of_nothing_is_nothing():
    config = side_by_side(40, gain_mv_per_us=np.linspace(0.5, 1.5, 40))
    inputs, found = events(BURST, BURST[:4]), []
    off = "input_compression_fixed=0,input_headroom_fixed=0,input_compression_spread_fixed"
    for changes in (f"{off}=0", f"{off}=0.5", f"{off}=0,input_compression_fixed=0.05"):
        chip = EmulatedChip(f"typical[{changes}]", 5)
        chip.configure(config)
        found.append(chip.run(inputs, duration_ticks=DURATION).spikes)
    none, spread, some = found
    assert np.array_equal(none.tick, spread.tick)
    assert np.array_equal(none.source, spread.source)
    assert some.n_spikes < none.n_spikes or (some.tick != none.tick).any()
