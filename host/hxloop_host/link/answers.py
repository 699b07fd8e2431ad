"""What a reply means to the client: an answer of the kind asked for, an error, or another chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hxloop.errors import (
    ChipMismatchError,
    HxloopError,
    MalformedMessageError,
    UnreachableError,
    error_from_code,
)
from hxloop.protocol.codec import decode_reply, encode
from hxloop.protocol.messages import ErrorReply

if TYPE_CHECKING:
    from hxloop.chip import ChipIdentity
    from hxloop.protocol.codec import Arrays
    from hxloop.protocol.messages import AnyReply, Message
    from hxloop.protocol.packed_runs import PackedReply
    from hxloop_host.link.transport import Address, Opener

Kind = TypeVar("Kind")


def ask_once(
    open_transport: Opener, endpoint: str, request: Message, timeout_s: float
) -> tuple[AnyReply, Arrays] | None:
    """One question on a connection of its own, so that the answer cannot be one to an older question."""
    transport = open_transport(endpoint)
    try:
        transport.send(encode(request))
        frames = transport.poll(timeout_s)
    finally:
        transport.close()
    return None if frames is None else decode_reply(frames)


def expect(reply: AnyReply | PackedReply, kind: type[Kind]) -> Kind:
    """Return the reply if it is of this kind.

    Raises
    ------
    MalformedMessageError
        It is of another kind.
    """
    if not isinstance(reply, kind):
        raise MalformedMessageError(f"unexpected reply {reply.reply!r}", field="reply")
    return reply


def as_error(reply: AnyReply) -> HxloopError:
    """Return the error that a reply carries; any other reply is one by being here."""
    if not isinstance(reply, ErrorReply):
        return MalformedMessageError(f"unexpected reply {reply.reply!r}", field="reply")
    return error_from_code(reply.code, reply.message, field=reply.field, hint=reply.hint)


def check_identity(reply: AnyReply, expected: ChipIdentity | None, address: Address) -> None:
    """Refuse another chip than the one a client is bound to.

    Raises
    ------
    ChipMismatchError
        Name, serial, datasheet or model version differ.
    """
    if expected is not None and reply.identity != expected:
        raise ChipMismatchError(
            f"another chip answers at {address.data}: {_describe(reply.identity)} instead of {_describe(expected)}",
            field="identity",
            hint=f"serve the right one: hxloop serve --chip {expected.chip} --serial {expected.serial}",
        )


def unreachable(address: Address, identity: ChipIdentity | None, tries: int) -> UnreachableError:
    """Return the error that nobody answers, with the command that changes it."""
    which = f" --chip {identity.chip} --serial {identity.serial}" if identity else ""
    return UnreachableError(
        f"no chip answers at {address.data} ({tries} {'tries' if tries > 1 else 'try'})",
        field="endpoint",
        hint=f"is the daemon running? start one with: hxloop serve{which} --endpoint {address.data}",
    )


def _describe(identity: ChipIdentity) -> str:
    return f"{identity} ({identity.spec}, model {identity.model})"
