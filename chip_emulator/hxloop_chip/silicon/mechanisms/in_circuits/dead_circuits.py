"""Dead circuits: they never spike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop_chip.silicon.circuits import Circuits
    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mismatch import Mismatch


class DeadCircuits(Mechanism):
    """The threshold of a dead circuit is out of reach."""

    reference = "docs/chip.md"
    strengths: ClassVar = {
        "dead_fixed": Strength(
            "1",
            "assumed",
            "probability that a circuit never spikes",
            "v_threshold = inf with probability s",
            "fixed_potentials",
            highest=1.0,
        )
    }
    deviations: ClassVar = {"dead": ("1", "1: the circuit never spikes (circuit)")}

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Which circuits are dead."""
        return {"dead": draws.stream("dead").random(draws.spec.n_circuits) < s.dead_fixed}

    def circuits(self, s: Imperfections, circuits: Circuits, circuit: NDArray[np.int64], silicon: Mismatch) -> Circuits:
        """Thresholds."""
        return replace(circuits, v_threshold_mv=np.where(silicon.dead[circuit], np.inf, circuits.v_threshold_mv))
