"""Sums over the daemon's life, for `status`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from hxloop.protocol.messages import Ledger

if TYPE_CHECKING:
    from hxloop.protocol.messages import RunReply


@dataclass
class LedgerBook:
    """Counters; meanings as in `hxloop.protocol.messages.Ledger`."""

    requests: int = 0
    runs_executed: int = 0
    replies_resent: int = 0
    errors: int = 0
    worker_restarts: int = 0
    samples: int = 0
    events_in: int = 0
    events_out: int = 0
    events_lost: int = 0
    lost_in: int = 0
    lost_out: int = 0
    lost_late: int = 0
    chip_time_us: float = 0.0
    emulation_time_us: float = 0.0
    energy_j_estimate: float = 0.0

    def add_run(self, reply: RunReply) -> None:
        """Count a finished run."""
        self.runs_executed += 1
        self.samples += max(0, reply.arrays[0].shape[0] - 1)
        self.events_in += reply.events_in
        self.events_out += reply.events_out
        self.events_lost += reply.lost_in + reply.lost_out + reply.lost_late
        self.lost_in += reply.lost_in
        self.lost_out += reply.lost_out
        self.lost_late += reply.lost_late
        self.chip_time_us += reply.chip_time_us
        self.emulation_time_us += reply.emulation_time_us
        self.energy_j_estimate += reply.energy_j_estimate

    def message(self) -> Ledger:
        """Today's sums."""
        return Ledger(**{item.name: getattr(self, item.name) for item in fields(self)})
