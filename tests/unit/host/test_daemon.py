"""Starting, reviving and ending a daemon; a stub stands for the emulator, the processes are real."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import is_running, wait_for, wait_until_gone

import host.daemon
from host.daemon import Daemon
from hxloop.errors import DaemonStartError, InvalidInputError

pytestmark = pytest.mark.processes
TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def stub(monkeypatch, tmp_path):
    monkeypatch.setattr(host.daemon, "_EMULATOR", "support.stub_daemon")
    monkeypatch.setattr(host.daemon, "_GRACE_S", 0.3)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setattr(host.daemon.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def everything_of(daemon: Daemon) -> set[int]:
    """Pids of the daemon and of its worker."""
    return {daemon.pid, int(daemon.connection.boot_id)}


def test_starts_and_ends(stub):
    daemon = Daemon("fine", 3, threads=2, endpoint="tcp://127.0.0.1:0")
    assert daemon.connection.identity.chip == "fine"
    assert daemon.connection.identity.serial == 3
    assert daemon.connection.endpoint == "tcp://127.0.0.1:0"
    (folder,) = stub.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    pids = everything_of(daemon)
    assert all(map(is_running, pids))
    assert daemon.revive(force=False) is None
    daemon.close()
    wait_until_gone(pids)
    assert not list(stub.iterdir())
    daemon.close()


def test_ends_one_that_ignores_sigterm():
    daemon = Daemon("stubborn", 1)
    pids = everything_of(daemon)
    daemon.close()
    wait_until_gone(pids)


def test_starts_again_after_kill_and_leaves_no_orphan():
    daemon = Daemon("fine", 1)
    first = everything_of(daemon)
    os.kill(daemon.pid, signal.SIGKILL)
    wait_for(lambda: not is_running(min(first)) or not is_running(max(first)))
    wait_for(lambda: daemon._process.poll() is not None)
    assert daemon.revive(force=False) is not None
    second = everything_of(daemon)
    assert not first & second
    wait_until_gone(first)
    assert daemon.revive(force=True) is not None
    wait_until_gone(second)
    daemon.close()
    assert daemon.revive(force=True) is None


def test_two_daemons_do_not_meet(stub):
    one, two = Daemon("fine", 1), Daemon("fine", 1)
    assert len(list(stub.iterdir())) == 2
    one.close()
    assert is_running(two.pid)
    two.close()


def test_failure_shows_the_log(stub):
    with pytest.raises(DaemonStartError, match=r"exit code 3.*\n.*out of luck"):
        Daemon("crashing", 1)
    assert not list(stub.iterdir())


def test_refusal_is_the_callers_mistake():
    with pytest.raises(InvalidInputError, match="no chip is called 'unknown'"):
        Daemon("unknown", 1)


def test_never_ready(monkeypatch, stub):
    monkeypatch.setattr(host.daemon, "_START_TIMEOUT_S", 0.0)
    with pytest.raises(DaemonStartError, match="not ready after 0 s"):
        Daemon("fine", 1)
    assert not list(stub.iterdir())


HOST = """
import sys, host.daemon
host.daemon._EMULATOR = "support.stub_daemon"
daemon = host.daemon.Daemon("fine", 1)
print(daemon.pid, daemon.connection.boot_id, flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["", "raise ValueError", "sys.exit(3)", "input()"])
def test_nothing_is_left_when_the_host_ends_without_closing(end):
    process = subprocess.Popen(
        [sys.executable, "-c", HOST.format(end=end)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    pids = {int(text) for text in process.stdout.readline().split()}
    if end == "input()":
        process.send_signal(signal.SIGINT)
    process.wait(10)
    assert len(pids) == 2
    wait_until_gone(pids)
    process.stdin.close()
    process.stdout.close()
