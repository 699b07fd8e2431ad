"""Latency and jitter under load: events wait for those before them, spikes for those of the same event output."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength
from hxloop_chip.solver import layout as at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hxloop.spec import ChipSpec
    from hxloop_chip.silicon.imperfections import Imperfections

_TABLE = "load"


class EventWaiting(Mechanism):
    """Queues of the link in, of the buses, and of the neurons' event outputs: `hxloop_chip.solver.edges.queues`.

    The kernels find the strengths where those of the solver are; what is lost is what is lost without them.
    """

    reference = "docs/chip.md"
    strengths: ClassVar = {
        "event_wait_fixed": Strength(
            "1",
            "assumed: 1, queues served at the rates of the datasheet (packs of 3, hxcomm event_constants.h)",
            "part of the time in a queue by which an event, or the stamp of a spike, is late; no deviation",
            "late by s n / rate, n events waiting",
            _TABLE,
            scales=False,
        ),
        "event_wait_trial": Strength(
            "1",
            "assumed: clock crossings",
            "relative spread of the time a queue takes for an event; where event_wait_fixed is on",
            "n + s sqrt(n) x in the place of n",
            _TABLE,
        ),
    }

    def in_solver(self, s: Imperfections, sigmas: NDArray[np.float64], spec: ChipSpec) -> None:
        """Strengths as they are."""
        sigmas[at.SIGMA_WAIT], sigmas[at.SIGMA_SERVICE] = s.event_wait_fixed, s.event_wait_trial
