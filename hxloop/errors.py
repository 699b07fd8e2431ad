"""The error tree: every error says what is wrong, where (`field`) and what to do (`hint`).

An error has a stable `code`, so that it crosses the wire and comes out as the same class on the other side.
"""

from __future__ import annotations

from typing import Any, ClassVar

from hxloop.text import many_lines, one_line


class HxloopError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence.
    field : str, optional
        Name of the offending field, argument or array element, for example ``synapses.weight_code[17]``.
    hint : str, optional
        What to do about it.
    details : str
        Further lines, for example the end of a log.

    Notes
    -----
    As a string it is one line, and below it those of `details`; foreign text in it is escaped (`hxloop.text`).
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None, details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field and self.field not in self.message else ""
        what_to_do = f" ({self.hint})" if self.hint else ""
        below = f"\n{many_lines(self.details)}" if self.details else ""
        return one_line(f"{where}{self.message}{what_to_do}") + below


class InvalidInputError(HxloopError):
    """A value the caller gave is not acceptable."""

    code = "invalid_input"
    exit_code = 2


class OutOfRangeError(InvalidInputError):
    """A number lies outside what the datasheet allows."""

    code = "out_of_range"


class ArrayError(InvalidInputError):
    """An array has the wrong dtype, shape, length or order."""

    code = "array"


class DoesNotFitError(InvalidInputError):
    """A network needs more of a resource than the chip has."""

    code = "does_not_fit"


class UnknownKeyError(InvalidInputError):
    """A settings file or option has a name nobody knows."""

    code = "unknown_key"


class MissingFileError(InvalidInputError):
    """A file named by the caller does not exist."""

    code = "missing_file"


class ProtocolError(HxloopError):
    """A message does not follow docs/wire-protocol.md."""

    code = "protocol"


class MalformedMessageError(ProtocolError):
    """Frames, header or arrays cannot be read."""

    code = "malformed_message"


class ProtocolVersionError(ProtocolError):
    """Client and daemon speak different protocol versions."""

    code = "protocol_version"


class UnknownVerbError(ProtocolError):
    """A request names a verb the daemon does not have."""

    code = "unknown_verb"


class LimitExceededError(ProtocolError):
    """A request is larger than the daemon's announced limits."""

    code = "limit_exceeded"


class SessionError(HxloopError):
    """A request does not fit the state of its session."""

    code = "session"


class UnknownSessionError(SessionError):
    """The daemon does not know this session (restarted, expired, or someone else's)."""

    code = "unknown_session"


class SequenceError(SessionError):
    """A sequence number leaves a gap, or its stored reply is already forgotten."""

    code = "sequence"


class UnknownConfigurationError(SessionError):
    """A run names a configuration hash that the session has not uploaded."""

    code = "unknown_configuration"


class ServiceError(HxloopError):
    """The daemon, or the way to it, failed."""

    code = "service"


class UnreachableError(ServiceError):
    """Nobody answers at an endpoint."""

    code = "unreachable"


class DaemonStartError(ServiceError):
    """A daemon could not be started."""

    code = "daemon_start"


class EndpointInUseError(ServiceError):
    """Another daemon already listens at this endpoint."""

    code = "endpoint_in_use"
    exit_code = 2


class ChipMismatchError(ServiceError):
    """Another chip answers than the one the caller is bound to."""

    code = "chip_mismatch"


class WorkerCrashedError(ServiceError):
    """The process that owns the chip died repeatedly on one request."""

    code = "worker_crashed"


class RunCancelledError(ServiceError):
    """The request was cancelled before it finished."""

    code = "cancelled"


class ShuttingDownError(ServiceError):
    """The daemon is going down and takes no new work."""

    code = "shutting_down"


class OverloadedError(ServiceError):
    """The daemon's queue or session table is full."""

    code = "overloaded"


class RecordError(HxloopError):
    """A stored file is damaged, of another kind, or locked by another process."""

    code = "record"


class UnsavedResultError(RecordError):
    """Something was computed and cannot be stored.

    Attributes
    ----------
    result : object
        What was computed, for example a `Run`; None where the error came from another process.
    """

    code = "unsaved_result"
    result: Any = None


class UnreadableFileError(InvalidInputError, RecordError):
    """A file is damaged, something else than it should be, or larger or stranger than any such file needs to be."""

    code = "unreadable_file"


class DataError(HxloopError):
    """A data set cannot be found, read or downloaded."""

    code = "data"
    exit_code = 2


def _subclasses(base: type[HxloopError]) -> list[type[HxloopError]]:
    return [base, *(leaf for child in base.__subclasses__() for leaf in _subclasses(child))]


def error_from_code(code: str, message: str, *, field: str | None = None, hint: str | None = None) -> HxloopError:
    """Rebuild an error that crossed the wire; an unknown code gives the base class."""
    by_code = {cls.code: cls for cls in _subclasses(HxloopError)}
    return by_code.get(code, HxloopError)(message, field=field, hint=hint)
