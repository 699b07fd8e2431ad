"""Workers of a study run functions: for the study, and for nobody else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import descendants, listening_ports, run_hxloop, start_hxloop, wait_for, write_settings

from hxloop.errors import InvalidInputError

pytestmark = pytest.mark.processes

INTRUDER = Path(__file__).parents[1] / "support" / "intruder.py"
NOBODY = 65534
SCRIPT = """
import hxloop

table = hxloop.study("grid", training={training!r}, serials="1..2", out={out!r}, workers=2)
print(list(table["status"]))
"""


@pytest.fixture
def training(tmp_path):
    return write_settings(tmp_path / "tiny.toml", epochs=5000, train=400)


@pytest.fixture
def plain_scheduler(tmp_path):
    """Port of a scheduler as `distributed` starts it, which any attack must take: the attack is known to be one."""
    file = tmp_path / "scheduler.json"
    command = [Path(sys.executable).with_name("dask"), "scheduler", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--no-dashboard", "--scheduler-file", str(file)], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: file.exists() and file.read_text().endswith("}"), what="the scheduler")
        yield int(json.loads(file.read_text())["address"].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(30)


def test_another_user_gets_nothing_from_any_port_of_a_study(training, plain_scheduler, tmp_path):
    process = start_hxloop(
        "study", "grid", "--training", training, "--serials", "1..2", "--workers", 2, "--out", tmp_path / "out"
    )
    try:
        wait_for(lambda: list(tmp_path.glob("out/points/*/run/journal.jsonl")), what="a training")
        family = {process.pid} | descendants(process.pid)
        ports = listening_ports(family)
        assert len(ports) >= 3  # a scheduler and two workers
        user = NOBODY if os.getuid() == 0 else os.getuid()
        attack = [sys.executable, str(INTRUDER), str(user), str(plain_scheduler), *map(str, ports)]
        found = json.loads(subprocess.run(attack, capture_output=True, check=True, timeout=100).stdout)
        assert found.pop(str(plain_scheduler))
        assert found == {str(port): [] for port in ports}
        assert process.poll() is None
    finally:
        process.terminate()
        process.communicate(timeout=60)
    if user != NOBODY:
        pytest.skip("tried as the same user without the key; only root can try as another user")


@pytest.mark.parametrize("how", ["file", "stdin"])
def test_a_script_needs_no_main_guard_and_its_workers_make_no_noise(how, tmp_path):
    training = write_settings(tmp_path / "tiny.toml", epochs=1, train=100)
    script = SCRIPT.format(training=str(training), out=str(tmp_path / "out"))
    (tmp_path / "script.py").write_text(script)
    asked = {"args": [sys.executable, "-"], "input": script} if how == "stdin" else {
        "args": [sys.executable, str(tmp_path / "script.py")]
    }  # fmt: skip
    done = subprocess.run(**asked, capture_output=True, text=True, timeout=200, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "['done', 'done']\n"
    assert len(done.stderr.splitlines()) <= 4, done.stderr


def test_the_command_line_asks_for_tls_too(tmp_path):
    refused = run_hxloop("study", "grid", "--scheduler", "tcp://127.0.0.1:9", "--out", tmp_path / "out")
    assert refused.returncode == InvalidInputError.exit_code
    assert "--insecure" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "out").exists()
