"""From times to input spikes on the clock of a chip, in a pass each: every step of a training begins with it."""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

from typing import Final

import numpy as np

from hxloop_host.arithmetic.compiled import compiled

NO_KEY: Final = 2**63 - 1
"""Key of a channel that does not spike: behind all others."""


@compiled
def fill_ticks(times, per_unit, last, ticks):
    """Fill `ticks` [n] with the nearest whole numbers of `per_unit` times `times` [n], inf where these are not finite.

    Those outside of 0..`last` are mirrored there, as often as needed: whole numbers, so this is exact.
    """
    there_and_back = 2.0 * last + 1.0
    for k in range(times.size):
        tick = np.rint(times[k] * per_unit)
        if not np.isfinite(tick):
            tick = np.inf
        elif tick < 0.0 or tick > last:
            within = abs(tick) % there_and_back
            tick = min(within, there_and_back - within)
        ticks[k] = tick


@compiled
def fill_keys(ticks, keys):
    """Fill `keys` [n_samples, n_channels] with time and source as one number each, in any order."""
    n_samples, n_channels = ticks.shape
    for sample in range(n_samples):
        for channel in range(n_channels):
            tick = ticks[sample, channel]
            spikes = tick < np.inf
            keys[sample, channel] = np.int64(tick) * n_channels + channel if spikes else NO_KEY


@compiled
def take_apart(keys, offsets, tick, source):
    """Fill the arrays of a `hxloop.spikes.SpikeBatch` from keys that are sorted within each sample; how many spikes."""
    n_samples, n_channels = keys.shape
    count = 0
    offsets[0] = 0
    for sample in range(n_samples):
        for k in range(n_channels):
            key = keys[sample, k]
            if key == NO_KEY:
                break
            tick[count] = key // n_channels
            source[count] = key - tick[count] * n_channels
            count += 1
        offsets[sample + 1] = count
    return count
