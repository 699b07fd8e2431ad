"""One session with a daemon that may be slow, lose messages, or die and come back.

The Lazy Pirate pattern: send, wait, and when nothing comes drop the socket and send the same message again. Results
are pure functions of what was asked and the daemon keeps its last replies, so asking twice is harmless.

References
----------
Hintjens, "ZeroMQ: the guide", chapter 4, https://zguide.zeromq.org/docs/chapter4/
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hxloop.errors import (
    HxloopError,
    InvalidInputError,
    LimitExceededError,
    OverloadedError,
    ServiceError,
    ShuttingDownError,
    UnknownSessionError,
)
from hxloop.protocol.codec import Arrays, boot_from_arrays, decode_reply, encode
from hxloop.protocol.messages import (
    AnyReply,
    CancelRequest,
    DescribeReply,
    DescribeRequest,
    ErrorReply,
    HelloReply,
    HelloRequest,
    Message,
    StatusReply,
    StatusRequest,
)
from hxloop.protocol.packed_runs import PackedReply, is_packed, unpack_reply
from hxloop.version import __version__
from hxloop_host.link.answers import as_error, ask_once, check_identity, expect, unreachable
from hxloop_host.link.calls import Calls
from hxloop_host.link.patience import Owner, Patience
from hxloop_host.link.session_lanes import Lanes
from hxloop_host.link.transport import Address, Opener, ZmqTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from hxloop.chip import ChipIdentity
    from hxloop.codes.boot import BootSettings
    from hxloop_host.link.transport import Frame

_SILENCES_BEFORE_FORCE = 3
_LOOK_S = 0.1  # whoever waits looks at least so often whether it still should
_STARTED_AGAIN = "the daemon was started again"


class Session:
    """Requests with sequence numbers over a transport that is reopened when it goes silent.

    Parameters
    ----------
    address : Address
        Endpoints of the daemon.
    open_transport : callable, optional
        Makes a transport to an endpoint.
    patience : Patience, optional
        Waiting times.
    owner : Owner, optional
        Starts the daemon again when it has died.
    expected : ChipIdentity, optional
        Any other chip is refused; without it, the first chip that answers is the one.

    Raises
    ------
    UnreachableError
        Nobody answers.
    ChipMismatchError
        Another chip answers.
    """

    def __init__(
        self,
        address: Address,
        *,
        open_transport: Opener = ZmqTransport,
        patience: Patience | None = None,
        owner: Owner | None = None,
        expected: ChipIdentity | None = None,
    ) -> None:
        self.address = address
        self.patience = patience or Patience()
        self.sequence = 0
        self._open = open_transport
        self._owner = owner
        self._identity = expected
        self._silences = 0
        self.calls = Calls()
        self._lanes = Lanes(address.data, open_transport)
        self.on_detour = False  # its last stream has ended, and requests go through the supervisor
        try:
            self.hello = self._say_hello(self.patience.connect_tries)
        except BaseException:
            self.close()
            raise

    def renew(self, *, stream: bool) -> None:
        """Open a new session; the daemon has forgotten the old one and everything uploaded in it.

        With a stream where there is one; but what was under way when one ended is asked again without, because the
        daemon's supervisor knows what to do about requests that cost workers.
        """
        self.on_detour = not stream and (self.on_detour or self._lanes.on_stream)
        self._revive(force=False)
        self.hello = self._say_hello(self.patience.tries, stream=stream)

    def close(self) -> None:
        """Drop the connection."""
        self._lanes.close()

    def cancel(self) -> str:
        """Cancel the call (`Calls.begin`) that another thread is in.

        Returns
        -------
        {"cancelled", "finished"}
            Whether there was one.

        Raises
        ------
        UnreachableError
            The daemon could not be told; the call ends all the same.
        """
        found, sequence = self.calls.cancel()
        if sequence is not None:
            with contextlib.suppress(UnknownSessionError):
                self.control(CancelRequest(session=self.hello.session, sequence=sequence))
        return "cancelled" if found else "finished"

    def ask(
        self,
        make: Callable[[str, int], Message],
        arrays: Arrays,
        pack: Callable[[int], list[Frame] | None] = lambda sequence: None,
    ) -> tuple[AnyReply | PackedReply, Arrays]:
        """Send one request and wait for its reply, however long the daemon is visibly at work.

        Parameters
        ----------
        make : callable
            Builds the request header from session and sequence number.
        arrays : dict
            Its arrays.
        pack : callable, optional
            Builds the message with a packed header from the sequence number, for streams; None if it does not fit.

        Raises
        ------
        UnknownSessionError
            The daemon was restarted or dropped the session: `renew`, and ask again.
        UnreachableError
            Nobody answers after all tries.
        InvalidInputError
            The header does not hold a value it was given.
        HxloopError
            Whatever the daemon answers.
        """
        sequence = self.sequence + 1
        try:
            packed = pack(sequence) if self._lanes.on_stream else None
            frames = packed or encode(make(self.hello.session, sequence), arrays)
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidInputError(first["msg"], field=".".join(str(part) for part in first["loc"])) from None
        size = sum(len(frame) for frame in frames)
        if size > self.hello.limits.max_message_bytes:
            raise LimitExceededError(
                f"{size} bytes, at most {self.hello.limits.max_message_bytes} are allowed", field="message"
            )
        self.calls.take_off(sequence)
        self.sequence = sequence
        try:
            return self._send_until_answered(frames, sequence)
        except OverloadedError:
            self.sequence = sequence - 1  # a request that found no place does not use its number up
            raise
        except HxloopError:
            raise
        except BaseException:  # Ctrl-C, or whatever a signal handler raises
            self._abandon(sequence)
            raise
        finally:
            self.calls.land()

    def control(self, request: Message, timeout_s: float | None = None) -> AnyReply:
        """Ask the control socket; may be called from any thread while `ask` waits.

        Raises
        ------
        UnreachableError
            No answer in time.
        ServiceError
            Only the data endpoint is known.
        """
        if self.address.control is None:
            raise ServiceError(
                f"the control endpoint of {self.address.data} is not known",
                field="endpoint",
                hint="connect with the daemon's connection file instead",
            )
        answer = ask_once(self._open, self.address.control, request, timeout_s or self.patience.control_s)
        if answer is None:
            raise unreachable(self.address, self._identity, 1)
        reply = answer[0]
        check_identity(reply, self._identity, self.address)
        if isinstance(reply, ErrorReply):
            raise as_error(reply)
        return reply

    def boot_settings(self) -> BootSettings:
        """Codes the chip boots with.

        Raises
        ------
        UnreachableError
            Nobody answers after all tries.
        """
        for _ in range(self.patience.tries):
            timeout_s = self.patience.poll_s + self.patience.control_s
            answer = ask_once(self._open, self.address.data, DescribeRequest(), timeout_s)
            if answer is None:
                self._count_silence()
                continue
            reply, arrays = answer
            self._silences = 0
            check_identity(reply, self._identity, self.address)
            if isinstance(reply, ErrorReply):
                raise as_error(reply)
            return boot_from_arrays(expect(reply, DescribeReply).operating_point, arrays)
        raise unreachable(self.address, self._identity, self.patience.tries)

    def _poll(self, timeout_s: float) -> list[Frame] | None:
        """Next message, or None after `timeout_s`; the caller may leave or cancel meanwhile."""
        end_s = time.monotonic() + timeout_s
        while True:
            self.calls.check_wanted()
            left_s = end_s - time.monotonic()
            frames = self._lanes.lane.poll(max(0.0, min(left_s, _LOOK_S)))
            if frames is not None or left_s <= _LOOK_S:
                return frames

    def _say_hello(self, tries: int, *, stream: bool = True) -> HelloReply:
        """Open a session on a fresh connection, so that no reply to an older request is in the way."""
        self._lanes.leave_stream()
        request = encode(HelloRequest(client=f"hxloop {__version__}, process {os.getpid()}"))
        refusal: HxloopError | None = None
        for _ in range(tries):
            self._lanes.data.reopen(self.address.data)
            self._lanes.data.send(request)
            frames = self._poll(self.patience.poll_s + self.patience.control_s)
            if frames is None:
                self._count_silence()
                continue
            reply, _ = decode_reply(frames)
            check_identity(reply, self._identity, self.address)
            if isinstance(reply, HelloReply):
                self._identity = reply.identity
                if self.address.control is None:
                    self.address = Address(self.address.data, reply.control_endpoint or None)
                self._silences = self.sequence = 0
                if stream:
                    self._lanes.take_stream(reply)
                return reply
            refusal = as_error(reply)
            if not isinstance(refusal, ShuttingDownError):
                raise refusal
            self._pause()
        raise refusal or unreachable(self.address, self._identity, tries)

    def _send_until_answered(self, frames: list[Frame], sequence: int) -> tuple[AnyReply | PackedReply, Arrays]:
        refusal: HxloopError | None = None
        for attempt in range(self.patience.tries):
            if attempt:
                self._lanes.reopen(self.address.data)
            self._lanes.lane.send(frames)
            answer = self._wait_for(sequence, frames)
            if answer is None:
                continue
            if not isinstance(answer[0], ErrorReply):
                return answer
            refusal = as_error(answer[0])
            if not isinstance(refusal, ShuttingDownError):
                raise refusal
            if self._pause():
                raise UnknownSessionError(_STARTED_AGAIN)
        if refusal is None and self._lanes.on_stream:
            raise UnknownSessionError("the stream is silent")  # the supervisor sees whether a worker stands still
        raise refusal or unreachable(self.address, self._identity, self.patience.tries)

    def _wait_for(self, sequence: int, frames: list[Frame]) -> tuple[AnyReply | PackedReply, Arrays] | None:
        """Reply with this number; None when it is time to send the request again on a new connection."""
        idle_before = False
        mark: object = None
        since = sent = time.monotonic()
        while True:
            received = self._poll(self.patience.poll_s)
            if received is not None:
                self._silences = 0
                answer = self._matching(received, sequence)
                if answer is not None:
                    return answer
                continue
            now = self._sign_of_life(sequence)
            if now == "silent" or (now == "idle" and idle_before):
                return None
            if now == "alive" and time.monotonic() - sent > self.patience.resend_s:
                # Without the control socket nobody can say whether the request arrived; asking twice is harmless.
                self._lanes.lane.send(frames)
                sent = time.monotonic()
            idle_before = now == "idle"
            if now != mark:
                mark, since = now, time.monotonic()
            elif now != "alive" and time.monotonic() - since > self.patience.stall_s:
                return None

    def _matching(self, frames: list[Frame], sequence: int) -> tuple[AnyReply | PackedReply, Arrays] | None:
        """Reply, unless it is a late or duplicate one of another request."""
        if is_packed(frames):
            packed = unpack_reply(frames)
            return (packed, {}) if packed.sequence == sequence else None
        reply, arrays = decode_reply(frames)
        check_identity(reply, self._identity, self.address)
        answered = getattr(reply, "sequence", -1)
        if answered is None:
            # An error that could not be tied to a request; on this connection it can only be ours.
            raise as_error(reply)
        if answered != sequence:
            return None
        if reply.boot_id != self.hello.boot_id and not isinstance(reply, ErrorReply):
            raise UnknownSessionError("the daemon was restarted")
        return reply, arrays

    def _sign_of_life(self, sequence: int) -> object:
        """``silent``: nobody answers; ``idle``: the request is unknown there; else a mark that changes with progress.

        Raises
        ------
        UnknownSessionError
            The daemon was restarted.
        """
        if self._revive(force=False):
            raise UnknownSessionError(_STARTED_AGAIN)
        if self.address.control is None:
            # `describe` is answered by the daemon itself while its chip runs; it shows life, but no progress.
            answer = ask_once(self._open, self.address.data, DescribeRequest(), self.patience.control_s)
        else:
            status = StatusRequest(session=self.hello.session)
            answer = ask_once(self._open, self.address.control, status, self.patience.control_s)
        if answer is None:
            if self._count_silence():
                raise UnknownSessionError(_STARTED_AGAIN)
            return "silent"
        self._silences = 0
        reply = answer[0]
        check_identity(reply, self._identity, self.address)
        if reply.boot_id != self.hello.boot_id:
            raise UnknownSessionError("the daemon was restarted")
        if isinstance(reply, ErrorReply):
            raise as_error(reply)
        if isinstance(reply, StatusReply):
            at_work = reply.running_sequence == sequence or reply.queue_position is not None
            return (reply.queue_position, reply.progress) if at_work else "idle"
        return "alive"

    def _abandon(self, sequence: int) -> None:
        """Tell the daemon that nobody waits for this request any more; without waiting long for its answer."""
        with contextlib.suppress(HxloopError):
            self.control(CancelRequest(session=self.hello.session, sequence=sequence), timeout_s=0.5)
        with contextlib.suppress(HxloopError):  # else the next request notices
            self._lanes.reopen(self.address.data)

    def _count_silence(self) -> bool:
        self._silences += 1
        return self._revive(force=self._silences >= _SILENCES_BEFORE_FORCE)

    def _revive(self, *, force: bool) -> bool:
        """Let the owner look after the daemon; whether it was started again."""
        revived = self._owner.revive(force=force) if self._owner else None
        if revived is None:
            return False
        self._silences, self.address = 0, revived
        return True

    def _pause(self) -> bool:  # for a daemon that goes down
        time.sleep(self.patience.poll_s)
        return self._revive(force=False)
