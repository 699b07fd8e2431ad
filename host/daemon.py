"""A daemon of one's own: started as a child process in a private folder, started again when it dies, ended with us."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from host.connection import address_of, read_connection_file
from hxloop.errors import DaemonStartError, InvalidInputError

if TYPE_CHECKING:
    from host.transport import Address
    from hxloop.connection import ConnectionFile

log = logging.getLogger(__name__)

_EMULATOR = "chip_emulator"
_START_TIMEOUT_S = 300.0
_GRACE_S = 5.0
_LOOK_EVERY_S = 0.02
_LOG_TAIL_LINES = 20


class Daemon:
    """An emulator process that belongs to this one; an `host.patience.Owner`.

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
        It ended, or did not get ready in time; with the tail of its log.
    InvalidInputError
        It refuses chip, serial or endpoint.
    """

    def __init__(self, chip: str, serial: int, *, threads: int | None = None, endpoint: str | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="hxloop-"))
        self._owner_pid = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        # -P: whatever Python files lie in the current directory are not the emulator's.
        self._command = [sys.executable, "-P", "-m", _EMULATOR, "serve", "--chip", chip, "--serial", str(serial)]
        self._command += ["--connection-file", str(self._folder / "connection.json")]
        self._command += ["--parent-pid", str(self._owner_pid)]
        self._command += ["--threads", str(threads)] if threads is not None else []
        self._command += ["--endpoint", endpoint] if endpoint is not None else []
        _alive.add(self)
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
            return None
        log.warning("chip daemon %s; starting it again", "does not answer" if code is None else f"ended ({code})")
        self._end(grace_s=0.5)
        self.connection = self._start()
        return address_of(self.connection)

    def close(self) -> None:
        """End it and remove its folder; closing twice, or in a forked child, does nothing."""
        if os.getpid() != self._owner_pid:
            return
        _alive.discard(self)
        self._end(grace_s=_GRACE_S)
        shutil.rmtree(self._folder, ignore_errors=True)

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
            return self._wait_until_ready(self._process, file)
        except BaseException:
            self.close()
            raise

    def _wait_until_ready(self, process: subprocess.Popen[bytes], file: Path) -> ConnectionFile:
        give_up = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < give_up:
            if file.exists():
                return read_connection_file(file)
            code = process.poll()
            if code is not None:
                raise self._start_error(code)
            time.sleep(_LOOK_EVERY_S)
        raise DaemonStartError(
            f"the chip daemon was not ready after {_START_TIMEOUT_S:g} s; its log ends with:", details=self._log_tail()
        )

    def _start_error(self, code: int) -> DaemonStartError | InvalidInputError:
        tail = self._log_tail()
        errors = [line for line in tail.splitlines() if line.startswith("error: ")]
        if code == InvalidInputError.exit_code and errors:
            return InvalidInputError(errors[-1].removeprefix("error: "))
        return DaemonStartError(
            f"the chip daemon ended while starting (exit code {code}); its log is below",
            hint="command: " + shlex.join(self._command),
            details=tail or "(nothing)",
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


_alive: set[Daemon] = set()


def _close_all() -> None:
    for daemon in list(_alive):
        daemon.close()


atexit.register(_close_all)
