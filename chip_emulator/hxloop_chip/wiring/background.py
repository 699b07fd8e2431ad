"""Background generators: events that the chip makes by itself all through a run."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.errors import LimitExceededError
from hxloop_chip.solver.edges.background_kernel import FULL, SOURCE_BITS, run_generators

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import Background

MAX_EVENTS: Final = 16_000_000
"""Most background events of one call."""


def background_events(
    background: Background, duration_ticks: int, n_samples: int, first_sample: int, key: int | np.uint64
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Events of all generators in some samples of a trial.

    All generators start with each sample; period ``k`` = 1, 2, ... ends at tick ``k * period_ticks``, and that is when
    its event comes, if there is one (phase: assumed). A regular generator spikes in every period, a Poisson generator
    in each with probability ``rate / 256``, independent of all others, so its intervals are geometric. The bits of
    `label_mask` are drawn for each event. A draw is a function of the generator's seed, the trial's key, the sample's
    number and the number of the period only; generators with the same seed draw the same numbers, as equal shift
    registers would.

    Parameters
    ----------
    background : Background
        Generators in use, as the datasheet allows (`hxloop_chip.checks.routes`).
    duration_ticks : int
        Length of every sample; events come before its end.
    n_samples : int
    first_sample : int
        Number of the first sample within the trial.
    key : int
        Of chip and trial, 64 bit.

    Returns
    -------
    offsets : int64 [n_samples + 1]
        Sample ``k`` owns the events ``offsets[k]:offsets[k + 1]``.
    tick : int64 [n_events]
        Sorted within each sample.
    source : int64 [n_events]
        64 x generator + label; events of the same tick are sorted by it.

    Raises
    ------
    LimitExceededError
        More events than `MAX_EVENTS` are to be expected; nothing is allocated then.
    """
    settings = np.column_stack(
        [
            np.asarray(array, np.int64)
            for array in (
                background.generator,
                background.poisson,
                background.period_ticks,
                background.rate,
                background.seed,
                background.label,
                background.label_mask,
            )
        ]
    )
    offsets = np.zeros(n_samples + 1, np.int64)
    if not len(settings) or not n_samples:
        return offsets, np.empty(0, np.int64), np.empty(0, np.int64)
    probability = np.where(background.poisson, background.rate / 256, 1.0)
    expected = float(n_samples * (((duration_ticks - 1) // settings[:, 2]) * probability).sum())
    if expected > MAX_EVENTS:
        raise LimitExceededError(
            f"the background generators make about {expected:.3g} events, at most {MAX_EVENTS} are allowed",
            field="background",
            hint="run fewer or shorter samples, or generators with longer periods",
        )
    capacity = int(expected + 6 * sqrt(expected)) + 64
    count = FULL
    while count == FULL:
        packed = np.empty(capacity, np.int64)
        count = run_generators(settings, duration_ticks, n_samples, first_sample, np.uint64(key), packed, offsets)
        capacity *= 2
    return offsets, packed[:count] >> SOURCE_BITS, packed[:count] & ((1 << SOURCE_BITS) - 1)
