"""Spoken digits: the recordings of the file, told by numpy; speakers apart; time on the chip."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from hxloop.errors import DataError, InvalidInputError
from hxloop_host.tasks.catalog import TASKS, find_task
from hxloop_host.tasks.published_files import DATA_DIR
from hxloop_host.tasks.shd70 import DURATION_US, shd70, trains_of

SPLITS = ("train", "validation", "test")

FILE = Path(os.environ.get(DATA_DIR, "")) / "shd70" / "shd70_from_hd.npz"
needs_file = pytest.mark.skipif(not FILE.is_file(), reason=f"the recordings are not in {DATA_DIR}")


@pytest.fixture(scope="module")
def stored():
    with np.load(FILE) as file:
        return {name: file[name] for name in file.files}


@needs_file
def test_every_recording_is_in_the_split_of_its_speaker(stored):
    assert len(stored["speaker"]) == 10420
    # 900 + 940 recordings, as published for the speakers that are in SHD's test set only.
    sizes = np.bincount(stored["speaker"])
    assert [sizes[4], sizes[5]] == [900, 940]
    strangers, tenth = np.isin(stored["speaker"], [4, 5]), stored["trial"] % 10 == 9
    parts = {"train": ~strangers & ~tenth, "validation": ~strangers & tenth, "test": strangers}
    counts = np.diff(stored["offsets"])
    for split, mine in parts.items():
        data = shd70(split)
        label = stored["digit"].astype(int) + 10 * stored["german"]
        assert np.array_equal(np.bincount(data.label, minlength=20), np.bincount(label[mine], minlength=20))
        # A recording is known by its class and its number of spikes, but for those that were cut.
        last_s = stored["ticks"][stored["offsets"][1:] - 1] / 24000
        whole = mine & (last_s < 1.0)
        theirs = sorted(zip(label[whole].tolist(), counts[whole].tolist(), strict=True))
        found = sorted(zip(data.label.tolist(), np.diff(data.trains.offsets).tolist(), strict=True))
        missing = len(found) - len(theirs)
        assert missing == (mine & (last_s >= 1.0)).sum()
        assert len(set(theirs) - set(found)) == 0
    assert TASKS["shd70"].n_samples == tuple(shd70(split).n_samples for split in parts)


@needs_file
def test_spikes_are_those_of_the_file_six_times_as_fast_and_cut_at_one_second(stored):
    total = sum(shd70(split).trains.n_spikes for split in SPLITS)
    late = stored["ticks"] >= 24000
    assert late.sum() == 1172 and total == len(late) - 1172
    assert np.count_nonzero(np.logical_or.reduceat(late, stored["offsets"][:-1])) == 260
    trains = shd70("test").trains
    assert trains.latest_us < DURATION_US == 170.0
    per_channel = np.zeros(70, int)
    for split in SPLITS:
        per_channel += np.bincount(shd70(split).trains.channel, minlength=70)
    assert np.array_equal(per_channel, np.bincount(stored["units"][~late], minlength=70))
    # All spikes of one recording, found by its number of spikes and its first tick.
    sizes, first = np.diff(stored["offsets"]), stored["ticks"][stored["offsets"][:-1]]
    one = trains.take(np.array([17]))
    candidates = np.flatnonzero(
        (sizes == one.n_spikes) & np.isin(stored["speaker"], [4, 5]) & np.isclose(first / 24000 * 170, one.time_us[0])
    )
    spans = [slice(*stored["offsets"][k : k + 2]) for k in candidates]
    assert any(
        np.array_equal(stored["units"][span], one.channel)
        and np.allclose(stored["ticks"][span] / 24000 * 170, one.time_us)
        for span in spans
    )


@needs_file
def test_samples_come_in_an_order_that_is_always_the_same_and_mixes_speakers():
    label = shd70("train").label
    assert np.unique(label[:200]).size == 20
    assert hashlib.sha256(label.astype("<i8").tobytes()).hexdigest()[:12] == "729bc9e6955c"


def test_what_comes_after_a_second_is_cut():
    trains = trains_of(np.array([0, 3, 3, 5]), np.array([69, 0, 5, 7, 7]), np.array([0.0, 0.5, 1.0, 0.25, 1.3]))
    assert trains.offsets.tolist() == [0, 2, 2, 3]
    assert trains.channel.tolist() == [69, 0, 7]
    assert trains.time_us.tolist() == pytest.approx([0.0, 85.0, 42.5])


def test_missing_and_other_files_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"shd70_from_hd\.npz.*offered for download nowhere.*shd70/shd70_from_hd"):
        find_task("shd70", tmp_path).loaded("train")
    (tmp_path / "shd70").mkdir()
    (tmp_path / "shd70" / "shd70_from_hd.npz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"damaged or another version.*\(replace the file\)"):
        find_task("shd70", tmp_path).loaded("train")
    with pytest.raises(InvalidInputError, match="no split 'dev'"):
        shd70("dev")
