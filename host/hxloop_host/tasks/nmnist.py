"""Handwritten digits as an event camera saw them: the first recordings of N-MNIST, pooled to 16 x 16 pixels.

The camera's 34 x 34 pixels of two polarities are more inputs than the chip has rows. Here the outermost pixels are
left out, 2 x 2 are one, and both polarities are one event: a moving edge, whichever way the light changes.

References
----------
Orchard, Jayawant, Cohen, Thakor, "Converting static image datasets to spiking neuromorphic datasets using saccades",
Front. Neurosci. 9:437 (2015).
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.files.npz import NpzFile
from hxloop.rule import CADC_PERIOD_US
from hxloop.task import Dataset, SpikeTrains, Split, Task, check_split
from hxloop_host.tasks.published_files import PublishedFiles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FILE: Final = "nmnist_small.npz"
FILES: Final = PublishedFiles("nmnist_small", {FILE: "5294f3eb77137f3674d2ed90533db0d3"}, ())

SIDE: Final = 16
MARGIN: Final = 1
"""Pixels left out on each side: 0.4 % of the events."""

READ_MS: Final = 6
READ_US: Final = CADC_PERIOD_US
"""Six milliseconds of the camera are one read of the CADC on the chip. The three saccades take 100 ms each; at 28 us
each of them is a few time constants of the chip's neurons, and a recording (at most 336 ms) is about as long as the
longest they can have. Of the events of a pooled pixel within one read only the first is kept, for nothing tells them
apart and they are many: of 4090 events a recording has, 1730 are left."""
N_READS: Final = 57
DURATION_US: Final = N_READS * READ_US
"""Longer than any recording: nothing is cut."""

N_TRAIN: Final = 1000
"""Recordings of the training set, the first ones of the file; the rest are the test set."""
VALIDATE_EVERY: Final = 5
"""Every fifth of them validates."""
N_SAMPLES: Final = (800, 200, 100)
CLASS_NAMES: Final = tuple("0123456789")


@cache
def nmnist(split: Split, data_dir: Path | None = None) -> Dataset:
    """One split of the event recordings.

    Parameters
    ----------
    split : {"train", "validation", "test"}
        800, 200 and 100 recordings.
    data_dir : Path, optional
        Where the file is looked for first, instead of ``HXLOOP_DATA_DIR``.

    Returns
    -------
    Dataset
        Spike trains of 256 pixels, row by row, in chip time.

    Raises
    ------
    InvalidInputError
        No such split.
    DataError
        The file is not there, or another one.
    """
    check_split(split)
    found, label = _recordings(FILES.path(FILE, data_dir))
    number = np.arange(found.n_samples)
    validates = number % VALIDATE_EVERY == VALIDATE_EVERY - 1
    learns = number < N_TRAIN
    parts = {"train": learns & ~validates, "validation": learns & validates, "test": ~learns}
    chosen = np.flatnonzero(parts[split])
    return Dataset.of_trains(found.take(chosen), label[chosen], CLASS_NAMES)


@cache
def _recordings(path: Path) -> tuple[SpikeTrains, NDArray[np.int64]]:
    file = NpzFile(path, FILE)
    x, y, steps_us, offsets = (file.read(name) for name in ("x", "y", "dt_us", "offsets"))
    passed = np.concatenate([[0], np.cumsum(steps_us, dtype=np.int64)])
    time_us = passed[1:] - np.repeat(passed[offsets[:-1]], np.diff(offsets))
    return pooled(offsets, x, y, time_us), file.read("label").astype(np.int64)


def pooled(offsets: NDArray[np.int64], x: NDArray[Any], y: NDArray[Any], camera_us: NDArray[np.int64]) -> SpikeTrains:
    """Events of the camera as spike trains of pooled pixels.

    Parameters
    ----------
    offsets : int64 [n + 1]
        Recording `k` is ``offsets[k]:offsets[k + 1]``.
    x, y : uint8 [n_events]
        Column and row of the camera, 0..33.
    camera_us : int64 [n_events], us
        Time of the camera, sorted in each recording.
    """
    sample = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    column, row = ((axis.astype(np.int64) - MARGIN) // 2 for axis in (x, y))
    read = camera_us // (1000 * READ_MS)
    inside = np.flatnonzero((column >= 0) & (column < SIDE) & (row >= 0) & (row < SIDE) & (read < N_READS))
    channel = (row * SIDE + column)[inside]
    place = (sample[inside] * SIDE**2 + channel) * N_READS + read[inside]
    first = np.sort(np.unique(place, return_index=True)[1])
    kept = inside[first]
    counts = np.bincount(sample[kept], minlength=len(offsets) - 1)
    return SpikeTrains(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        channel[first].astype(np.int32),
        np.asarray(camera_us[kept] * (READ_US / (1000 * READ_MS)), np.float64),
        SIDE**2,
        DURATION_US,
    )


def nmnist_task(data_dir: Path | None = None) -> Task:
    """The task, its file in a folder that the user names."""
    return Task(
        "nmnist",
        partial(nmnist, data_dir=data_dir),
        SIDE**2,
        len(CLASS_NAMES),
        kind="spikes",
        presets=("nmnist",),
        duration_us=DURATION_US,
        grid=(SIDE, SIDE),
        n_samples=N_SAMPLES,
        notes=("the first 1000 + 100 recordings of N-MNIST only; with 100 for the test a recording is a per cent",),
        source="N-MNIST, first 1000 training and 100 test recordings, pooled to 16 x 16 pixels",
        licence="CC BY-SA 4.0",
        reference="Orchard, Jayawant, Cohen, Thakor, Front. Neurosci. 9:437 (2015)",
    )
