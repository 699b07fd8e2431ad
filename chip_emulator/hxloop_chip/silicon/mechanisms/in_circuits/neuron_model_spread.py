"""Terms beyond leaky integrate-and-fire: adaptation, exponential term, conductance inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mismatch import Mismatch


class NeuronModelSpread(Mechanism):
    """Factors of the currents of these terms, per circuit."""

    reference = "docs/chip.md"
    strengths: ClassVar = {
        "adaptation_fixed": Strength(
            "1",
            "assumed",
            "time constant, a and b of the adaptation, log-normal, per circuit, independent",
            "tau_w exp(x1), a exp(x2), b exp(x3)",
            "fixed_currents",
        ),
        "exponential_fixed": Strength(
            "1", "assumed", "current of the exponential term, log-normal, per circuit", "c exp(x)", "fixed_currents"
        ),
        "coba_fixed": Strength(
            "1",
            "assumed",
            "modulation of conductance inputs, log-normal, per circuit and sign",
            "m exp(x)",
            "fixed_currents",
        ),
    }
    deviations: ClassVar = {
        "adaptation": ("1", "factors of adaptation (time constant, a and b; circuit)"),
        "exponential": ("1", "factor of the exponential current (circuit)"),
        "coba": ("1", "factor of the conductance modulation (excitatory and inhibitory, circuit)"),
    }

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Factors."""
        n = draws.spec.n_circuits
        return {
            "adaptation": draws.factor("adaptation", s.adaptation_fixed, 3, n),
            "exponential": draws.factor("exponential", s.exponential_fixed, n),
            "coba": draws.factor("coba", s.coba_fixed, 2, n),
        }
