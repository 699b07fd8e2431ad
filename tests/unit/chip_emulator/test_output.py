"""What the emulator's own commands print and write: as those of the host do."""

import subprocess
import sys

import pytest
from support.said import said

from hxloop.errors import InvalidInputError
from hxloop_chip.report import write_report
from hxloop_chip.truth import write_truth


def test_pages_and_truths_of_chips_follow_the_same_rule(tmp_path):
    (tmp_path / "o.html").write_text("mine")
    for write in (
        lambda: write_report("typical", [1], tmp_path / "o.html"),
        lambda: write_truth("typical", 1, tmp_path / "o.html"),
    ):
        with pytest.raises(InvalidInputError, match="--force to replace"):
            write()
    with pytest.raises(InvalidInputError, match="no directory"):
        write_truth("typical", 1, tmp_path / "none" / "t.h5", force=True)


def test_the_daemon_uses_it():
    command = f'set -o pipefail; "{sys.executable}" -m hxloop_chip describe --sources | head -c 10'
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert done.returncode in {0, 141}  # 0: all of it was in the pipe before its end was closed
    assert said(done.stderr.decode()) == []


def test_the_chip_is_named_whole_where_it_is_described():
    chip = "typical[jitter_trial_us=0,threshold_trial_mv=0]"
    command = [sys.executable, "-m", "hxloop_chip", "describe", "--chip", chip]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert f"{chip}/1: datasheet" in done.stdout
    hostile = [*command[:-1], "typical[x=\x1b[2J\nforged]"]
    done = subprocess.run(hostile, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = said(done.stderr)
    assert line.isprintable()
