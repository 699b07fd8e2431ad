"""Store and recall: which of two values was there when the store cue came, asked long afterwards.

A sample is a row of steps. In each but the last, one of two groups of inputs is active, value A or value B, drawn
anew in every step. In one of the first steps the store cue is active too: the value there is the answer. In the last
step only the recall cue is. Between them are at least `N_STEPS` - 1 - `N_STORE` steps, 11 time constants of membranes
and synapses of 6 us: those forget the value, and a network without loops needs something slower, like the adaptation
of its neurons. What the other steps show says nothing about the answer.

References
----------
Bellec, Salaj, Subramoney, Legenstein, Maass, NeurIPS 2018 (arXiv:1803.09574), and Bellec et al., Nat. Commun. 11:3625
(2020): the task. Salaj et al., eLife 10:e65459 (2021): adaptation as its memory. Groups, rates and times are of this
module.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from hxloop.seeds import generator
from hxloop.task import Dataset, SpikeTrains, Split, Task, check_split

GROUPS: Final = ("value A", "value B", "store", "recall")
GROUP_SIZE: Final = 20
STEP_US: Final = 13.6
"""Eight reads of the CADC, two usual time constants."""
N_STEPS: Final = 9
N_STORE: Final = 3
"""First steps, one of which has the store cue."""
RATE_PER_US: Final = 0.2
"""Of each input of an active group: three spikes a step on average, 24 of the group within a time constant of 6 us."""
DURATION_US: Final = N_STEPS * STEP_US

SIZES: Final[dict[Split, int]] = {"train": 2000, "validation": 500, "test": 1000}
CLASS_NAMES: Final = ("A", "B")
_SEED: Final = 0


@cache
def store_recall(split: Split) -> Dataset:
    """One split; samples are the same whenever they are asked for.

    Parameters
    ----------
    split : {"train", "validation", "test"}
        2000, 500 and 1000 samples, half of them of each class.

    Raises
    ------
    InvalidInputError
        No such split.
    """
    check_split(split)
    random, n = generator(_SEED, "store_recall", split), SIZES[split]
    label = random.permutation(np.arange(n) % 2)
    stored_at = random.integers(0, N_STORE, n)
    value = random.integers(0, 2, (n, N_STEPS - 1))
    value[np.arange(n), stored_at] = label
    active = np.zeros((n, N_STEPS, len(GROUPS)), np.bool_)
    active[:, :-1, :2] = value[:, :, None] == [0, 1]
    active[np.arange(n), stored_at, 2] = True
    active[:, -1, 3] = True
    expected = np.repeat(active * (RATE_PER_US * STEP_US), GROUP_SIZE, axis=2)
    counts = random.poisson(expected)
    sample, step, channel = (np.repeat(axis, counts.ravel()) for axis in np.indices(counts.shape).reshape(3, -1))
    time_us = (step + random.random(len(step))) * STEP_US
    order = np.lexsort((time_us, sample))
    trains = SpikeTrains.from_arrays(
        sample[order],
        channel[order],
        time_us[order],
        n_samples=n,
        n_channels=len(GROUPS) * GROUP_SIZE,
        duration_us=DURATION_US,
    )
    return Dataset.of_trains(trains, label, CLASS_NAMES)


STORE_RECALL: Final = Task(
    "store_recall",
    store_recall,
    len(GROUPS) * GROUP_SIZE,
    len(CLASS_NAMES),
    kind="spikes",
    presets=("store_recall", "store_recall_eprop"),
    duration_us=DURATION_US,
    n_samples=tuple(SIZES.values()),
    source="generated: the value at the store cue, asked 11 to 16 time constants later",
    licence="MIT",
    reference="Bellec et al., NeurIPS 2018, arXiv:1803.09574; Salaj et al., eLife 10:e65459 (2021)",
)
