"""Every parameter over a population of chips: true values at the boot codes, and all deviations of the silicon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop.codes.operating_point import nominal_boot
from hxloop.spec import TEXTBOOK
from hxloop_chip.chip.converters import cadc_channels
from hxloop_chip.report.specimens import Bench
from hxloop_chip.silicon.imperfections import Imperfections
from hxloop_chip.silicon.mechanisms.in_circuits.potential_spread import N_VOLTAGES
from hxloop_chip.silicon.mismatch import N_BITS, Mismatch
from hxloop_chip.truth import MISMATCH, circuits_at_boot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from hxloop.codes.boot import BootSettings, OperatingPoint

    Floats = NDArray[np.float64]

ROWS: Final = 32
"""Rows of each hemisphere whose synapses are looked at."""

CIRCUITS: Final[dict[str, tuple[str, str]]] = {
    "v_leak": ("mV", "resting potential"),
    "v_reset": ("mV", "reset potential"),
    "v_threshold": ("mV", "threshold, of circuits that are not dead"),
    "tau_mem": ("us", "membrane time constant"),
    "tau_syn_exc": ("us", "excitatory synaptic time constant"),
    "tau_syn_inh": ("us", "inhibitory synaptic time constant"),
    "gain_exc": ("mV/us", "excitatory gain, per weight code"),
    "gain_inh": ("mV/us", "inhibitory gain, per weight code"),
    "capacitance": ("pF", "membrane capacitance"),
    "leak_conductance": ("nS", "leak conductance"),
    "t_refractory": ("us", "refractory period"),
    "cadc_error": ("LSB", "error of a CADC channel half-way from leak to threshold"),
    "v_adapt_leak": ("mV", "reference of the adaptation"),
    "v_exp": ("mV", "potential of the exponential term"),
    "tau_adaptation": ("us", "time constant of the adaptation"),
    "e_reversal_exc": ("mV", "excitatory reversal potential"),
    "e_reversal_inh": ("mV", "inhibitory reversal potential"),
    "coba_exc": ("1/mV", "excitatory conductance modulation"),
    "coba_inh": ("1/mV", "inhibitory conductance modulation"),
}
"""Unit and meaning of what codes decide."""


@dataclass(frozen=True, eq=False)
class Parameter:
    """One quantity of all chips of a population.

    Attributes
    ----------
    name, unit, meaning : str
    target : float
        What a circuit without mismatch has.
    values : list of float64 [n]
        Finite values, one array per chip.
    before : list of float64 [n]
        The same silicon with nominal codes; empty where codes make no difference, or the chip boots with them.
    """

    name: str
    unit: str
    meaning: str
    target: float
    values: list[Floats]
    before: list[Floats]


def circuit_parameters(chips: Sequence[Bench]) -> list[Parameter]:
    """True physical values of all circuits at the codes the chips boot with."""
    calibrated = len(chips[0].boot.neurons.circuit) > 1
    after = [circuit_values(chip, chip.boot) for chip in chips]
    before = [circuit_values(chip, chip.nominal) for chip in chips] if calibrated else []
    target = _targets(chips[0].boot.target)
    found = []
    for name, (unit, meaning) in CIRCUITS.items():
        values, raw = [c[name] for c in after], [c[name] for c in before]
        changed = not all(map(np.array_equal, values, raw))
        found.append(Parameter(name, unit, meaning, target[name], values, raw if changed else []))
    return found


def circuit_values(chip: Bench, boot: BootSettings) -> dict[str, Floats]:
    """Finite true values of all circuits of a chip with these codes, by the names of `CIRCUITS`."""
    c = circuits_at_boot(chip.mismatch, boot, chip.spec)
    gain = c.step_na / c.capacitance_pf
    values = {
        "v_leak": c.v_leak_mv,
        "v_reset": c.v_reset_mv,
        "v_threshold": c.v_threshold_mv,
        "tau_mem": c.tau_mem_us,
        "tau_syn_exc": c.tau_syn_us[0],
        "tau_syn_inh": c.tau_syn_us[1],
        "gain_exc": gain[0],
        "gain_inh": gain[1],
        "capacitance": c.capacitance_pf,
        "leak_conductance": c.leak_ns,
        "t_refractory": c.t_refractory_us,
        "cadc_error": _cadc_error(chip, boot),
        "v_adapt_leak": c.v_adapt_leak_mv,
        "v_exp": c.v_exp_mv,
        "tau_adaptation": c.tau_adaptation_us,
        "e_reversal_exc": c.reversal_mv[0],
        "e_reversal_inh": c.reversal_mv[1],
        "coba_exc": c.coba_per_mv[0],
        "coba_inh": c.coba_per_mv[1],
    }
    return {name: array[np.isfinite(array)] for name, array in values.items()}


def mismatch_parameters(chips: Sequence[Bench]) -> list[Parameter]:
    """Deviations of the silicon: all of `mismatch.Mismatch`, of synapses those in the first rows."""
    found = []
    drawn = [_deviations(chip) for chip in chips]
    for name, (unit, meaning, _) in drawn[0].items():
        values = [d[name][2].ravel() for d in drawn]
        found.append(Parameter(name, unit, meaning, 1.0 if unit == "1" else 0.0, values, []))
    return found


def count_dead(chips: Iterable[Bench]) -> int:
    """Circuits that never spike."""
    return sum(int(chip.mismatch.dead.sum()) for chip in chips)


def count_dead_rows(chips: Iterable[Bench]) -> int:
    """Synapse rows that pass no events."""
    return sum(int((chip.mismatch.driver == 0).sum()) for chip in chips)


def _targets(target: OperatingPoint) -> dict[str, float]:
    """Values of a circuit with exact codes and no mismatch."""
    boot = nominal_boot(TEXTBOOK, target)
    exact = Bench(0, TEXTBOOK, Mismatch(TEXTBOOK, Imperfections(), 0), boot, boot)
    return {name: float(values[0]) for name, values in circuit_values(exact, boot).items()}


def _cadc_error(chip: Bench, boot: BootSettings) -> Floats:
    """What CADC channels read too much, before rounding and noise."""
    every = np.arange(chip.spec.n_circuits)
    codes = boot.of(every.astype(np.int16), every.astype(np.int16))
    channels = cadc_channels(every, codes, boot.shared, chip.mismatch, chip.spec)
    middle_mv = 0.5 * (boot.target.v_leak_mv + boot.target.v_threshold_mv)
    read = channels.slope * middle_mv + channels.at_rest + channels.digital_offset
    return np.asarray(read - nominal.cadc_lsb(middle_mv))


def _deviations(chip: Bench) -> dict[str, tuple[str, str, Floats]]:
    """Unit, meaning and values by name."""
    spec, m = chip.spec, chip.mismatch
    place = np.indices((spec.n_hemispheres, min(ROWS, spec.n_rows), spec.n_columns)).reshape(3, -1)
    found: dict[str, tuple[str, str, Floats]] = {}
    for name, (unit, meaning) in MISMATCH.items():
        if name not in vars(m):  # of a mechanism that is switched off
            continue
        values = np.atleast_1d(vars(m)[name])
        if name == "voltage_offset_mv":
            for k in range(N_VOLTAGES):
                found[f"{name}: {Cell(k).name}"] = unit, f"offset of the potential {Cell(k).name}", values[k]
        elif name == "adaptation":
            for k, part in enumerate(("tau", "a", "b")):
                found[f"{name}: {part}"] = unit, f"factor of the adaptation's {part}", values[k]
        elif name == "driver" and values.any():
            found[name] = unit, "factor of a synapse row, of those that are not dead", values[values > 0]
        elif name != "dead":
            found[name] = unit, meaning.partition(" (")[0], values
    found["synapse"] = "1", "factor of a synapse", m.synapse(*place)
    bits = m.weight_bits(*place) / 2.0 ** np.arange(N_BITS)
    for b in range(N_BITS):
        found[f"weight_bits: {b}"] = "1", f"worth of bit {b} of a weight, over {2**b}", bits[:, b]
    for k, part in enumerate(("causal", "acausal")):
        for name, text in (("correlation_amplitude", "amplitude"), ("correlation_tau", "time constant")):
            found[f"{name}: {part}"] = "1", f"factor of the {part} sensor's {text}", getattr(m, name)(*place)[k]
    return found
