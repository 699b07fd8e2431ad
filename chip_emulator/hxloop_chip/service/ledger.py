"""Sums over the daemon's life, for `status`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hxloop.protocol.codec import FIRST_TICKS
from hxloop.protocol.messages import Ledger
from hxloop.result import RunCounts

if TYPE_CHECKING:
    from hxloop.protocol.messages import RunReply


@dataclass
class LedgerBook:
    """Sums as in `hxloop.protocol.messages.Ledger`, those of runs together."""

    requests: int = 0
    runs_executed: int = 0
    replies_resent: int = 0
    errors: int = 0
    worker_restarts: int = 0
    samples: int = 0
    counts: RunCounts = field(default_factory=lambda: RunCounts.total(()))

    def add_run(self, reply: RunReply) -> None:
        """Count a finished run."""
        self.runs_executed += 1
        first = reply.arrays[0]
        self.samples += max(0, first.shape[0] - (first.name != FIRST_TICKS))
        self.counts = RunCounts.total([self.counts, reply])

    def message(self) -> Ledger:
        """Today's sums."""
        own = {name: value for name, value in vars(self).items() if name != "counts"}
        return Ledger(**own, **vars(self.counts), events_lost=self.counts.events_lost)
