"""Life of a daemon: one per place, an orderly end, no orphans, files for their owner alone."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from support.chips.fake_chip import SLOW_SEED
from support.daemons.daemon import FAKE_CHIP, ROOT, Daemon
from support.daemons.daemon_cases import (
    CONFIG,
    HASH,
    INPUTS,
    SECOND_PER_RUN,
    ready_client,
    wait_running,
)
from support.daemons.processes import is_running, wait_for
from support.places import PYTHONPATH

from hxloop.protocol.meeting_place import default_connection_file
from hxloop.protocol.messages import DescribeRequest, ShutdownRequest
from hxloop_host.link.launch import connect, launch

pytestmark = pytest.mark.processes


def test_a_second_daemon_refuses():
    """F13: same socket, same connection file, control socket as its own; the first one goes on."""
    with Daemon() as daemon:
        control = f"ipc://{daemon.directory}/s/control.sock"
        for options in (
            [],
            ["--endpoint", "tcp://127.0.0.1:0"],
            ["--endpoint", control, "--connection-file", str(daemon.directory / "second.json")],
        ):
            begun = time.monotonic()
            second = subprocess.run(
                [*daemon.command, *options], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
            )
            assert second.returncode == 2, second.stderr
            assert f"process {daemon.process.pid}" in second.stderr and "Traceback" not in second.stderr
            assert time.monotonic() - begun < 10
        assert ready_client(daemon).run(HASH, INPUTS)[0].reply == "run"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, "shutdown"])
def test_going_down_finishes_the_running_batch(how):
    """F15: the running batch is answered, waiting and new ones are refused, nothing is left behind."""
    with Daemon() as daemon:
        client = ready_client(daemon)
        client.send_run(HASH, INPUTS, trial_seed=SECOND_PER_RUN)
        wait_running(client)
        client.send_run(HASH, INPUTS)
        wait_for(lambda: client.status().queued == 1, 10.0, "the second run to wait")
        worker = client.status().worker_pid
        if how == "shutdown":
            assert client.ask_control(ShutdownRequest()).reply == "shutdown"
        else:
            daemon.process.send_signal(how)
        waiting, _ = client.receive()
        assert (waiting.code, waiting.sequence) == ("shutting_down", client.sequence)
        late, _ = client.run(HASH, INPUTS)
        assert late.code == "shutting_down"
        assert client.ask(DescribeRequest())[0].reply == "describe"
        running, _ = client.receive()
        assert (running.reply, running.sequence) == ("run", client.sequence - 2)
        assert daemon.wait() == 0
        assert not is_running(worker)
        assert not daemon.connection_file.exists()
        assert not list((daemon.directory / "s").glob("*.sock"))
        assert "Traceback" not in daemon.log


def test_ctrl_c_at_the_terminal_does_not_reach_the_worker():
    """The terminal signals the whole process group; the batch is finished all the same."""
    with Daemon() as daemon:
        client = ready_client(daemon)
        client.send_run(HASH, INPUTS, trial_seed=SECOND_PER_RUN)
        wait_running(client)
        os.kill(client.status().worker_pid, signal.SIGINT)
        daemon.process.send_signal(signal.SIGINT)
        assert client.receive()[0].reply == "run"
        assert daemon.wait() == 0
        assert "Traceback" not in daemon.log and "KeyboardInterrupt" not in daemon.log


def test_a_second_signal_ends_at_once():
    with Daemon() as daemon:
        client = ready_client(daemon)
        client.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 60_000)
        wait_running(client)
        worker = client.status().worker_pid
        daemon.process.terminate()
        wait_for(lambda: "going down" in daemon.log, 10.0)
        daemon.process.terminate()
        assert daemon.wait(3) == 0
        assert not is_running(worker)


def test_the_worker_dies_with_its_supervisor():
    """Kill -9 of the supervisor leaves no orphan, even if the worker was stopped."""
    for stopped in (False, True):
        with Daemon() as daemon:
            worker = ready_client(daemon).status().worker_pid
            if stopped:
                os.kill(worker, signal.SIGSTOP)
            daemon.process.kill()
            wait_for(lambda worker=worker: not is_running(worker), 5.0, "the worker to end")


def test_a_daemon_ends_with_the_process_that_started_it():
    """F17: also when that process stays a zombie."""
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with Daemon(options=["--parent-pid", str(parent.pid)]) as daemon:
        client = ready_client(daemon)
        client.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 60_000)
        wait_running(client)
        worker = client.status().worker_pid
        parent.kill()
        assert daemon.wait(5) == 0
        assert not is_running(worker)
    parent.wait()


def test_an_idle_daemon_ends():
    with Daemon(options=["--idle-timeout-s", "0.5"]) as daemon:
        client = ready_client(daemon)
        reply, _ = client.run(HASH, INPUTS, trial_seed=SECOND_PER_RUN)
        assert reply.reply == "run", "a running batch is not idleness"
        assert daemon.wait(5) == 0


def test_stale_files_are_replaced():
    """F21: a daemon that was killed leaves socket, lock and connection file; the next one takes over and says so."""
    with Daemon() as first:
        old = json.loads(first.connection_file.read_text())
        client = ready_client(first)
        first.process.kill()
        first.wait()
        assert first.connection_file.exists() and (first.directory / "s" / "data.sock").exists()
        with Daemon(directory=first.directory) as second:
            new = json.loads(second.connection_file.read_text())
            assert new["endpoint"] == old["endpoint"] and new["boot_id"] != old["boot_id"]
            assert "replaced the socket" in second.log and "replaced the connection file" in second.log
            reply, _ = client.run(HASH, INPUTS)
            assert (reply.code, reply.boot_id) == ("unknown_session", new["boot_id"])
            client.hello()
            assert client.configure(CONFIG).reply == "configure"
            assert client.run(HASH, INPUTS)[0].reply == "run"


def test_something_else_at_the_path_is_left_alone():
    with Daemon() as daemon:
        path = daemon.directory / "precious.txt"
        path.write_text("data")
        other = [*daemon.command, "--endpoint", f"ipc://{path}", "--connection-file", str(daemon.directory / "c2")]
        ended = subprocess.run(other, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        assert ended.returncode == 2 and "not a socket" in ended.stderr
        assert path.read_text() == "data"


def test_sockets_and_files_are_for_their_owner_alone():
    with Daemon() as daemon:
        files = [daemon.directory / "s", daemon.connection_file, *(daemon.directory / "s").iterdir()]
        assert {path.name for path in files} >= {"s", "data.sock", "control.sock", "data.sock.lock"}
        for path in files:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_directory_others_can_write_to_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    command = [sys.executable, "-m", "hxloop_chip", "serve", "--endpoint", f"ipc://{tmp_path}/data.sock"]
    environment = os.environ | {"HXLOOP_RUNTIME_DIR": str(tmp_path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2 and "700" in ended.stderr


def test_long_names_of_folders_and_chips(tmp_path, monkeypatch):
    """Neither the place of temporary files, nor the runtime folder, nor the chip's name must be short."""
    runtime, temporary = (tmp_path / (name * 20) for name in ("runtime", "temporary"))
    runtime.mkdir(mode=0o700)
    temporary.mkdir()
    for name, value in (
        ("HXLOOP_TEST_FAULTS", json.dumps({"chip": FAKE_CHIP})),
        ("PYTHONPATH", PYTHONPATH),
        ("HXLOOP_RUNTIME_DIR", str(runtime)),
        ("TMPDIR", str(temporary)),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", None)
    chip = f"typical[{','.join(f'knob_{k}_fixed=0.5' for k in range(20))}]"
    with launch(chip, 7) as own:
        assert own.identity.serial == 7
    served = subprocess.Popen([sys.executable, "-m", "hxloop_chip", "serve", "--chip", chip], stderr=subprocess.DEVNULL)
    try:
        wait_for(default_connection_file(chip, 1).exists, 10.0, "the connection file")
        with connect(f"{chip}/1") as found:
            assert found.identity.chip == chip
            place = Path(found.address.data.removeprefix("ipc://")).parent
            assert place.is_dir()
    finally:
        served.terminate()
        assert served.wait(10) == 0
    assert not [*runtime.iterdir(), *temporary.iterdir()] and not place.exists()
