"""Synaptic inputs: time constant, transconductance and reference of each circuit and sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hxloop_chip.silicon.mechanisms.mechanism import LEFT_BY_PUBLISHED, Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mismatch import Mismatch

_FIXED, _LEFT = "fixed_currents", "residual"


class SynapticInputSpread(Mechanism):
    """Excitatory and inhibitory inputs differ between circuits; and what calibration leaves of it."""

    reference = "calix tests/hw/py/test_neuron.py"
    strengths: ClassVar = {
        "tau_syn_fixed": Strength(
            "1",
            "assumed; calix tests: std after / before calibration < 0.20",
            "synaptic time constants, log-normal, per circuit and sign, independent",
            "tau_syn(code) exp(x)",
            _FIXED,
        ),
        "synaptic_input_fixed": Strength(
            "1",
            "assumed",
            "transconductance of a synaptic input, log-normal, per circuit and sign",
            "gm(code) exp(x)",
            _FIXED,
        ),
        "synaptic_reference_fixed_mv": Strength(
            "mV",
            "assumed",
            "reference of a synaptic input (a constant current), per circuit and sign",
            "V_leak + (gm_exc x_exc - gm_inh x_inh) / g_leak",
            _FIXED,
        ),
        "tau_syn_residual": Strength(
            "1",
            LEFT_BY_PUBLISHED,
            "synaptic time constants after calibration",
            "tau_syn = target exp(x)",
            _LEFT,
        ),
        "synaptic_input_residual": Strength(
            "1",
            f"{LEFT_BY_PUBLISHED}, as networks meet it (decision 26)",
            "synaptic gain after calibration",
            "gain = target exp(x)",
            _LEFT,
        ),
        "synaptic_reference_residual_mv": Strength(
            "mV",
            LEFT_BY_PUBLISHED,
            "synaptic reference after calibration",
            "reference + shift = x",
            _LEFT,
        ),
    }
    deviations: ClassVar = {
        "tau_syn": ("1", "factor of the synaptic time constants (excitatory and inhibitory, circuit)"),
        "synaptic_input": ("1", "factor of the transconductance (excitatory and inhibitory, circuit)"),
        "synaptic_reference_mv": ("mV", "offset of a synaptic input's reference (excitatory and inhibitory, circuit)"),
    }

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Factors and offsets."""
        n = draws.spec.n_circuits
        return {
            "tau_syn": draws.factor("tau_syn", s.tau_syn_fixed, 2, n),
            "synaptic_input": draws.factor("synaptic_input", s.synaptic_input_fixed, 2, n),
            "synaptic_reference_mv": draws.offset("synaptic_reference", s.synaptic_reference_fixed_mv, 2, n),
        }
