"""Depletion of synapse drivers: those that have just been busy drive less."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mismatch import Mismatch

RECOVERY_US: Final = 5.0
"""Time constant in which a driver recovers (assumed: as the shortest time constants of neurons)."""

_HIGHEST: Final = 0.5  # of a strength; of a driver, whatever its draw, 1


class DriverDepletion(Mechanism):
    """An event is worth 1 - x; it adds s (1 - x) to x of its drivers, which decays with the time of recovery."""

    reference = "docs/solver.md#busy-drivers"
    strengths: ClassVar = {
        "driver_depletion_fixed": Strength(
            "1",
            "assumed; drivers have a circuit for short-term plasticity, whose offsets calix calibrates one by one "
            "(spiking/synapse_driver.py)",
            "share of its drive that an event takes from a driver, both rows, for some 5 us",
            "step (1 - x); an event adds s (1 - x) to x",
            "fixed_synapses",
            _HIGHEST,
        ),
        "driver_depletion_spread_fixed": Strength(
            "1", "assumed", "spread of that, log-normal, per driver", "s exp(x)", "fixed_synapses"
        ),
    }
    deviations: ClassVar = {"driver_depletion": ("1", "share of its drive that an event takes (driver)")}

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Shares [n_hemispheres x n_drivers]."""
        spec = draws.spec
        rows = spec.n_hemispheres, spec.n_rows
        factor = draws.factor("driver_depletion", s.driver_depletion_spread_fixed, *rows, places="rows")
        return {"driver_depletion": np.minimum(s.driver_depletion_fixed * factor[:, ::2].ravel(), 1.0)}
