"""Membranes: leak conductance and capacitance of each circuit."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hxloop_chip.silicon.mechanisms.mechanism import LEFT_BY_PUBLISHED, Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mismatch import Mismatch


class MembraneSpread(Mechanism):
    """g_leak(code) exp(x), C(code) + x, and what calibration leaves of their quotient."""

    reference = "calix tests/hw/py/test_neuron.py"
    strengths: ClassVar = {
        "leak_conductance_fixed": Strength(
            "1",
            "assumed; calix tests: std after / before calibration of tau_mem < 0.45",
            "leak conductance, log-normal, per circuit",
            "g_leak(code) exp(x)",
            "fixed_currents",
        ),
        "capacitance_fixed_pf": Strength(
            "pF",
            "assumed (calix measures it per neuron)",
            "parasitic membrane capacitance, per circuit",
            "C(code) + x, at least 0.02 pF",
            "fixed_currents",
        ),
        "tau_mem_residual": Strength(
            "1", LEFT_BY_PUBLISHED, "membrane time constant after calibration", "tau_mem = target exp(x)",
            "residual",
        ),
    }  # fmt: skip
    deviations: ClassVar = {
        "leak_conductance": ("1", "factor of the leak conductance (circuit)"),
        "capacitance_pf": ("pF", "offset of the membrane capacitance (circuit)"),
    }

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Factors and offsets."""
        n = draws.spec.n_circuits
        return {
            "leak_conductance": draws.factor("leak_conductance", s.leak_conductance_fixed, n),
            "capacitance_pf": draws.offset("capacitance", s.capacitance_fixed_pf, n),
        }
