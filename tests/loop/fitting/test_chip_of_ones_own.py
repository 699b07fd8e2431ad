"""A chip in a file, from measurements to the daemon: the same canonical name wherever a chip is named."""

import json

import numpy as np
import pytest
from support.daemons.processes import run_hxloop

import hxloop
from hxloop.errors import InvalidInputError
from hxloop_calibration.characterising.measurements import Measurements
from hxloop_host.studies.study_request import read_request

NAME = "typical[jitter_trial_us="
CHIP = hxloop.ChipIdentity(chip="ours", serial=3, spec="HICANN-X v3", model="silicon")


@pytest.fixture
def fitted(tmp_path, monkeypatch):
    """Folder with a chip that somebody fitted, its stamps scattered by 0.2 us."""
    monkeypatch.chdir(tmp_path)
    stamps = 5.0 + np.random.default_rng(1).normal(0.0, 0.05, (100, 512))
    Measurements(CHIP, {"noise/stamp_us": stamps}).save("m.h5")
    done = run_hxloop("fit", "m.h5", "--to", "chip.toml", "--picture", "chip.png", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_fit_is_a_chip_everywhere(fitted, tmp_path):
    assert fitted["chip"].startswith(NAME)
    assert (tmp_path / "chip.png").read_bytes().startswith(b"\x89PNG")
    described = json.loads(run_hxloop("chip", "describe", "--chip", "chip.toml", "--json").stdout)
    value = described["imperfections"]["jitter_trial_us"]["value"]
    assert value == pytest.approx(0.05, rel=0.02)
    with hxloop.launch("chip.toml", serial=2, threads=1) as chip:
        assert chip.identity.chip == fitted["chip"]
    assert read_request("mismatch", {"chip": "chip.toml"}).chip == fitted["chip"]


def test_files_are_not_replaced_and_strengths_must_be_known(fitted, tmp_path):
    again = run_hxloop("fit", "m.h5", "--to", "chip.toml")
    assert again.returncode == 2
    assert "--force" in again.stderr
    (tmp_path / "misspelt.toml").write_text('base = "typical"\n[strengths]\njiter_trial_us = 0.1\n')
    refused = run_hxloop("chip", "describe", "--chip", "misspelt.toml")
    assert refused.returncode == 2
    assert "jitter_trial_us" in refused.stderr
    with pytest.raises(InvalidInputError, match="no such file"):
        hxloop.launch("nowhere.toml")
