"""How a program begins and ends: its streams, its errors, its exit code."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

import typer
from typer.core import TyperGroup

from hxloop.errors import HxloopError, InvalidInputError
from hxloop.kit.terminal import say, say_error
from hxloop.kit.waiting import doing
from hxloop.text import many_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
_QUICK: Final = frozenset({"-h", "--help", "--version"})
_BROKEN_PIPE: Final = 141  # 128 + SIGPIPE


class Group(TyperGroup):
    """Errors raised on purpose, and those of the file system, become one line and an exit code, never a traceback."""

    _has_empty = False

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **named: Any) -> Any:
        """Read the arguments."""
        self._has_empty = "" in args
        with _escaped_usage_errors():
            return super().make_context(info_name, args, *more, **named)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with _escaped_usage_errors():
                if self._has_empty:  # a variable of the shell that is not set; as a path it would be the current folder
                    raise InvalidInputError("an argument is empty", hint="leave it out, or write what it shall be")
                return super().invoke(ctx)
        except HxloopError as error:
            error.field = self._as_typed(ctx, error.field)
            say_error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(_INTERRUPTED) from None
        except OSError as error:
            say_error(HxloopError(str(error)))
            raise typer.Exit(1) from None

    def _as_typed(self, ctx: Any, field: str | None) -> str | None:
        """An option that is another word in Python is called as it is here."""
        command = self.get_command(ctx, ctx.invoked_subcommand) if ctx.invoked_subcommand else None
        for parameter in getattr(command, "params", ()):
            option = parameter.opts[0]
            if parameter.name == field and option.startswith("--") and option != f"--{field}".replace("_", "-"):
                return str(option)
        return field


def tidied(command: Any) -> Any:
    """A command whose help reads well on a terminal of any width, and all commands in it.

    Paragraphs are broken where the terminal ends, not where the lines of the source do; indented lines (examples) stay.
    """
    if command.help:
        blocks = (block.split("\n") for block in command.help.split("\n\n"))
        command.help = "\n\n".join(
            "\n".join(lines) if any(line.startswith(" ") for line in lines) else " ".join(lines) for lines in blocks
        )
    for inner in getattr(command, "commands", {}).values():
        tidied(inner)
    return command


@contextmanager
def _escaped_usage_errors() -> Iterator[None]:
    """What is wrong with the arguments is said with the arguments."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "message"):  # all errors of usage, whoever defines them
            error.message = many_lines(error.message)
        raise


class _Unfailing(io.FileIO):
    """A descriptor to write to. A failure (full disk, nobody who reads) is remembered, and ends no work."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, or throw away."""
        if self.failure is None:
            try:
                return super().write(data) or 0  # 0: not ready yet, asked again
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes


def run_program(app: typer.Typer, name: str) -> NoReturn:
    """Run the commands of a program and end the process.

    A stream that was closed before counts as ``/dev/null``. Characters that its encoding does not have are escaped.
    The exit code is that of the command; where stdout failed, 141 if nobody reads it any more, else 1. Told to end
    (SIGTERM), or when its terminal is closed, the program puts its things in order first: 143 and 129.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # not for nohup
            signal.signal(number, _end_in_order)
    sys.stdin = sys.stdin or os.fdopen(_null(), encoding="utf-8")
    sys.stdout, result = _unfailing(sys.stdout, 1)
    sys.stderr, _ = _unfailing(sys.stderr, 2)
    code: Any = 0
    try:
        command = " ".join([name, *sys.argv[1:]])
        is_help = not _QUICK.isdisjoint(sys.argv)
        with nullcontext() if is_help else doing(f"{command}: getting ready", f"{command}: at work"):
            app(prog_name=name)
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    if result.failure is not None and not code:
        code = _BROKEN_PIPE if result.failure.errno == errno.EPIPE else 1
        if code == 1:
            say_error(HxloopError(f"cannot write the result: {result.failure.strerror}", field="stdout"))
    sys.exit(code)


def _end_in_order(number: int, _frame: object) -> NoReturn:
    """End as after Ctrl-C: daemons and temporary folders with the program. The same signal again ends it at once."""
    signal.signal(number, signal.SIG_DFL)
    sys.exit(128 + number)


def _unfailing(stream: TextIO | None, number: int) -> tuple[TextIO, _Unfailing]:
    """The same stream, that does not fail; `number` is its descriptor."""
    raw = _Unfailing(_null() if stream is None else number, "w", closefd=False)
    encoding = "utf-8" if stream is None else stream.encoding
    if stream is not None:
        with suppress(OSError):
            stream.flush()
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer, encoding, errors="backslashreplace", line_buffering=raw.isatty() or number == 2
    ), raw


def _null() -> int:
    """Open ``/dev/null``: the lowest free descriptor, so the one that is missing; children inherit it."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    os.set_inheritable(descriptor, True)
    return descriptor
