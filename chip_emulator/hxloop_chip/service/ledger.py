"""Sums over the daemon's life, for `status`."""

from __future__ import annotations

from dataclasses import dataclass, field

from hxloop.protocol.messages import Ledger
from hxloop.result import RunCounts


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

    def add_run(self, n_samples: int, counts: object) -> None:
        """Count a finished run, from a reply or result."""
        self.runs_executed += 1
        self.samples += n_samples
        self.counts = RunCounts.total([self.counts, counts])

    def message(self) -> Ledger:
        """Today's sums."""
        own = {name: value for name, value in vars(self).items() if name != "counts"}
        return Ledger(**own, **vars(self.counts), events_lost=self.counts.events_lost)
