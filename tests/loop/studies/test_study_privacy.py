"""Workers of a study run functions: for the study, and for nobody else."""

import json
import os
import re
import subprocess
import sys

import pytest
from support.daemons.processes import descendants, listening_ports, run_hxloop, start_hxloop, wait_for, write_settings
from support.daemons.schedulers import scheduler
from support.places import TESTS

from hxloop.errors import InvalidInputError

pytestmark = pytest.mark.processes

INTRUDER = TESTS / "support" / "strangers" / "intruder.py"
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
def unprotected(tmp_path):
    """Ports of a scheduler and a worker as `distributed` starts them; an attack that is one takes them both."""
    with scheduler(tmp_path, n_workers=1, of_workers=("--no-nanny", "--nthreads", "1")) as (address, (worker,)):
        wait_for(lambda: listening_ports({worker.pid}), what="the worker")
        yield int(address.rpartition(":")[2]), *listening_ports({worker.pid})


def test_another_user_gets_nothing_from_any_port_of_a_study(training, unprotected, tmp_path):
    process = start_hxloop(
        "study", "grid", "--training", training, "--serials", "1..2", "--workers", 2, "--out", tmp_path / "out"
    )
    user = NOBODY if os.getuid() == 0 else os.getuid()
    try:
        wait_for(lambda: list(tmp_path.glob("out/points/*/run/journal.jsonl")), 200.0, "a training")
        ports = listening_ports({process.pid} | descendants(process.pid))
        attack = [sys.executable, str(INTRUDER), str(user), *map(str, [*unprotected, *ports])]
        found = json.loads(subprocess.run(attack, capture_output=True, check=True, timeout=100).stdout)
        took = [" ".join(found.pop(str(port))) for port in unprotected]
        assert "_client" in took[0]
        assert any("_told_to_run" in answers for answers in took[1:])
        assert len(ports) >= 3  # a scheduler and two workers
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
    ours = r"loading |asking |starting chip |Grid of one's own: |\d of 2 points|making the figure|"
    ours += "reading |measuring |planning "
    assert [line for line in done.stderr.splitlines() if not re.match(ours, line)] == []


def test_the_command_line_asks_for_tls_too(tmp_path):
    refused = run_hxloop("study", "grid", "--scheduler", "tcp://127.0.0.1:9", "--out", tmp_path / "out")
    assert refused.returncode == InvalidInputError.exit_code
    assert "--insecure" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "out").exists()
