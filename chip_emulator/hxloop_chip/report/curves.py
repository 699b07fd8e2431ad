"""Transfer curves of real circuits: codes swept through the true circuits of all chips, beside the nominal curve."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop_chip.chip.converters import cadc_channels
from hxloop_chip.report.population import ROWS
from hxloop_chip.silicon.circuits import true_circuits
from hxloop_chip.silicon.imperfections import Imperfections
from hxloop_chip.silicon.mismatch import N_BITS, Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hxloop_chip.report.specimens import Bench
    from hxloop_chip.silicon.circuits import Circuits

    Floats = NDArray[np.float64]

_N_CODES = 32
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class Curve:
    """One transfer curve.

    Attributes
    ----------
    name, x_label, y_label : str
    x : float64 [n]
        Codes, or potentials.
    nominal : float64 [n]
    quantiles : float64 [len(QUANTILES), n]
        Over all circuits (or synapses) of all chips.
    examples : float64 [k, n]
        A few circuits of the first chip.
    logarithmic : bool
        Best shown with logarithmic axes.
    """

    name: str
    x_label: str
    y_label: str
    x: Floats
    nominal: Floats
    quantiles: Floats
    examples: Floats
    logarithmic: bool = False


_SWEEPS: Final[tuple[tuple[str, str, str, int, bool, Callable[[Circuits], Floats]], ...]] = (
    ("resting potential", "v_leak", "mV", 100, False, lambda c: c.v_leak_mv),
    ("reset potential", "v_reset", "mV", 100, False, lambda c: c.v_reset_mv),
    ("threshold", "v_threshold", "mV", 100, False, lambda c: c.v_threshold_mv),
    ("membrane time constant", "i_leak", "us", 16, True, lambda c: c.tau_mem_us),
    ("membrane capacitance", "capacitance_code", "pF", 0, False, lambda c: c.capacitance_pf),
    ("synaptic time constant", "i_tau_syn_exc", "us", 10, True, lambda c: c.tau_syn_us[0]),
    ("synaptic gain", "i_gm_exc", "mV/us", 0, False, lambda c: c.step_na[0] / c.capacitance_pf),
    ("resting potential", "i_shift_exc", "mV", 450, False, lambda c: c.v_leak_mv),
    ("refractory period", "refractory_counter", "us", 0, False, lambda c: c.t_refractory_us),
    ("adaptation time constant", "i_adapt_tau", "us", 10, True, lambda c: c.tau_adaptation_us),
    ("adaptation a", "i_adapt_a", "nS", 0, False, lambda c: c.adaptation_a_ns),
    ("adaptation b", "i_adapt_b", "nA", 0, False, lambda c: c.adaptation_b_na),
    ("exponential current", "i_exp", "nA", 0, False, lambda c: c.exponential_na),
    ("conductance modulation", "i_coba_exc", "1/mV", 0, False, lambda c: c.coba_per_mv[0]),
)
_HIGHEST: Final = {
    "v_leak": 550,
    "v_reset": 550,
    "v_threshold": 550,
    "capacitance_code": 63,
    "refractory_counter": 255,
    "i_shift_exc": 572,
}
"""Above 1.05 V potentials cannot be read; other cells go to the end of their range."""


def circuit_curves(chips: Sequence[Bench]) -> list[Curve]:
    """Curves of neuron circuits; all other codes are those of the uncalibrated chip."""
    found = []
    for name, field, unit, lowest, logarithmic, get in _SWEEPS:
        highest = _HIGHEST.get(field, 1022)
        space: Any = np.geomspace if logarithmic else np.linspace
        code = np.unique(np.rint(space(lowest, highest, _N_CODES)))
        exact = Mismatch(chips[0].spec, Imperfections(), 0)
        values = np.concatenate([_sweep(chip, field, code, get, chip.mismatch) for chip in chips], axis=1)
        alive = values[:, np.isfinite(values).all(axis=0)]
        found.append(
            _curve(
                name, f"code {field}", unit, code, _sweep(chips[0], field, code, get, exact)[:, 0], alive, logarithmic
            )
        )
    return found


def converter_curves(chips: Sequence[Bench]) -> list[Curve]:
    """What CADC channels and MADCs read at a potential, before rounding and noise."""
    v_mv = np.linspace(0.0, 1200.0, _N_CODES)
    straight = nominal.cadc_lsb(v_mv)
    cadc, madc = [], []
    for chip in chips:
        every = np.arange(chip.spec.n_circuits)
        codes = chip.nominal.of(every.astype(np.int16), every.astype(np.int16))
        c = cadc_channels(every, codes, chip.nominal.shared, chip.mismatch, chip.spec)
        cadc.append(np.clip(v_mv[:, None] * c.slope + c.at_rest, 0, 255))
        m = chip.mismatch
        madc.append(np.clip(nominal.madc_lsb(v_mv) * m.madc_gain + m.madc_offset_lsb, 0, nominal.MADC_CODE_MAX))
    axis = "membrane (mV)"
    return [
        _curve("CADC", axis, "LSB", v_mv, np.clip(straight, 0, 255), np.concatenate(cadc, axis=1)),
        _curve("MADC", axis, "LSB", v_mv, nominal.madc_lsb(v_mv), np.transpose(madc)),
    ]


def weight_curves(chips: Sequence[Bench]) -> list[Curve]:
    """Worth of weight codes: the DAC of a synapse, and how far it is from a straight line."""
    code = np.arange(2**N_BITS)
    bit = (code[:, None] >> np.arange(N_BITS)) & 1
    spec = chips[0].spec
    place = np.indices((spec.n_hemispheres, min(ROWS, spec.n_rows), spec.n_columns)).reshape(3, -1)[:, ::16]
    worth = np.concatenate([bit @ chip.mismatch.weight_bits(*place).T for chip in chips], axis=1)
    x = code.astype(np.float64)
    return [
        _curve("weight DAC", "weight code", "nominal codes", x, x, worth),
        _curve("weight DAC, error", "weight code", "nominal codes", x, 0.0 * x, worth - x[:, None]),
        _curve("weight DAC, step to the next code", "weight code", "nominal codes", x[:-1], 0.0 * x[:-1] + 1.0,
               np.diff(worth, axis=0)),
    ]  # fmt: skip


def _curve(
    name: str, x_label: str, unit: str, x: Floats, nominal_y: Floats, values: Floats, logarithmic: bool = False
) -> Curve:
    quantiles = np.quantile(values, QUANTILES, axis=1)
    return Curve(name, x_label, unit, x, nominal_y, quantiles, values[:, :3].T.copy(), logarithmic)


def _sweep(chip: Bench, field: str, code: Floats, get: Callable[[Circuits], Floats], mismatch: Mismatch) -> Floats:
    """float64 [n_codes, n_circuits]: a parameter at each code of one field."""
    circuit = np.arange(min(chip.spec.n_circuits, 512), dtype=np.int16)
    neurons, found = chip.nominal.of(circuit, circuit), []
    for value in code:  # one by one: what cells hold depends on the others
        changed: dict[str, Any] = {field: np.full(len(circuit), value)}
        if field in Cell.__members__:
            cells = neurons.capmem_code.astype(np.float64)
            cells[:, Cell[field]] = value
            changed = {"capmem_code": cells}
        found.append(get(true_circuits(replace(neurons, **changed), chip.nominal.shared, mismatch, chip.spec)))
    return np.array(found)
