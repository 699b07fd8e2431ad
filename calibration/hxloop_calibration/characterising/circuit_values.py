"""Values of all circuits with given codes: the measurements of the calibration's routines, several times over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, LeakRange
from hxloop_calibration.characterising.variances import known_mean
from hxloop_calibration.families import ROUTINES
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, rest_mv, voltage_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.targets import Target

    Floats = NDArray[np.float64]
    Arrays = dict[str, NDArray[Any]]

_NAMES: Final = {
    "tau_mem_us": "tau_mem_us",
    "tau_syn_exc_us": "tau_syn_exc_us",
    "tau_syn_inh_us": "tau_syn_inh_us",
    "synapse_gain_exc_mv_per_us": "gain_exc_mv_per_us",
    "synapse_gain_inh_mv_per_us": "gain_inh_mv_per_us",
    "synaptic_reference_exc_mv": "reference_exc_mv",
    "synaptic_reference_inh_mv": "reference_inh_mv",
    "v_leak_mv": "v_leak_mv",
    "v_reset_mv": "v_reset_mv",
    "v_threshold_mv": "v_threshold_mv",
}
"""Parameters of the routines, and what they are called in `Measurements`."""

_LOW_MV, _HIGH_MV = 240.0, 960.0
_FAR_RESET_MV, _FAR_THRESHOLD_MV = 150.0, 950.0
_BEYOND_MV: Final = 240.0
_SMALL_CODE: Final = 8
"""0.38 pF, of which a parasitic capacitance is a part that shows; with 2.3 pF it is 1 %."""
NOMINAL_REPEATS: Final = 2
BOOT_REPEATS: Final = 3


def repeated(measure: Callable[[], Arrays], times: int) -> Arrays:
    """Arrays of several measurements, with a new first axis."""
    found = [measure() for _ in range(times)]
    return {name: np.stack([one[name] for one in found]) for name in found[0]}


def shapes_and_gains(bench: Bench, target: Target) -> Arrays:
    """Time constants, gains and references of the synaptic inputs, each from what was measured just before."""
    found: Arrays = {}
    for name in ("tau_syn", "tau_mem", "gain", "references"):
        values = ROUTINES[name].measure(bench, target)
        bench.known |= values
        found |= values
    return _renamed(found)


def converters(bench: Bench, target: Target) -> Arrays:
    """Lines of all CADC channels and of the MADC; afterwards the bench knows what readings mean."""
    ROUTINES["cadc"].measure(bench, target)
    cadc, madc = bench.cadc_scale, bench.madc_scale
    assert cadc is not None
    assert madc is not None
    return {
        "cadc_slope_lsb_per_mv": 1.0 / cadc.mv_per_lsb,
        "cadc_zero_lsb": -cadc.offset_mv / cadc.mv_per_lsb,
        "madc_slope_lsb_per_mv": np.array(1.0 / madc.mv_per_lsb),
        "madc_zero_lsb": np.array(-madc.offset_mv / madc.mv_per_lsb),
    }


def resting_potentials(bench: Bench, target: Target) -> Arrays:
    """Resting potentials at two leak codes, with the synaptic inputs off: offset and slope of the leak's cell."""
    off = {Cell.i_gm_exc: 0, Cell.i_gm_inh: 0, Cell.v_reset: 0, Cell.v_threshold: OUT_OF_REACH}
    return {
        name: rest_mv(bench, bench.with_cells({**off, Cell.v_leak: voltage_code(mv)}), target.neuron.tau_mem_us)
        for name, mv in (("rest_low_mv", _LOW_MV), ("rest_high_mv", _HIGH_MV))
    }


def rest_codes() -> Floats:
    """Leak codes of `resting_potentials`."""
    return np.array([voltage_code(_LOW_MV), voltage_code(_HIGH_MV)], np.float64)


def resets(bench: Bench, target: Target) -> Arrays:
    """Reset potentials, with the thresholds well above them."""
    kept = bench.neurons
    bench.keep({Cell.v_threshold: voltage_code(_FAR_THRESHOLD_MV)})
    found = _renamed(ROUTINES["reset"].measure(bench, target))
    bench.neurons = kept
    return found


def spread_thresholds(bench: Bench, target: Target, times: int) -> Arrays:
    """Thresholds that may lie further from what their codes should give than one search reaches."""
    kept, found = bench.neurons, []
    bench.keep({Cell.v_reset: voltage_code(_FAR_RESET_MV)})
    for k in range(times):
        values = ROUTINES["threshold"].measure(bench, target)["v_threshold_mv"]
        found.append(values)
        beyond = target.neuron.v_threshold_mv + (-_BEYOND_MV if k % 2 == 0 else _BEYOND_MV)
        mean = known_mean(np.stack(found))
        bench.known["v_threshold_mv"] = np.where(np.isfinite(mean), mean, beyond)
    bench.neurons = kept
    return {"v_threshold_mv": np.stack(found)}


def capacitances(bench: Bench, target: Target) -> Arrays:
    """Membrane time constants with the same leak on two capacitances: their ratio is that of the capacitances."""
    kept, found = bench.neurons, {}
    finest = np.full(bench.n, LeakRange.divided, np.uint8)
    bench.keep({Cell.i_leak: bench.spec.capmem_code_max}, leak_range=finest)
    leak_ns = float(nominal.leak_conductance_ns(bench.spec.capmem_code_max, LeakRange.divided))
    large = kept.capacitance_code
    for name, code in (("large", large), ("small", np.full_like(large, _SMALL_CODE))):
        bench.neurons = bench.with_cells({}, capacitance_code=code)
        tau_us = 1e3 * float(nominal.capacitance_pf(code[0])) / leak_ns
        aim = target.model_copy(update={"neuron": target.neuron.model_copy(update={"tau_mem_us": tau_us})})
        found[f"tau_mem_{name}_us"] = ROUTINES["tau_mem"].measure(bench, aim)["tau_mem_us"]
    bench.neurons = kept
    return found


def capacitances_pf(bench: Bench) -> Floats:
    """Nominal capacitances of `capacitances`."""
    return np.array([bench.capacitance_pf, float(nominal.capacitance_pf(_SMALL_CODE))])


def potentials(bench: Bench, target: Target) -> Arrays:
    """Leak, reset and threshold with the codes as they are."""
    found: Arrays = {}
    for name in ("leak", "reset", "threshold"):
        values = ROUTINES[name].measure(bench, target)
        bench.known |= values
        found |= values
    return _renamed(found)


def level(bench: Bench, target: Target, found: Arrays) -> None:
    """Codes with which all circuits are about as wanted, in one step from their values with nominal codes."""

    def mean(name: str) -> Floats:
        return known_mean(found[f"nominal/{name}"])

    def at(cell: Cell) -> Floats:
        return np.asarray(bench.neurons.capmem_code[:, cell], np.float64)

    n, cells = target.neuron, {}
    cells[Cell.i_leak] = at(Cell.i_leak) * mean("tau_mem_us") / n.tau_mem_us
    for sign, tau, gm, shift in (
        ("exc", Cell.i_tau_syn_exc, Cell.i_gm_exc, Cell.i_shift_exc),
        ("inh", Cell.i_tau_syn_inh, Cell.i_gm_inh, Cell.i_shift_inh),
    ):
        cells[tau] = at(tau) * mean(f"tau_syn_{sign}_us") / n.tau_syn_us
        cells[gm] = at(gm) * n.synapse_gain_mv_per_us / mean(f"gain_{sign}_mv_per_us")
        cells[shift] = at(shift) - mean(f"reference_{sign}_mv") / nominal.SHIFT_MV_PER_CODE
    slope = (mean("rest_high_mv") - mean("rest_low_mv")) / float(np.diff(rest_codes())[0])
    cells[Cell.v_leak] = rest_codes()[0] + (n.v_leak_mv - mean("rest_low_mv")) / slope
    for cell, name, aim in (
        (Cell.v_reset, "v_reset_mv", n.v_reset_mv),
        (Cell.v_threshold, "v_threshold_mv", n.v_threshold_mv),
    ):
        cells[cell] = at(cell) + (aim - mean(name)) / nominal.V_MV_PER_CODE
    # A circuit that could not be measured keeps its codes.
    codes = {cell: np.where(np.isfinite(code), np.maximum(code, 1), at(cell)) for cell, code in cells.items()}
    codes[Cell.v_reset] = np.minimum(codes[Cell.v_reset], np.rint(codes[Cell.v_threshold]) - 1)  # as the chip demands
    bench.keep(codes)


def _renamed(values: Arrays) -> Arrays:
    return {_NAMES[name]: value for name, value in values.items()}
