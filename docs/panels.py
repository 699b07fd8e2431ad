"""What each panel of the pictures in docs/chip.md shows; every curve comes from an emulated chip."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from small_experiments import EXCITE, INHIBIT, configured, first_spikes, membrane, only

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, Switch
from hxloop.kit.figures import BLUE, COLORS, GREY, ORANGE
from hxloop.spec import HICANN_X
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.report.curves import weight_curves
from hxloop_chip.report.specimens import put_on_bench
from hxloop_chip.silicon.circuits import true_circuits
from hxloop_chip.silicon.mechanisms.in_circuits.temperature import deviation_k
from hxloop_chip.silicon.presets import TYPICAL
from hxloop_chip.wiring.link_loss import admitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from small_experiments import Events

    from hxloop_chip.report.specimens import Bench

CIRCUITS = (3, 40, 77, 200, 300, 450)
PSP: Events = [(6.0, EXCITE), (30.0, INHIBIT)]
BURST: Events = [(t, EXCITE) for t in (6.0, 8.0, 10.0, 12.0, 14.0)]
MADC_LSB_MV = float(nominal.madc_mv(1))
DRIVEN = {Cell.i_leak: 51, Cell.i_offset: 700}
"""Membrane time constant 30 us and 35 nA: enough to spike without input."""


def fixed_circuit(axes: Axes, knob: str, *, burst: bool = False, strength: float | None = None, **options: Any) -> None:
    """Six circuits of an uncalibrated chip with one imperfection get the same input."""
    chip = EmulatedChip(only(knob, **({} if strength is None else {knob: strength})), 3)
    configured(chip, CIRCUITS, **options)
    for k, circuit in enumerate(CIRCUITS):
        time_us, v_mv = membrane(chip, circuit, [BURST if burst else PSP], 45.0)
        axes.plot(time_us, v_mv[0], color=COLORS[k], lw=0.8)
    _label(axes, knob, strength)


def fixed_upswing(axes: Axes, knob: str) -> None:
    """Circuits driven by a constant current, with the exponential term."""
    chip = EmulatedChip(only(knob), 3)
    cells = {**DRIVEN, Cell.v_exp: 310, Cell.i_exp: 60}
    configured(chip, CIRCUITS, switches=Switch.exponential | Switch.offset_current, cells=cells, refractory_counter=16)
    for k, circuit in enumerate(CIRCUITS):
        time_us, v_mv = membrane(chip, circuit, [[]], 35.0)
        axes.plot(time_us, v_mv[0], color=COLORS[k], lw=0.8)
    _label(axes, knob)


def fixed_adaptation(axes: Axes, knob: str) -> None:
    """Spike trains of driven circuits with adaptation."""
    chip = EmulatedChip(only(knob), 3)
    switches = Switch.adaptation | Switch.offset_current
    configured(chip, CIRCUITS, switches=switches, cells={**DRIVEN, Cell.i_adapt_b: 150}, refractory_counter=16)
    for k, circuit in enumerate(CIRCUITS):
        time_us, v_mv = membrane(chip, circuit, [[]], 250.0)
        axes.plot(time_us, v_mv[0] + 450.0 * k, color=COLORS[k], lw=0.6)
    axes.set_yticks([])
    _label(axes, knob)


def fixed_row(axes: Axes, knob: str) -> None:
    """One circuit, the same weight on six rows."""
    chip = configured(EmulatedChip(only(knob), 3), [3], rows=(2, 10, 40, 80, 120, 200))
    time_us, v_mv = membrane(chip, 3, [[(6.0, k)] for k in range(6)], 30.0)
    for k in range(6):
        axes.plot(time_us, v_mv[k], color=COLORS[k], lw=0.8)
    _label(axes, knob)


def busy_drivers(axes: Axes, knob: str, strength: float, **others: float) -> None:
    """What an event is worth at some time after five others on the same driver; six drivers."""
    chip = EmulatedChip(only(knob, **{knob: strength}, **others), 3)
    configured(chip, [3], rows=(2, 10, 40, 80, 120, 200), code=40, cells={Cell.v_threshold: 560})
    gap_us = np.array([0.1, 0.5, 1.0, 2.0, 4.0, 7.0, 10.0, 15.0])
    for k in range(6):
        burst: Events = [(6.0, k)] * 5
        probes: list[Events] = [[*burst, (6.0 + gap, k)] for gap in gap_us]
        _, v_mv = membrane(chip, 3, [[(6.0, k)], burst, *probes], 40.0)
        alone = np.ptp(v_mv[0])
        axes.plot(gap_us, (v_mv[2:] - v_mv[1]).max(axis=1) / alone, color=COLORS[k], lw=0.8)
    _label(axes, knob, strength, x="time since five events (us)", y="response, relative")


def fixed_quadrant(axes: Axes, knob: str) -> None:
    """One circuit of each quadrant."""
    circuits = (10, 140, 266, 400)
    chip = configured(EmulatedChip(only(knob), 3), circuits)
    for k, circuit in enumerate(circuits):
        time_us, v_mv = membrane(chip, circuit, [PSP], 45.0)
        axes.plot(time_us, v_mv[0], color=COLORS[k], lw=0.8)
    _label(axes, knob)


def fixed_weight(axes: Axes, knob: str) -> None:
    """Worth of weight codes, less the code."""
    error = weight_curves([put_on_bench(only(knob), 3)])[1]
    for k, example in enumerate(error.examples):
        axes.plot(error.x, example, color=COLORS[k], lw=0.8)
    _label(axes, knob, x="weight code", y="worth - code")


def fixed_converter(axes: Axes, knob: str) -> None:
    """What channels (of the MADC: chips) read too much."""
    v_mv = np.linspace(150.0, 1050.0, 50)
    for k in range(6):
        mismatch = put_on_bench(only(knob), k + 1 if "madc" in knob else 3).mismatch
        if "madc" in knob:
            straight = nominal.madc_lsb(v_mv)
            error = (mismatch.madc_gain - 1.0) * straight + mismatch.madc_offset_lsb
        else:
            straight = nominal.cadc_lsb(v_mv)
            error = (mismatch.cadc_gain[CIRCUITS[k]] - 1.0) * straight + mismatch.cadc_offset_lsb[CIRCUITS[k]]
        axes.plot(v_mv, error, color=COLORS[k], lw=0.8)
    _label(axes, knob, x="membrane (mV)", y="error (LSB)")


def fixed_sensor(axes: Axes, knob: str) -> None:
    """What a pair of events adds in six synapses."""
    mismatch = put_on_bench(only(knob), 3).mismatch
    place = np.zeros(6, np.int64), np.arange(6), np.full(6, 3)
    amplitude, tau = mismatch.correlation_amplitude(*place)[0], mismatch.correlation_tau(*place)[0]
    delay_us = np.linspace(0.0, 20.0, 60)
    for k in range(6):
        drop = 0.5 * amplitude[k] * np.exp(-delay_us / (5.0 * tau[k]))  # at the codes of the boot
        axes.plot(delay_us, drop, color=COLORS[k], lw=0.8)
    _label(axes, knob, x="delay (us)", y="LSB per pair")


def compressed_input(axes: Axes, knob: str, strength: float, **others: float) -> None:
    """Response of six circuits to one, two, .. events at once, for each event, over that to one."""
    chip = EmulatedChip(only(knob, **{knob: strength}, **others), 3)
    configured(chip, CIRCUITS, code=15, cells={Cell.v_threshold: 560})
    trains: list[Events] = [[(6.0, EXCITE)] * (k + 1) for k in range(8)]
    slope = np.arange(1, 9) * 15 * 1.15
    for k, circuit in enumerate(CIRCUITS):
        _, v_mv = membrane(chip, circuit, trains, 20.0)
        height = (v_mv.max(axis=1) - v_mv[:, :10].mean(axis=1)) / np.arange(1, 9)
        axes.plot(slope, height / height[0], color=COLORS[k], lw=0.8)
    _label(axes, knob, strength, x="current (mV/us)", y="response, relative")


def cell_pull(axes: Axes, knob: str, strength: float) -> None:
    """What the leak cells of six circuits hold while their reset cells are written."""
    chip = put_on_bench(only(knob, **{knob: strength}), 3)
    code = np.arange(0, 1000, 50)
    held = np.array([_held(chip, Cell.v_leak, {Cell.v_reset: k})[list(CIRCUITS)] for k in code])
    axes.plot(code, held, lw=0.9)
    _label(axes, knob, strength, x="code of v_reset", y="v_leak cell - code")


def cell_crowding(axes: Axes, knob: str, strength: float) -> None:
    """What the leak cells of six circuits hold, while others of their quadrants come to hold the same."""
    chip = put_on_bench(only(knob, **{knob: strength}), 3)
    apart = 150 + 5 * (np.arange(chip.spec.n_circuits) % 128)
    same = np.arange(0, 129, 8)
    held = []
    for k in same:
        code = np.where(np.arange(chip.spec.n_circuits) % 128 < k, 900, apart)
        code[list(CIRCUITS)] = 900
        held.append(_held(chip, Cell.v_leak, {Cell.v_leak: code})[list(CIRCUITS)])
    axes.plot(same, held, lw=0.9)
    _label(axes, knob, strength, x="circuits with the same code", y="v_leak cell - code")


def correlated(axes: Axes, knob: str, strength: float) -> None:
    """Threshold offsets of both rows of circuits, independent (grey) and with neighbours alike."""
    for share, color in ((0.0, GREY), (strength, BLUE)):
        mismatch = put_on_bench(only("v_threshold_fixed_mv", **{knob: share}), 3).mismatch
        offset_mv = mismatch.voltage_offset_mv[Cell.v_threshold].reshape(2, -1)
        axes.plot(offset_mv[0], ".", color=color, ms=2)
    _label(axes, knob, strength, x="column", y="offset (mV)")


def _held(chip: Bench, cell: Cell, written: dict[Cell, Any]) -> NDArray[np.float64]:
    """What a cell of all circuits holds beyond its code, at nominal codes but for some cells."""
    every = np.arange(chip.spec.n_circuits, dtype=np.int16)
    neurons = chip.nominal.of(every, every)
    codes = neurons.capmem_code.copy()
    for name, code in written.items():
        codes[:, name] = code
    neurons = replace(neurons, capmem_code=codes)
    return (chip.mismatch.held(neurons, chip.nominal.shared) - codes)[:, cell]


def trial_membrane(axes: Axes, knob: str) -> None:
    """Resting membrane in three trials."""
    chip = configured(EmulatedChip(only(knob), 3), [3])
    time_us, v_mv = membrane(chip, 3, [[], [], []], 80.0)
    for k in range(3):
        axes.plot(time_us, v_mv[k], color=COLORS[k], lw=0.6)
    _label(axes, knob)


def trial_spikes(axes: Axes, knob: str) -> None:
    """The same input in eight trials."""
    chip = configured(EmulatedChip(only(knob), 3), [3])
    time_us, v_mv = membrane(chip, 3, [BURST] * 8, 20.0)
    for k in range(8):
        axes.plot(time_us, v_mv[k], color=COLORS[k % 6], lw=0.6)
    axes.set(xlim=(10.5, 13.0), ylim=(600.0, 760.0))
    _label(axes, knob)


def trial_jitter(axes: Axes, knob: str) -> None:
    """Stamps of the same spike."""
    chip = configured(EmulatedChip(only(knob), 3), [3])
    axes.hist(first_spikes(chip, [3], [BURST] * 2000, 20.0)[:, 0], 40, color=BLUE, alpha=0.8)
    _label(axes, knob, x="time stamp (us)", y="trials")


def waiting(axes: Axes, knob: str, strength: float) -> None:
    """Stamps of 64 equal neurons that spike at once, on two event outputs, in six trials."""
    chip = configured(EmulatedChip(only(knob, **{"event_wait_fixed": 1.0, knob: strength}), 3), range(64))
    for k in range(6):
        stamp_us = first_spikes(chip, list(range(64)), [BURST], 20.0, trial_seed=k)[0]
        axes.plot(1000.0 * (stamp_us - np.nanmin(stamp_us)), ".", color=COLORS[k], ms=2)
    _label(axes, knob, strength, x="circuit", y="late by (ns)")


def trial_rewrite(axes: Axes, knob: str) -> None:
    """Resting potential after every writing of analog parameters, measured by averaging."""
    chip, found = EmulatedChip(only(knob, madc_trial_lsb=TYPICAL.madc_trial_lsb), 3), []
    for k in range(40):
        configured(chip, [3], refractory_counter=100 + k)
        found.append(membrane(chip, 3, [[], []], 100.0)[1].mean())
    axes.plot(found, "o", color=BLUE, ms=2)
    _label(axes, knob, x="configuration", y="rest (mV)")


def trial_drift(axes: Axes, knob: str) -> None:
    """First spike of three circuits over seconds of chip time."""
    chip = configured(EmulatedChip(only(knob), 3), CIRCUITS[:3])
    duration_us, samples = 100.0, np.arange(0, 60_000, 600)
    times = np.array([first_spikes(chip, CIRCUITS[:3], [BURST], duration_us, first_sample=int(k))[0] for k in samples])
    for k in range(3):
        axes.plot(samples * duration_us * 1e-6, times[:, k], color=COLORS[k], lw=0.9)
    _label(axes, knob, x="chip time (s)", y="spike (us)")


def trial_converter(axes: Axes, knob: str) -> None:
    """Readings of a membrane that does not move."""
    from hxloop.result import Readout
    from hxloop.spikes import SpikeBatch

    chip = configured(EmulatedChip(only(knob), 3), [3])
    if "madc" in knob:
        time_us, v_mv = membrane(chip, 3, [[]], 10.0)
        axes.plot(time_us, v_mv[0] / MADC_LSB_MV, color=BLUE, lw=0.7)
    else:
        period = chip.spec.cadc_period_ticks
        readout = Readout(cadc_circuits=(3,), cadc_period_ticks=period)
        quiet = SpikeBatch.from_arrays([], [], [], 1)
        cadc = chip.run(quiet, duration_ticks=60 * period, readout=readout).observations.cadc[0, :, 0]
        axes.step(np.arange(len(cadc)) * period * chip.spec.tick_us, cadc, color=BLUE, lw=0.8, where="post")
    _label(axes, knob, y="reading (LSB)")


def walk(axes: Axes, knob: str, strength: float) -> None:
    """Temperature over four hours of three trials."""
    minutes = np.arange(0, 240)
    for k in range(3):
        axes.plot(minutes, [deviation_k(strength, np.uint64(k), 6 * int(m)) for m in minutes], color=COLORS[k], lw=0.8)
    _label(axes, knob, strength, x="chip time (minutes)", y="deviation (K)")


def at_temperatures(axes: Axes, knob: str, strength: float) -> None:
    """What six circuits become at other temperatures."""
    chip, kelvin = put_on_bench(only(knob, **{knob: strength}), 3), np.linspace(-4.0, 4.0, 9)
    circuit = np.array(CIRCUITS)
    neurons = chip.nominal.of(circuit.astype(np.int16), circuit.astype(np.int16))
    cold = true_circuits(neurons, chip.nominal.shared, chip.mismatch, chip.spec)
    warm = [chip.mismatch.at_temperature(cold, circuit, float(k)) for k in kelvin]
    if knob.startswith("threshold"):
        values, label = np.array([c.v_threshold_mv for c in warm]), "threshold (mV)"
    else:
        values = np.array([c.tau_mem_us if "tau_mem" in knob else c.tau_syn_us[0] for c in warm])
        label = "tau_mem (us)" if "tau_mem" in knob else "tau_syn (us)"
    for k in range(len(CIRCUITS)):
        axes.plot(kelvin, values[:, k], color=COLORS[k], lw=0.9)
    _label(axes, knob, strength, x="K above calibration", y=label)


def neuron_model(axes: Axes, model: str) -> None:
    """The same circuit without (grey) and with (blue) a switch."""
    wanted, cells, trains, duration_us = {
        "adaptation": (Switch.adaptation, {**DRIVEN, Cell.i_adapt_b: 150}, [], 200.0),
        "exponential": (Switch.exponential, {**DRIVEN, Cell.v_exp: 310, Cell.i_exp: 60}, [], 60.0),
        "coba": (Switch.coba_exc | Switch.coba_inh, {Cell.v_threshold: 545}, _storm(), 60.0),
    }[model]
    constant = Switch.offset_current if Cell.i_offset in cells else Switch(0)
    chip = EmulatedChip("uncalibrated[all=0]", 1)
    for switches, color in ((constant, GREY), (constant | wanted, BLUE)):
        configured(chip, [3], switches=switches, cells=cells, refractory_counter=16, code=63)
        time_us, v_mv = membrane(chip, 3, [trains], duration_us)
        axes.plot(time_us, v_mv[0], color=color, lw=0.8, label=model if color == BLUE else "without")
    axes.legend(loc="upper right", fontsize=6)
    axes.set(title=model, xlabel="time (us)", ylabel="membrane (mV)")


def plain_neuron(axes: Axes, _: str) -> None:
    """Integration, spike, refractory period."""
    chip = configured(EmulatedChip("uncalibrated[all=0]", 1), [3], refractory_counter=47)
    time_us, v_mv = membrane(chip, 3, [[*BURST, (30.0, INHIBIT), (40.0, EXCITE)]], 60.0)
    axes.plot(time_us, v_mv[0], color=BLUE, lw=0.9)
    for target, style in ((chip.boot.target.v_threshold_mv, "--"), (chip.boot.target.v_leak_mv, ":")):
        axes.axhline(target, color=GREY, lw=0.8, ls=style)
    axes.set(title="leaky integrate-and-fire", xlabel="time (us)", ylabel="membrane (mV)")


def link_loss(axes: Axes, _: str) -> None:
    """Share of Poisson events that limited lanes let pass."""
    rng, n = np.random.default_rng(1), 40_000
    spec = HICANN_X
    for color, name, rate, depth in (
        (BLUE, "link in", spec.link_in_per_tick, spec.link_in_depth),
        (ORANGE, "PADI bus", spec.padi_per_tick, spec.padi_depth),
        ("black", "link out", spec.link_out_per_tick, spec.link_out_depth),
    ):
        offered = np.geomspace(0.3, 10.0, 25)
        passed = []
        for mean in offered:
            tick = np.sort(rng.integers(0, int(n / mean), n))
            passed.append(admitted(np.array([0, n]), tick, np.zeros(n, np.int64), 1, rate, depth).mean())
        axes.semilogx(offered, passed, color=color, lw=1, label=name)
    axes.legend(fontsize=6)
    axes.set(title="links and buses", xlabel="events offered per tick", ylabel="share that passes")


def _storm() -> Events:
    return [(float(t), EXCITE) for t in range(6, 26)] + [(float(t), INHIBIT) for t in range(34, 56)]


def _label(
    axes: Axes, knob: str, strength: float | None = None, x: str = "time (us)", y: str = "membrane (mV)"
) -> None:
    value = getattr(TYPICAL, knob) if strength is None else strength
    title = f"{knob} = {value:g}"
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(title, **({"fontsize": 6} if len(title) > 38 else {}))
