"""Synapses: what an event is worth, from the bias of a quadrant's DACs down to the bits of a single one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mismatch import Mismatch

_TABLE = "fixed_synapses"


class SynapseSpread(Mechanism):
    """Factors of quadrants, rows and synapses, and errors of the bits of a weight.

    Those of single synapses are drawn by `Mismatch` when they are first asked for: they are large.
    """

    reference = "docs/chip.md"
    strengths: ClassVar = {
        "synapse_dac_fixed": Strength(
            "1", "assumed", "bias of the synapse DACs, log-normal, per quadrant", "step exp(x)", _TABLE
        ),
        "driver_fixed": Strength(
            "1",
            "fitted (docs/chip.md)",
            "gain of a synapse row, log-normal, per hemisphere and row",
            "step exp(x)",
            _TABLE,
        ),
        "synapse_fixed": Strength(
            "1", "fitted (docs/chip.md)", "gain of a synapse, log-normal, per row and column", "step exp(x)", _TABLE
        ),
        "weight_dac_fixed": Strength(
            "1",
            "assumed (matching improves with area)",
            "error of bit b of a synapse's DAC times sqrt(2^b), per bit",
            "bit b is worth 2^b + sqrt(2^b) x_b, at least 0",
            _TABLE,
        ),
    }
    deviations: ClassVar = {
        "synapse_dac": ("1", "factor of the synapse DAC's bias (quadrant)"),
        "driver": ("1", "factor of a synapse row, 0: it passes no events (hemisphere, row)"),
    }

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Factors of quadrants and rows."""
        spec = draws.spec
        return {
            "synapse_dac": draws.factor("synapse_dac", s.synapse_dac_fixed, spec.n_quadrants),
            "driver": draws.factor("driver", s.driver_fixed, spec.n_hemispheres, spec.n_rows, places="rows"),
        }
