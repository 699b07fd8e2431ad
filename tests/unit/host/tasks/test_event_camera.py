"""N-MNIST: recordings of the file, told by plain Python; pooling, bins and splits."""

import os
from pathlib import Path

import numpy as np
import pytest

from hxloop.errors import DataError
from hxloop_host.tasks.catalog import TASKS, find_task
from hxloop_host.tasks.nmnist import nmnist, pooled
from hxloop_host.tasks.published_files import DATA_DIR

FILE = Path(os.environ.get(DATA_DIR, "")) / "nmnist_small" / "nmnist_small.npz"
needs_file = pytest.mark.skipif(not FILE.is_file(), reason=f"the recordings are not in {DATA_DIR}")


def slowly(x, y, time_us):
    """Events of one recording pooled one by one: list of (channel, time on the chip)."""
    seen, kept = set(), []
    for column, row, time in zip(x.tolist(), y.tolist(), time_us.tolist(), strict=True):
        if 1 <= column <= 32 and 1 <= row <= 32:
            channel = (row - 1) // 2 * 16 + (column - 1) // 2
            if (channel, time // 6000) not in seen:
                seen.add((channel, time // 6000))
                kept.append((channel, 1.7 * time / 6000))
    return kept


@needs_file
def test_recordings_are_those_of_the_file():
    with np.load(FILE) as file:
        stored = {name: file[name] for name in file.files}
    offsets = stored["offsets"]
    parts = {split: nmnist(split) for split in ("train", "validation", "test")}
    numbers = {
        "train": [k for k in range(1000) if k % 5 != 4],
        "validation": list(range(4, 1000, 5)),
        "test": list(range(1000, 1100)),
    }
    assert TASKS["nmnist"].n_samples == tuple(data.n_samples for data in parts.values()) == (800, 200, 100)
    for split, data in parts.items():
        assert np.array_equal(data.label, stored["label"][numbers[split]])
        for k in (0, 7, len(numbers[split]) - 1):
            span = slice(*offsets[numbers[split][k] : numbers[split][k] + 2])
            time_us = np.cumsum(stored["dt_us"][span].astype(np.int64))
            expected = slowly(stored["x"][span], stored["y"][span], time_us)
            one = data.trains.take(np.array([k]))
            assert one.channel.tolist() == [channel for channel, _ in expected]
            assert one.time_us.tolist() == pytest.approx([time for _, time in expected])
    assert max(data.trains.latest_us for data in parts.values()) < TASKS["nmnist"].duration_us
    # The published labels of MNIST: digits in its first 1000 training and 100 test images.
    assert np.bincount(stored["label"][:1000]).tolist() == [97, 116, 99, 93, 105, 92, 94, 117, 87, 100]
    assert np.bincount(parts["test"].label).tolist() == [8, 14, 8, 11, 14, 7, 10, 15, 2, 11]


@needs_file
def test_digits_can_be_seen():
    """A class is known by where its mean picture has its events: pixels are where `grid` says."""
    means = np.zeros((10, 256))
    train, test = nmnist("train"), nmnist("test")
    pictures = [
        np.bincount(d.trains.sample * 256 + d.trains.channel, minlength=256 * d.n_samples).reshape(-1, 256)
        for d in (train, test)
    ]
    for k in range(10):
        means[k] = pictures[0][train.label == k].mean(axis=0)
    nearest = ((pictures[1][:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == test.label) > 0.6
    # A zero is an empty ring: less in its middle than around it.
    ring = means[0].reshape(TASKS["nmnist"].grid)
    assert ring[7:9, 7:9].mean() < 0.5 * ring.max()


def test_events_outside_the_pooled_pixels_and_second_ones_of_a_bin_go():
    x, y = np.array([0, 33, 1, 2, 1, 32, 32, 1]), np.array([5, 5, 1, 2, 1, 32, 32, 1])
    # A bin is 6 ms: the fifth event is in the second one of channel 0.
    trains = pooled(np.array([0, 7, 8]), x, y, np.array([0, 0, 1000, 5999, 6000, 6000, 18000, 1000]))
    assert trains.offsets.tolist() == [0, 4, 5]
    assert trains.channel.tolist() == [0, 0, 255, 255, 0]
    assert trains.time_us.tolist() == pytest.approx([1.7 / 6, 1.7, 1.7, 5.1, 1.7 / 6])


def test_a_missing_file_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"nmnist_small\.npz.*offered for download nowhere"):
        find_task("nmnist", tmp_path).loaded("train")
