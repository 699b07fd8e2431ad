"""A daemon of one's own: started as a child process in a private folder, started again when it dies, ended with us."""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from hxloop.errors import DaemonStartError, InvalidInputError
from hxloop.files.temporary import TemporaryFolder
from hxloop.kernels.compiling import Compiling
from hxloop.kit.terminal import say
from hxloop.kit.waiting import listener, told_elsewhere
from hxloop.naming.chip_name import in_brief
from hxloop_host.link.discovery import address_of, read_connection_file

if TYPE_CHECKING:
    from pathlib import Path

    from hxloop.protocol.meeting_place import ConnectionFile
    from hxloop_host.link.transport import Address

log = logging.getLogger(__name__)

_EMULATOR = "hxloop_chip"
_SILENCE_S = 180.0  # longer than the daemon lets its worker stand still
_GRACE_S = 5.0
_LOOK_EVERY_S = 0.02
_SAY_EVERY_S = 9.0
_SHOW_AFTER_S = 1.0
_LOG_TAIL_LINES = 20
_DATA, _CONTROL = "data.sock", "control.sock"  # whatever the chip is called, they fit
_WARNING: Final = re.compile(r" (?:WARNING|ERROR) \S+: (.*)")


class Daemon:
    """An emulator process that belongs to this one; an `hxloop_host.link.patience.Owner`.

    Parameters
    ----------
    chip, serial
        Which chip.
    threads : int, optional
        Threads it may use.
    endpoint : str, optional
        Where it shall listen; by default a socket in its private folder.

    Raises
    ------
    DaemonStartError
        It ended, or stood still, while it started; with the tail of its log.
    InvalidInputError
        It refuses chip, serial or endpoint.
    """

    def __init__(self, chip: str, serial: int, *, threads: int | None = None, endpoint: str | None = None) -> None:
        self._name = in_brief(chip, serial)
        self._private = TemporaryFolder(socket=_CONTROL)
        self._folder = self._private.path
        self._owner_pid = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        # -P: whatever Python files lie in the current directory are not the emulator's.
        self._command = [sys.executable, "-P", "-m", _EMULATOR, "serve", "--chip", chip, "--serial", str(serial)]
        self._command += ["--connection-file", str(self._folder / "connection.json")]
        self._command += ["--parent-pid", str(self._owner_pid)]
        self._command += ["--threads", str(threads)] if threads is not None else []
        self._command += ["--endpoint", endpoint or f"ipc://{self._folder / _DATA}"]
        _alive.add(self)
        self._said_s = -math.inf
        self.connection = self._start()

    @property
    def pid(self) -> int | None:
        """Process id, None once it was ended."""
        return self._process.pid if self._process else None

    @property
    def log_file(self) -> Path:
        """Its log, as long as it lives."""
        return self._folder / "daemon.log"

    def revive(self, *, force: bool) -> Address | None:
        """Start it again if it has died, or, with `force`, if it lives but does not answer."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is None and not force:
            self._say_whether_it_compiles()
            return None
        log.warning("chip daemon %s; starting it again", "does not answer" if code is None else f"ended ({code})")
        self._end(grace_s=0.5)
        self.connection = self._start()
        return address_of(self.connection)

    def _say_whether_it_compiles(self) -> None:
        """A run that needs kernels nobody needed before waits for them, perhaps for minutes."""
        found = [state for line in self._growing.new_lines() if (state := Compiling.found_in(line)) is not None]
        if found and time.monotonic() - self._said_s > _SAY_EVERY_S:
            self._said_s = time.monotonic()
            say(f"chip {self._name}: {found[-1]}")

    def close(self) -> None:
        """End it and remove its folder; closing twice, or in a forked child, does nothing."""
        if os.getpid() != self._owner_pid:
            return
        _alive.discard(self)
        self._end(grace_s=_GRACE_S)
        self._private.remove()

    def _start(self) -> ConnectionFile:
        file = self._folder / "connection.json"
        file.unlink(missing_ok=True)
        try:
            with self.log_file.open("ab") as stream:
                # A session of its own: Ctrl-C in the terminal is for the host, which then ends the daemon.
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    env=os.environ | {"HXLOOP_RUNTIME_DIR": str(self._folder)},
                    start_new_session=True,
                )
            with told_elsewhere():
                connection = self._wait_until_ready(self._process, file)
            self._growing = _GrowingLog(self.log_file)  # what was said before has been told
            return connection
        except BaseException:
            self.close()
            raise

    def _wait_until_ready(self, process: subprocess.Popen[bytes], file: Path) -> ConnectionFile:
        """Wait as long as its log says something new; the user is told what."""
        starting = text = f"starting chip {self._name}"
        compiled: Compiling | None = None
        told, growing = listener(), _GrowingLog(self.log_file)
        show_s = time.monotonic() + _SHOW_AFTER_S
        try:
            while time.monotonic() - growing.grown_s < _SILENCE_S:
                if file.exists():
                    if compiled is not None:
                        told.close()
                        say(f"chip {self._name}: kernels compiled in {compiled.elapsed_s:.0f} s")
                    return read_connection_file(file)
                code = process.poll()
                if code is not None:
                    raise self._start_error(code)
                for line in growing.new_lines():
                    if (warning := _WARNING.search(line)) is not None:
                        told.close()
                        say(f"warning: {warning[1]}")
                    elif (state := Compiling.found_in(line)) is not None:
                        if text == starting:
                            told.close()
                            told, show_s = listener(), 0.0  # news is told at once
                        text, compiled = f"{starting}: {state}", state
                if time.monotonic() > show_s:
                    show_s = time.monotonic() + _SHOW_AFTER_S
                    told.show(text)
                time.sleep(_LOOK_EVERY_S)
        finally:
            told.close()
        raise DaemonStartError(
            f"the chip daemon (process {process.pid}) has said nothing for {_SILENCE_S:g} s and is not ready",
            hint=self._try_it(),
            details=self._log_tail(),
        )

    def _try_it(self) -> str:
        return "see what it does: " + shlex.join(self._command[: self._command.index("--connection-file")])

    def _start_error(self, code: int) -> DaemonStartError | InvalidInputError:
        tail = self._log_tail()
        errors = [line for line in tail.splitlines() if line.startswith("error: ")]
        if code == InvalidInputError.exit_code and errors:
            return InvalidInputError(errors[-1].removeprefix("error: "))
        its_log = "is below" if tail else "is empty"
        return DaemonStartError(
            f"the chip daemon ended while starting ({_how_it_ended(code)}); its log {its_log}",
            hint=self._try_it(),
            details=tail,
        )

    def _log_tail(self) -> str:
        try:
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def _end(self, *, grace_s: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_s)
        # Its whole session: a worker that outlives its killed supervisor, or one that ignores the signal.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _GrowingLog:
    """Lines that are added to a log from now on, and when the last one was."""

    def __init__(self, file: Path) -> None:
        self._file, self._read, self._rest = file, file.stat().st_size if file.exists() else 0, b""
        self.grown_s = time.monotonic()

    def new_lines(self) -> list[str]:
        """Whole lines since the last call."""
        if not self._file.exists() or self._file.stat().st_size <= self._read:
            return []
        with self._file.open("rb") as stream:
            stream.seek(self._read)
            content = stream.read()
        self._read, self.grown_s = self._read + len(content), time.monotonic()
        *lines, self._rest = (self._rest + content).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def _how_it_ended(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by signal {-code}: {signal.strsignal(-code)}"


_alive: set[Daemon] = set()


def _close_all() -> None:
    for daemon in list(_alive):
        daemon.close()


atexit.register(_close_all)
