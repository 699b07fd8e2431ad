"""Starting, reviving and ending a daemon; a stub stands for the emulator, the processes are real."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.daemons.processes import is_running, wait_for, wait_until_gone
from support.places import ALONE_PYTHONPATH

import hxloop_host.link.own_daemon
from hxloop.errors import DaemonStartError, InvalidInputError
from hxloop_host.link.own_daemon import Daemon

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    """The folder that holds the daemons' private folders; its name is short enough for sockets."""
    monkeypatch.setattr(hxloop_host.link.own_daemon, "_EMULATOR", "support.daemons.stub_daemon")
    monkeypatch.setattr(hxloop_host.link.own_daemon, "_GRACE_S", 0.3)
    monkeypatch.setenv("PYTHONPATH", ALONE_PYTHONPATH)
    with tempfile.TemporaryDirectory(prefix="h-") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def shown(monkeypatch):
    """What the user was shown while a daemon started."""
    texts = []

    class Listener:
        def show(self, text):
            texts.append(text)

        def close(self):
            texts.append("")

    monkeypatch.setattr(hxloop_host.link.own_daemon, "_SHOW_AFTER_S", 0.1)
    monkeypatch.setattr(hxloop_host.link.own_daemon, "listener", Listener)
    return texts


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


def test_an_end_without_a_word_is_explained():
    with pytest.raises(DaemonStartError, match=r"killed by signal 9: Killed.*its log is empty.*-m support") as raised:
        Daemon("killed", 1)
    assert raised.value.details == ""


def test_one_that_says_nothing_is_given_up(monkeypatch, stub):
    monkeypatch.setattr(hxloop_host.link.own_daemon, "_SILENCE_S", 0.5)
    with pytest.raises(DaemonStartError, match=r"process \d+.* has said nothing for 0.5 s.*serve --chip silent"):
        Daemon("silent", 1)
    assert not list(stub.iterdir())


def test_one_that_goes_on_compiling_is_waited_for_and_shown(monkeypatch, shown, capsys):
    """Longer than any pause it may make: progress decides, not time."""
    monkeypatch.setattr(hxloop_host.link.own_daemon, "_SILENCE_S", 1.5)
    daemon = Daemon("compiling", 1)
    daemon.close()
    assert shown[0].startswith("starting chip compiling/1")
    assert any("compiling kernels, only once: 7 of at most 10" in text for text in shown)
    assert shown[-1] == ""
    said = capsys.readouterr().err
    assert "warning: no place for kernels" in said
    assert re.search(r"chip compiling/1: kernels compiled in \d+ s", said)


def test_a_start_that_takes_no_time_shows_nothing(monkeypatch, shown):
    monkeypatch.setattr(hxloop_host.link.own_daemon, "_SHOW_AFTER_S", 100.0)
    Daemon("fine", 1).close()
    assert not any(shown)


def test_the_folder_of_a_killed_host_is_removed_by_the_next(stub):
    process = subprocess.Popen([sys.executable, "-c", HOST.format(end="input()")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    pids = {int(text) for text in process.stdout.readline().split()}
    (left,) = stub.iterdir()
    process.kill()
    process.wait()
    for pid in pids:  # the real emulator notices by itself
        os.kill(pid, signal.SIGKILL)
    assert left.exists()
    Daemon("fine", 1).close()
    assert not list(stub.iterdir())
    process.stdin.close()
    process.stdout.close()


HOST = """
import sys, hxloop_host.link.own_daemon
hxloop_host.link.own_daemon._EMULATOR = "support.daemons.stub_daemon"
daemon = hxloop_host.link.own_daemon.Daemon("fine", 1)
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


def test_who_waits_for_a_run_hears_that_it_waits_for_kernels(capsys):
    """Once, and then not for a while; of what was compiled before, nothing."""
    daemon = Daemon("fine", 3)
    with daemon.log_file.open("a") as log:
        log.write("something else\ncompiling kernels, only once: 3 of at most 107, 1 s\n")
        log.write("compiling kernels, only once: 5 of at most 107, 2 s\n")
    assert daemon.revive(force=False) is None
    with daemon.log_file.open("a") as log:
        log.write("compiling kernels, only once: 6 of at most 107, 3 s\n")
    assert daemon.revive(force=False) is None
    daemon.close()
    told = capsys.readouterr().err
    assert told.count("chip fine/3: compiling kernels, only once: 5 of at most 107, 2 s") == 1
    assert "3 of at most" not in told and "6 of at most" not in told
