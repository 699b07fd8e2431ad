"""The sections of the report: what is measured, shown and said in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop.kit.page import Section, Table
from hxloop_chip.report.curve_figures import curve_picture
from hxloop_chip.report.curves import circuit_curves, converter_curves, weight_curves
from hxloop_chip.report.population import ROWS, circuit_parameters, count_dead, count_dead_rows, mismatch_parameters
from hxloop_chip.report.population_figures import histograms
from hxloop_chip.report.recordings import record_membranes
from hxloop_chip.report.scatter import MECHANISMS, N_CIRCUITS, N_TRIALS, trial_scatter
from hxloop_chip.report.spectrum import membrane_spectrum
from hxloop_chip.report.summary import CADC_BOUND_LSB, Summary, summarise
from hxloop_chip.report.trace_figures import membrane_picture, scatter_picture, spectrum_picture
from hxloop_chip.silicon.describe import describe_chip
from hxloop_chip.solver.layout import STEP_TICKS
from hxloop_chip.truth import circuits_at_boot

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hxloop_chip.chip.emulated_chip import EmulatedChip
    from hxloop_chip.report.population import Parameter
    from hxloop_chip.report.specimens import Bench
    from hxloop_chip.silicon.imperfections import Imperfections

    Floats = NDArray[np.float64]

_STATISTICS: Final = (
    "parameter", "meaning", "unit", "target", "mean", "std", "5 %", "95 %", "values", "chips",
)  # fmt: skip
_CALIBRATION: Final = ("std uncalibrated", "ratio, mean", "ratio, largest", "published")


def identity(chip: str, chips: Sequence[Bench], model: str) -> Section:
    """Which chips these are."""
    rows = [
        (c.serial, c.mismatch.digest(), len(c.boot.neurons.circuit) > 1, count_dead([c]), count_dead_rows([c]))
        for c in chips
    ]
    n_rows = chips[0].spec.n_hemispheres * chips[0].spec.n_rows * len(chips)
    text = [
        f"Chips {chip}, datasheet {chips[0].spec.name}, version {model} of the physics. A page like this can only be "
        "made of emulated chips: it shows what is hidden in silicon. Values are true, not measured, unless a "
        "converter is named.",
        f"Circuits that never spike: {count_dead(chips)} of {chips[0].spec.n_circuits * len(chips)}. "
        f"Synapse rows that pass no events: {count_dead_rows(chips)} of {n_rows}.",
    ]
    heading = ("serial", "digest of the silicon", "boots calibrated", "dead circuits", "dead rows")
    return Section("identity", "Identity", text, tables=[Table(heading, rows)])


def datasheet(chip: str) -> Section:
    """Public numbers and strengths of the imperfections, with sources."""
    entries = describe_chip(chip)
    heading = ("entry", "value", "unit", "meaning", "source")
    tables = [
        Table(
            heading,
            [(e["name"], e["value"], e["unit"], e["description"], e["source"]) for e in entries if e["part"] == part],
            digits=6,
        )
        for part in ("datasheet", "imperfections", "curves")
    ]
    return Section(
        "datasheet",
        "Datasheet",
        ["Datasheet, strength of every imperfection, and nominal transfer curves."],
        [],
        tables,
    )


def parameters(chips: Sequence[Bench]) -> tuple[Section, list[Summary]]:
    """What codes decide: true values at the boot codes."""
    found = circuit_parameters(chips)
    summaries = [summarise(p) for p in found]
    rows = [(*_row(s), s.std_before, s.ratio, s.largest_ratio, _published(s)) for s in summaries]
    text = [
        "Blue: all circuits with the codes the chips boot with. Grey: the same silicon with nominal codes, as if "
        "it had never been calibrated (only where codes differ). Each histogram is scaled to its own maximum. Dashed: "
        "target; orange: mean and 5..95 %.",
        "The ratio is that of the standard deviations of one chip, calibrated over uncalibrated, 5 % trimmed at each "
        "end; published is what calix demands of silicon (tests/hw/py/test_neuron.py, test_cadc.py).",
    ]
    section = Section("parameters", "Parameters", text, histograms(found, summaries))
    section.tables.append(Table((*_STATISTICS, *_CALIBRATION), rows))
    return section, summaries


def deviations(chips: Sequence[Bench]) -> tuple[Section, list[Summary]]:
    """What the serial number decides, before any calibration."""
    found: list[Parameter] = mismatch_parameters(chips)
    summaries = [summarise(p) for p in found]
    text = [
        "Everything the serial number decides, as it is in the silicon, before calibration: factors, and offsets in "
        f"physical units. Of synapses, those in the first {ROWS} rows of each hemisphere."
    ]
    section = Section("mismatch", "Mismatch", text, histograms(found, summaries))
    section.tables.append(Table(_STATISTICS, [_row(s) for s in summaries]))
    return section, summaries


def curves(chips: Sequence[Bench]) -> Section:
    """Codes against physical values."""
    text = [
        "One code is swept through its range, the others are nominal. Dashed: the nominal curve of the datasheet; "
        "blue: circuits of all chips; grey: three circuits of the first chip."
    ]
    return Section("curves", "Transfer curves", text, [curve_picture(circuit_curves(chips))])


def converters(chips: Sequence[Bench]) -> Section:
    """Weight DAC and read-out."""
    weights = weight_curves(chips)
    text = [
        "What a weight code is worth, how far that is from the straight line, and the step to the next code (negative: "
        "not monotonic); below, readings of CADC channels and MADCs before rounding, noise and digital offset."
    ]
    pictures = [curve_picture(weights, 3), curve_picture(converter_curves(chips), 3)]
    return Section("converters", "Weight DAC and converters", text, pictures)


def traces(chip: EmulatedChip, bench: Bench) -> Section:
    """Example membranes of one chip."""
    true = circuits_at_boot(bench.mismatch, bench.boot, bench.spec)
    recording = record_membranes(chip, true.v_leak_mv, true.v_threshold_mv)
    first = ", ".join(f"{t:.2f}" for t in recording.spike_us[0]) or "none"
    text = [
        f"Serial {bench.serial}: neurons integrate two bursts of input events (triangles) to threshold, at the boot "
        "codes. Readings are converted to mV by the nominal curves. Spikes of circuit "
        f"{recording.circuit[0]}, in us: {first}. The first {bench.spec.madc_invalid_samples} MADC readings are not "
        "valid and not shown."
    ]
    return Section("traces", "Example traces", text, [membrane_picture(recording)])


def noise(chip: EmulatedChip, bench: Bench, imperfections: Imperfections) -> Section:
    """Spectrum of the membrane noise."""
    if imperfections.membrane_trial_mv == 0.0:
        return Section("noise", "Membrane noise", ["These chips have no membrane noise."])
    tau_us = circuits_at_boot(bench.mismatch, bench.boot, bench.spec).tau_mem_us
    found = membrane_spectrum(chip, 0, float(tau_us[0]), imperfections)
    text = [
        f"Serial {bench.serial}, circuit {found.circuit} at rest, true time constant {found.tau_mem_us:.3g} us, "
        "recorded by the MADC: power spectral density by Welch's method, beside the closed form of a diffusion whose "
        f"noise current is held over macro-steps of {STEP_TICKS * bench.spec.tick_us:.3g} us, plus noise and rounding "
        "of the converter."
    ]
    ratio = found.measured / found.expected
    rows = [
        ("standard deviation of the readings", found.std_mv, found.expected_std_mv, "mV"),
        ("density below 20 kHz", *_below(found.f_mhz, 0.02, found.measured, found.expected), "mV^2/MHz"),
        ("measured / closed form, mean over frequencies", float(ratio.mean()), 1.0, "1"),
    ]
    return Section(
        "noise", "Membrane noise", text, [spectrum_picture(found)],
        [Table(("figure", "measured", "closed form", "unit"), rows)],
    )  # fmt: skip


def trials(chip: str, bench: Bench, imperfections: Imperfections) -> Section:
    """Scatter of spike times from trial to trial."""
    if not any(getattr(imperfections, name) for name in MECHANISMS):
        return Section("trials", "Trial-to-trial scatter", ["These chips have no temporal noise of spike times."])
    found = trial_scatter(chip, bench.serial, imperfections)
    tau_us = bench.boot.target.tau_syn_us
    text = [
        f"Serial {bench.serial}: first spikes of {N_CIRCUITS} circuits in {N_TRIALS} trials of the same input; "
        f"{found.n_always} circuits spiked in every trial. Root mean square of the circuits' standard deviations, with "
        "all temporal mechanisms and with each alone."
    ]
    rows = [(name, getattr(imperfections, name), std, std / tau_us) for name, std in found.alone_us.items()]
    rows.append(("all", None, found.std_us, found.std_us / tau_us))
    heading = ("mechanism", "strength", "std of spike times (us)", "in tau_syn")
    return Section("trials", "Trial-to-trial scatter", text, [scatter_picture(found)], [Table(heading, rows)])


def _row(s: Summary) -> tuple[object, ...]:
    return s.name, s.meaning, s.unit, s.target, s.mean, s.std, s.low, s.high, s.n_values, s.n_chips


def _published(s: Summary) -> str:
    if s.name == "cadc_error":
        return f"std < {CADC_BOUND_LSB:g} LSB"
    return f"ratio < {s.bound:.2f}" if s.bound else ""


def _below(f_mhz: Floats, limit_mhz: float, *densities: Floats) -> tuple[float, ...]:
    return tuple(float(d[f_mhz < limit_mhz].mean()) for d in densities)
