"""How long a client waits, and who looks after the daemon meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hxloop_host.link.transport import Address


@dataclass(frozen=True)
class Patience:
    """How long a client waits before it does something about it.

    Attributes
    ----------
    poll_s : float
        Silence on the data socket after which the daemon is asked whether it is still at work.
    control_s : float
        Time the daemon has to answer that.
    tries : int
        How often a request is sent before the client gives up.
    connect_tries : int
        The same for the very first hello.
    stall_s : float
        A request that runs without progress for longer is sent again.
    resend_s : float
        Where progress cannot be seen (only the data endpoint is known), requests are repeated this often.
    """

    poll_s: float = 0.5
    control_s: float = 2.0
    tries: int = 10
    connect_tries: int = 3
    stall_s: float = 120.0
    resend_s: float = 5.0


class Owner(Protocol):
    """Whoever started the daemon and may start it again."""

    def revive(self, *, force: bool) -> Address | None:
        """Start the daemon again if it has ended (or does not answer: `force`); None if there was no need."""

    def close(self) -> None:
        """End the daemon."""
