"""Dead rows: they pass no events."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mismatch import Mismatch


class DeadRows(Mechanism):
    """The factor of a dead row is 0."""

    reference = "docs/chip.md"
    strengths: ClassVar = {
        "dead_row_fixed": Strength(
            "1",
            "assumed",
            "probability that a synapse row passes no events, per hemisphere and row",
            "step = 0 with probability s",
            "faults",
            highest=1.0,
        )
    }

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """A factor, not an array of its own: the digest of chips without dead rows stays as it is."""
        dead = draws.stream("dead_row").random(before.driver.shape) < s.dead_row_fixed
        return {"driver": np.where(dead, 0.0, before.driver)}
