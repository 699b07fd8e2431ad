"""Codes for an operating point: nominal ones, or calibrated ones moved along the nominal curves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.boot import BootSettings, OperatingPoint
from hxloop.codes.capmem import Cell, LeakRange, QuadrantCell
from hxloop.errors import OutOfRangeError
from hxloop.kit.brief import brief
from hxloop.program import NeuronCodes, SharedCodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.spec import ChipSpec

    Floats = NDArray[np.float64]

CAPACITANCE_CODE: Final = 63
DAC_CODE: Final = 800
CORRELATION_CODE: Final = 250
CLOCK_SCALES: Final = (0, 4)
"""Fast and slow refractory clock: 8 ns and 128 ns, the slow one up to 32.6 us."""
_REVERSAL_EXC_MV, _REVERSAL_INH_MV = 1200.0, 150.0
_SMALLEST_LEAK_CODE = 64  # below, the divided range resolves better


@brief
@dataclass(frozen=True, eq=False)
class Wanted:
    """Physical values wanted of circuits.

    Attributes
    ----------
    circuit, head : int16 [n]
        As in `hxloop.program.NeuronCodes`.
    v_leak_mv, v_reset_mv, v_threshold_mv : float64 [n]
    tau_mem_us, tau_syn_exc_us, tau_syn_inh_us, t_refractory_us : float64 [n]
    synapse_gain_mv_per_us : float64 [n]
        Slope of the circuit's own membrane that one event at weight code 1 causes.
    """

    circuit: NDArray[np.int16]
    head: NDArray[np.int16]
    v_leak_mv: Floats
    v_reset_mv: Floats
    v_threshold_mv: Floats
    tau_mem_us: Floats
    tau_syn_exc_us: Floats
    tau_syn_inh_us: Floats
    t_refractory_us: Floats
    synapse_gain_mv_per_us: Floats

    @classmethod
    def at(
        cls, point: OperatingPoint, circuit: NDArray[np.int16], head: NDArray[np.int16] | None = None, **others: Any
    ) -> Wanted:
        """Values of an operating point, the same for all circuits.

        Parameters
        ----------
        point : OperatingPoint
        circuit : int16 [n]
        head : int16 [n], optional
            By default every circuit on its own.
        **others : float or float64 [n]
            Other values than those of the point, by name; `tau_syn_us` stands for both.
        """
        values = point.model_dump() | others
        tau_syn_us = values.pop("tau_syn_us")
        values = {"tau_syn_exc_us": tau_syn_us, "tau_syn_inh_us": tau_syn_us} | values
        columns = {n: np.broadcast_to(np.asarray(v, np.float64), circuit.shape).copy() for n, v in values.items()}
        return cls(circuit, circuit if head is None else head, **columns)


def nominal_boot(spec: ChipSpec, target: OperatingPoint | None = None) -> BootSettings:
    """Settings of a chip that was never calibrated: the codes that would be right without mismatch.

    Parameters
    ----------
    spec : ChipSpec
    target : OperatingPoint, optional

    Returns
    -------
    BootSettings
        With a single entry for all circuits; codes are rounded unless the datasheet allows real ones.
    """
    target = target or OperatingPoint()
    capacitance = float(nominal.capacitance_pf(CAPACITANCE_CODE))
    code = np.zeros((1, len(Cell)))
    for cell, v_mv in (
        (Cell.v_leak, target.v_leak_mv),
        (Cell.v_reset, target.v_reset_mv),
        (Cell.v_threshold, target.v_threshold_mv),
        (Cell.v_adapt_leak, target.v_leak_mv),
        (Cell.v_exp, target.v_threshold_mv),
        (Cell.e_reversal_exc, _REVERSAL_EXC_MV),
        (Cell.e_reversal_inh, _REVERSAL_INH_MV),
    ):
        code[:, cell] = nominal.voltage_code(v_mv)
    code[:, Cell.i_leak] = capacitance / target.tau_mem_us * 1e3 / nominal.LEAK_NS_PER_CODE
    code[:, [Cell.i_tau_syn_exc, Cell.i_tau_syn_inh]] = nominal.TAU_SYN_US_CODE / target.tau_syn_us
    step_mv = float(nominal.synapse_step_mv(DAC_CODE))
    gm_us = target.synapse_gain_mv_per_us * capacitance / step_mv
    code[:, [Cell.i_gm_exc, Cell.i_gm_inh]] = gm_us * 1e3 / nominal.GM_NS_PER_CODE
    code[:, [Cell.i_shift_exc, Cell.i_shift_inh]] = nominal.SHIFT_CODE_ZERO
    for cell, reversal in ((Cell.i_coba_exc, _REVERSAL_EXC_MV), (Cell.i_coba_inh, _REVERSAL_INH_MV)):
        middle_mv = 0.5 * (target.v_leak_mv + target.v_threshold_mv)
        code[:, cell] = 1.0 / abs(reversal - middle_mv) / nominal.COBA_PER_MV_CODE
    code[:, Cell.i_adapt_tau] = 100.0
    quadrant = np.zeros((spec.n_quadrants, len(QuadrantCell)))
    quadrant[:, QuadrantCell.i_synapse_dac] = DAC_CODE
    quadrant[:, QuadrantCell.v_cadc_offset] = nominal.CADC_OFFSET_CODE
    quadrant[:, QuadrantCell.i_cadc_slope] = nominal.CADC_SLOPE_CODE
    quadrant[:, [QuadrantCell.i_correlation_tau, QuadrantCell.i_correlation_amplitude]] = CORRELATION_CODE
    zero = np.zeros(1, np.uint8)
    neurons = NeuronCodes(
        circuit=np.zeros(1, np.int16),
        head=np.zeros(1, np.int16),
        capmem_code=to_codes(code, spec, np.int16, spec.capmem_code_max, "capmem_code"),
        capacitance_code=to_codes(np.full(1, float(CAPACITANCE_CODE)), spec, np.uint8, 63, "capacitance_code"),
        leak_range=np.full(1, LeakRange.normal, np.uint8),
        refractory_counter=to_codes(
            np.full(1, target.t_refractory_us / float(nominal.refractory_us(1, CLOCK_SCALES[1]))),
            spec, np.uint8, 255, "refractory_counter",
        ),
        refractory_clock=np.ones(1, np.uint8),
        switches=zero,
        cadc_offset_code=np.zeros(1, np.int8),
    )  # fmt: skip
    shared = SharedCodes(
        to_codes(quadrant, spec, np.int16, spec.capmem_code_max, "quadrant_code"),
        np.tile(np.array(CLOCK_SCALES, np.uint8), (spec.n_hemispheres, 1)),
    )
    return BootSettings(target, neurons, shared)


def codes_for(wanted: Wanted, boot: BootSettings, spec: ChipSpec) -> NeuronCodes:
    """Codes for wanted values: those of the boot settings, moved along the nominal curves.

    What calibration corrected for each circuit stays corrected: potentials move by the same number of codes for all
    circuits, currents by the same factor. A circuit that deviates so much that its code would leave the range keeps the
    code at the edge, as in calibration.

    Raises
    ------
    OutOfRangeError
        Even a circuit without mismatch would need a code outside its range.
    """
    if len(boot.neurons.circuit) > 1:
        codes_for(wanted, nominal_boot(spec, boot.target), spec)
    base, target = boot.of(wanted.circuit, wanted.head), boot.target
    strict = len(boot.neurons.circuit) == 1
    code = base.capmem_code.astype(np.float64)
    for cell in (Cell.v_leak, Cell.v_reset, Cell.v_threshold):
        shift_mv = getattr(wanted, f"{cell.name}_mv") - getattr(target, f"{cell.name}_mv")
        code[:, cell] += shift_mv / nominal.V_MV_PER_CODE
    for cell, factor in (
        (Cell.i_leak, target.tau_mem_us / wanted.tau_mem_us),
        (Cell.i_tau_syn_exc, target.tau_syn_us / wanted.tau_syn_exc_us),
        (Cell.i_tau_syn_inh, target.tau_syn_us / wanted.tau_syn_inh_us),
        (Cell.i_gm_exc, wanted.synapse_gain_mv_per_us / target.synapse_gain_mv_per_us),
        (Cell.i_gm_inh, wanted.synapse_gain_mv_per_us / target.synapse_gain_mv_per_us),
    ):
        code[:, cell] *= factor
    leak, leak_range = _leak_range(code[:, Cell.i_leak] * 8.0 ** (base.leak_range - 1.0), spec)
    code[:, Cell.i_leak] = leak
    counter, clock = refractory_cycles(wanted.t_refractory_us, boot.shared.clock_scale, spec)
    return replace(
        base,
        capmem_code=to_codes(
            code if strict or spec.continuous_codes else np.clip(code, 0, spec.capmem_code_max),
            spec, np.int16, spec.capmem_code_max, "capmem_code",
        ),
        leak_range=leak_range,
        refractory_counter=to_codes(counter, spec, np.uint8, 255, "refractory_counter"),
        refractory_clock=clock,
    )  # fmt: skip


def _leak_range(code: Floats, spec: ChipSpec) -> tuple[Floats, NDArray[np.uint8]]:
    if spec.continuous_codes:
        return code, np.full(len(code), LeakRange.normal, np.uint8)
    leak_range = np.select(
        [code < _SMALLEST_LEAK_CODE, code > spec.capmem_code_max],
        [LeakRange.divided, LeakRange.multiplied],
        LeakRange.normal,
    ).astype(np.uint8)
    return code / 8.0 ** (leak_range - 1.0), leak_range


def refractory_cycles(t_us: Floats, clock_scale: NDArray[np.uint8], spec: ChipSpec) -> tuple[Floats, NDArray[np.uint8]]:
    """Cycles, not rounded, and clock: the fast one where it reaches far enough."""
    fast, slow = (nominal.refractory_us(1, clock_scale[0, k]) for k in (0, 1))
    clock = np.where(t_us <= 255 * fast, 0, 1).astype(np.uint8)
    if spec.continuous_codes:
        clock[:] = 0
    return t_us / np.where(clock == 0, fast, slow), clock


def to_codes(value: Floats, spec: ChipSpec, dtype: type, highest: int, field: str) -> Any:
    """Codes that can be written: rounded, unless the datasheet allows real ones.

    Raises
    ------
    OutOfRangeError
        A code outside 0..`highest`.
    """
    if spec.continuous_codes:
        return value
    code = np.rint(value)
    bad = ~((code >= 0) & (code <= highest))
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        name = f"{field}[{where[0]}]" + (f" ({Cell(where[1]).name})" if field == "capmem_code" else "")
        raise OutOfRangeError(
            f"the operating point needs the code {code[where]:g}, outside 0..{highest}",
            field=name,
            hint="choose values nearer to the chip's operating point",
        )
    return code.astype(dtype)
