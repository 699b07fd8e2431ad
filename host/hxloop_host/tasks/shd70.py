"""Spoken digits, English and German, as spikes of 70 channels of a cochlea: speakers 4 and 5 are kept for the test.

The recordings are the 10420 of the Heidelberg Digits, through the cochlea model that made the Spiking Heidelberg
Digits (SHD), with 70 channels where SHD has 700: the same speech, but other draws and another split than SHD's, so
figures of the two do not belong in one column.

References
----------
Cramer, Stradmann, Schemmel, Zenke, "The Heidelberg Spiking Data Sets for the Systematic Evaluation of Spiking Neural
Networks", IEEE TNNLS 33(7), 2744-2757 (2022), doi:10.1109/TNNLS.2020.3044364.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.files.npz import NpzFile
from hxloop.seeds import generator
from hxloop.task import Dataset, SpikeTrains, Split, Task, check_split
from hxloop_host.tasks.published_files import PublishedFiles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FILE: Final = "shd70_from_hd.npz"
FILES: Final = PublishedFiles("shd70", {FILE: "9493b7b97152725b6131a8658a717fa0"}, ())

N_CHANNELS: Final = 70

US_PER_S: Final = 170.0
"""Chip time for a second of speech: 100 reads of the CADC, 1.7 us apart.

Spike times of a host can be scaled as one likes. At the usual 1 us for 1 ms a word would take about 700 us, many times
what membranes (at most 60 us) and synapses (at most 30 us) can remember. So it is played six times as fast: 10 us on
the chip are 59 ms of speech, about a phoneme.
"""
DURATION_US: Final = 170.0
"""What comes later is cut: 1172 of 5936486 spikes, of 260 recordings."""

STRANGERS: Final = (4, 5)
"""Speakers of the test: those that SHD has in its test set only."""
VALIDATION_TRIAL: Final = 9
"""Of the other ten speakers, every word's 10th, 20th, ... trial validates.

So all ten are trained on, as in SHD: speakers differ much, and each helps to understand strangers. Validation is of
known voices, and easier than the test.
"""

N_SAMPLES: Final = (7820, 760, 1840)
CLASS_NAMES: Final = tuple(f"{language} {digit}" for language in ("English", "German") for digit in range(10))
"""Digit + 10 x German, as in SHD."""

_SEED: Final = 0
"""Of the order of samples: in the file they are sorted, here the first ones are of all kinds."""


@cache
def shd70(split: Split, data_dir: Path | None = None) -> Dataset:
    """One split of the spoken digits.

    Parameters
    ----------
    split : {"train", "validation", "test"}
        7820 and 760 recordings of the same ten speakers, 1840 of two others.
    data_dir : Path, optional
        Where the file is looked for first, instead of ``HXLOOP_DATA_DIR``.

    Returns
    -------
    Dataset
        Spike trains of 70 channels, from the highest frequency to the lowest, in chip time.

    Raises
    ------
    InvalidInputError
        No such split.
    DataError
        The file is not there, or another one.
    """
    check_split(split)
    found = _recordings(FILES.path(FILE, data_dir))
    everybody = trains_of(found["offsets"], found["units"], found["ticks"] / float(found["tick_hz"]))
    chosen = np.flatnonzero(split_of(found["speaker"], found["trial"]) == split)
    order = chosen[generator(_SEED, "shd70", "order", split).permutation(len(chosen))]
    label = found["digit"].astype(np.int64) + 10 * found["german"]
    return Dataset.of_trains(everybody.take(order), label[order], CLASS_NAMES)


def split_of(speaker: NDArray[Any], trial: NDArray[Any]) -> NDArray[Any]:
    """Split of recordings, by the numbers of their speakers and trials."""
    known = np.where(trial % 10 == VALIDATION_TRIAL, "validation", "train")
    return np.where(np.isin(speaker, STRANGERS), "test", known)


def trains_of(offsets: NDArray[np.int64], channel: NDArray[Any], time_s: NDArray[np.float64]) -> SpikeTrains:
    """Recordings in speech time as spike trains in chip time, cut at `DURATION_US`.

    Parameters
    ----------
    offsets : int64 [n + 1]
        Recording `k` is ``offsets[k]:offsets[k + 1]``.
    channel : integers [n_spikes]
    time_s : float64 [n_spikes], s
        Sorted in each recording.
    """
    time_us = time_s * US_PER_S
    kept = time_us < DURATION_US
    before = np.concatenate([[0], np.cumsum(kept)])
    return SpikeTrains(before[offsets], channel[kept].astype(np.int32), time_us[kept], N_CHANNELS, DURATION_US)


@cache
def _recordings(path: Path) -> dict[str, NDArray[Any]]:
    file = NpzFile(path, FILE)
    return {
        name: file.read(name)
        for name in ("offsets", "units", "ticks", "tick_hz", "digit", "german", "speaker", "trial")
    }


def shd70_task(data_dir: Path | None = None) -> Task:
    """The task, its file in a folder that the user names."""
    return Task(
        "shd70",
        partial(shd70, data_dir=data_dir),
        N_CHANNELS,
        len(CLASS_NAMES),
        kind="spikes",
        presets=("shd70", "shd70_eventprop"),
        duration_us=DURATION_US,
        ordered_channels=True,
        n_samples=N_SAMPLES,
        notes=("70 channels and a split by speakers: figures are not to be compared with those of SHD (700 channels)",),
        source="Heidelberg Digits through the cochlea model of SHD with 70 channels, held-out speakers",
        licence="CC BY 4.0",
        reference="Cramer, Stradmann, Schemmel, Zenke, IEEE TNNLS 33:2744 (2022), doi:10.1109/TNNLS.2020.3044364",
    )
