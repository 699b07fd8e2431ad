"""What another user of the machine gets of a running daemon and of a training: nothing."""

from __future__ import annotations

import os
import socket

import pytest
from support.daemons.daemon import Daemon
from support.daemons.daemon_cases import HASH, INPUTS, ready_client
from support.places import PYTHONPATH
from support.strangers.second_user import as_second_user, needs_second_user

from hxloop_host.link.own_daemon import Daemon as OwnDaemon

pytestmark = [pytest.mark.processes, needs_second_user]


def attempts(folder, files, sockets):
    """What he tries, and how it ends."""

    def tried(action, *arguments):
        try:
            action(*arguments)
        except OSError as error:
            return type(error).__name__
        return "done"

    def connect(path):
        kind = socket.SOCK_DGRAM if path.name == "stream.sock" else socket.SOCK_STREAM
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect(str(path))

    ends = {f"connect {path.name}": tried(connect, path) for path in sockets}
    for path in files:
        ends[f"read {path.name}"] = tried(path.read_bytes)
        ends[f"write {path.name}"] = tried(path.write_bytes, b"")
        ends[f"remove {path.name}"] = tried(path.unlink)
    ends["list"] = tried(lambda: list(folder.iterdir()))
    ends["plant"] = tried((folder / "planted").touch)
    ends["move"] = tried(folder.rename, folder.with_name("moved"))
    return ends


def test_of_a_daemon_that_serves(square, umask):
    """In a place where everybody may write; what he plants while it runs changes nothing."""
    with Daemon(endpoint=f"ipc://{square}/a/b/data.sock", directory=square) as daemon:
        folder = square / "a" / "b"
        sockets = [folder / f"{name}.sock" for name in ("data", "control", "stream")]
        assert all(path.is_socket() for path in sockets)
        files = [*sockets, *folder.glob("*.lock"), square / "connection.json", square / "connection.json.lock"]
        assert len(files) == 8
        assert not any(path.stat().st_mode & 0o077 for path in (folder, *files))
        ends = as_second_user(attempts, folder, files, sockets)
        assert set(ends.values()) == {"PermissionError"}, ends
        assert ready_client(daemon).run(HASH, INPUTS)[0].reply == "run"


def test_of_a_daemon_of_ones_own(umask, monkeypatch):
    monkeypatch.setattr("hxloop_host.link.own_daemon._EMULATOR", "support.daemons.stub_daemon")
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    daemon = OwnDaemon("fine", 1)
    try:
        folder = daemon.log_file.parent
        ends = as_second_user(attempts, folder, [daemon.log_file, folder / "connection.json"], [])
        assert set(ends.values()) == {"PermissionError"}, ends
        assert folder.stat().st_uid == os.getuid()
    finally:
        daemon.close()
