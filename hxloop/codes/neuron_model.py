"""Neuron models beyond leaky integrate-and-fire: physical values of the terms that a circuit can switch on."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, Switch
from hxloop.codes.operating_point import to_codes
from hxloop.errors import InvalidInputError
from hxloop.kit.arguments import real_number

if TYPE_CHECKING:
    from hxloop.program import NeuronCodes
    from hxloop.spec import ChipSpec

Terms = tuple[Switch, dict[Cell, float]]
"""Switches that are on, and codes of cells, not rounded."""

_LARGEST: Final = 1e6
"""Largest value of a term, far outside of what any code means."""
_NOTHING: Terms = (Switch(0), {})


@dataclass(frozen=True)
class NeuronModel:
    """Terms of a neuron beside leak and current-based inputs; each is off by default.

    Their codes are nominal ones: no calibration of these terms exists, so on a chip with mismatch they spread as
    docs/chip.md says. The chip solves neurons with any of them in sub-steps, which takes longer.

    Attributes
    ----------
    tau_adaptation_us : float, optional
        Time constant of the adaptation current; None: no adaptation.
    adaptation_a_ns, adaptation_b_na : float
        Subthreshold adaptation, and step of the current at a spike; either may be negative.
    v_adapt_leak_mv : float, optional
        Potential at which subthreshold adaptation vanishes; by default the leak potential.
    exponential_na : float
        Exponential current at `v_exp_mv`; 0: none.
    v_exp_mv : float, optional
        By default the threshold; the slope is fixed (`hxloop.codes.nominal.EXP_SLOPE_MV`).
    reversal_exc_mv, reversal_inh_mv : float, optional
        Reversal potentials that make an input conductance-based; None: current-based.
    v_reference_mv : float, optional
        Potential at which a conductance-based input is as strong as a current-based one; by default half-way from leak
        to threshold.

    References
    ----------
    Brette, Gerstner, J. Neurophysiol. 94, 3637 (2005) (adaptive exponential model).
    """

    tau_adaptation_us: float | None = None
    adaptation_a_ns: float = 0.0
    adaptation_b_na: float = 0.0
    v_adapt_leak_mv: float | None = None
    exponential_na: float = 0.0
    v_exp_mv: float | None = None
    reversal_exc_mv: float | None = None
    reversal_inh_mv: float | None = None
    v_reference_mv: float | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None or item.default is not None:
                lowest = {"tau_adaptation_us": 1e-6, "exponential_na": 0.0}.get(item.name, -_LARGEST)
                real_number(value, item.name, lowest=lowest, highest=_LARGEST)
        if self.tau_adaptation_us is None and (self.adaptation_a_ns or self.adaptation_b_na):
            raise InvalidInputError("adaptation needs a time constant", field="tau_adaptation_us")

    def apply(
        self, codes: NeuronCodes, spec: ChipSpec, *, v_leak_mv: float, v_threshold_mv: float, merged: int
    ) -> NeuronCodes:
        """Codes with these terms switched on at the heads.

        Parameters
        ----------
        codes : NeuronCodes
            Of one population.
        spec : ChipSpec
        v_leak_mv, v_threshold_mv : float
            Of the population.
        merged : int
            Circuits per neuron; the head's currents act on the capacitance of all of them, so it gets as many times
            as much.

        Raises
        ------
        OutOfRangeError
            A term needs a code outside its range.
        """
        own = codes.head == codes.circuit
        cells, switches = codes.capmem_code.astype(np.float64), codes.switches.copy()
        for switch, written in (
            self._adaptation(v_leak_mv, merged),
            self._exponential(v_threshold_mv, merged),
            self._conductance(0.5 * (v_leak_mv + v_threshold_mv)),
        ):
            switches[own] |= np.uint8(switch)
            for cell, value in written.items():
                cells[own, cell] = value
        stored = to_codes(cells, spec, np.int16, spec.capmem_code_max, "capmem_code")
        return replace(codes, capmem_code=stored, switches=switches)

    def _adaptation(self, v_leak_mv: float, merged: int) -> Terms:
        if self.tau_adaptation_us is None:
            return _NOTHING
        rest_mv = v_leak_mv if self.v_adapt_leak_mv is None else self.v_adapt_leak_mv
        switch = Switch.adaptation
        if self.adaptation_a_ns < 0:
            switch |= Switch.adapt_a_negative
        if self.adaptation_b_na < 0:
            switch |= Switch.adapt_b_negative
        return switch, {
            Cell.i_adapt_tau: nominal.ADAPT_TAU_US_CODE / self.tau_adaptation_us,
            Cell.i_adapt_a: merged * abs(self.adaptation_a_ns) / nominal.ADAPT_A_NS_PER_CODE,
            Cell.i_adapt_b: merged * abs(self.adaptation_b_na) / nominal.ADAPT_B_NA_PER_CODE,
            Cell.v_adapt_leak: float(nominal.voltage_code(rest_mv)),
        }

    def _exponential(self, v_threshold_mv: float, merged: int) -> Terms:
        if self.exponential_na == 0:
            return _NOTHING
        at_mv = v_threshold_mv if self.v_exp_mv is None else self.v_exp_mv
        return Switch.exponential, {
            Cell.i_exp: merged * self.exponential_na / nominal.EXP_NA_PER_CODE,
            Cell.v_exp: float(nominal.voltage_code(at_mv)),
        }

    def _conductance(self, middle_mv: float) -> Terms:
        reference_mv = middle_mv if self.v_reference_mv is None else self.v_reference_mv
        switches, cells = _NOTHING[0], dict(_NOTHING[1])
        for name, switch, potential, modulation, sign in (
            ("reversal_exc_mv", Switch.coba_exc, Cell.e_reversal_exc, Cell.i_coba_exc, 1.0),
            ("reversal_inh_mv", Switch.coba_inh, Cell.e_reversal_inh, Cell.i_coba_inh, -1.0),
        ):
            reversal_mv: float | None = getattr(self, name)
            if reversal_mv is None:
                continue
            distance_mv = sign * (reversal_mv - reference_mv)
            if distance_mv <= 0:
                raise InvalidInputError(
                    f"{reversal_mv:g} mV is on the wrong side of the reference potential {reference_mv:g} mV",
                    field=name,
                )
            switches |= switch
            cells[potential] = float(nominal.voltage_code(reversal_mv))
            cells[modulation] = 1.0 / distance_mv / nominal.COBA_PER_MV_CODE
        return switches, cells
