"""Rows, synapses, weights and single events: two-way tables of the responses to single synapses.

A response is the product of what its row, its circuit and its synapse contribute, and of what the event had. So in
logarithms rows and circuits are effects of a two-way table, and what is left is that of the synapse.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop_calibration.characterising import neighbours
from hxloop_calibration.characterising.variances import NONE, Variance, known_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_calibration.characterising.measurements import Measurements

    Floats = NDArray[np.float64]
    Parts = tuple[Variance, Variance]

_HEMISPHERES: Final = 2
_SIGNS: Final = 2
_DEAD: Final = 0.2
_BITS: Final = 6
_WEIGHTS: Final = 3


def responses(m: Measurements) -> list[Floats]:
    """Responses [weights, samples, rows, circuits] of each hemisphere and sign, without what did not respond.

    Even rows are excitatory, odd ones inhibitory; the first half of the circuits is one hemisphere. Events that were
    lost are NaN.
    """
    found = []
    for half in np.split(m["synapses/amplitude_mv_per_us"], _HEMISPHERES, axis=3):
        for sign in range(_SIGNS):
            table = half[:, :, sign::_SIGNS]
            event = np.nanmedian(table, axis=3)
            typical = np.nanmedian(event, axis=(1, 2), keepdims=True)
            live = (event > _DEAD * typical).any(axis=(0, 1))
            arrived = (event > _DEAD * typical)[:, :, live, None]
            table = np.where(arrived, table[:, :, live], np.nan)
            measured = (np.isfinite(table) | ~arrived).all(axis=(0, 1, 2))
            with np.errstate(invalid="ignore"):
                strong = (_mean(table) > _DEAD * typical).all(axis=(0, 1))
            if (measured & strong).sum() > 1 and live.sum() > 1:
                found.append(table[..., measured & strong])
    return found


def _mean(table: Floats) -> Floats:
    """Mean over the samples [..., samples, rows, circuits]."""
    return known_mean(table, -3)


def _relative(table: Floats) -> Floats:
    return np.asarray(table / _mean(table) - 1.0)


def _passed_on(m: Measurements) -> float:
    """Square of what inputs pass on of a small relative difference between responses to the first weight.

    They lose a share of a response that is proportional to it. How much, the mean responses to the first weight and to
    two of half of it tell.
    """
    code = m["synapses/weight_code"].astype(np.float64)
    if len(code) < _WEIGHTS:
        return 1.0
    half = 0.5 * (code[1] + code[2])
    logs = [np.log([np.nanmean(table[0]), np.nanmean(table[1:3])]) for table in responses(m)]
    grown = float(np.mean([whole - part for whole, part in logs])) - math.log(code[0] / half)
    lost = -grown * code[0] / (code[0] - half)  # log(1 - x) - log(1 - x half / code), to first order in x
    return float((1.0 - max(0.0, lost)) ** 2)


def _as_sent(parts: Parts, m: Measurements) -> Parts:
    """Variances of relative responses, as if inputs passed on all of them."""
    passed = _passed_on(m)
    return parts[0] * (1.0 / passed), parts[1] * (1.0 / passed)


def events(m: Measurements) -> Parts:
    """Relative amplitude of an event, which all circuits of a hemisphere have in common."""
    squares, freedom, own = 0.0, 0, []
    for table in responses(m):
        relative = _relative(table[0])
        common = relative.mean(axis=2)
        arrived, rows, circuits = int(np.isfinite(common).sum()), common.shape[1], relative.shape[2]
        squares += float(np.nansum(common**2))
        freedom += arrived - rows
        left = float(np.nansum((relative - common[:, :, None]) ** 2)) / ((arrived - rows) * (circuits - 1))
        own.append(left / circuits)
    return _as_sent((Variance(squares / freedom, freedom), Variance(float(np.mean(own)))), m)


def _left(logs: Floats) -> Floats:
    """What is left of a two-way table [rows, circuits] without the effects of both."""
    rows, circuits = logs.mean(axis=1, keepdims=True), logs.mean(axis=0)
    return np.asarray(logs - rows - circuits + logs.mean())


def _interactions(tables: list[Floats]) -> Variance:
    freedom = sum((t.shape[0] - 1) * (t.shape[1] - 1) for t in tables)
    return Variance(sum(float((_left(t) ** 2).sum()) for t in tables) / freedom, freedom)


def _reading(m: Measurements, weight: int) -> Variance:
    """Variance of the mean over the samples of one synapse, that of reading it; what an event has, all share."""
    squares, freedom, samples = 0.0, 0, 1
    for table in responses(m):
        relative = _relative(table[weight])
        own = relative - relative.mean(axis=2, keepdims=True)
        arrived, (samples, rows, circuits) = int(np.isfinite(own[:, :, 0]).sum()), own.shape
        squares += float(np.nansum(own**2))
        freedom += (arrived - rows) * (circuits - 1)
    return Variance(squares / freedom / samples, freedom)


def _weight_bits(code: int) -> float:
    """Relative variance of a weight whose bit b errs by sqrt(2^b) times a strength of 1."""
    return float(sum(2**b for b in range(_BITS) if code >> b & 1)) / code**2


def synapses(m: Measurements) -> Parts:
    """Relative differences of synapses that neither their row nor their circuit has."""
    gross, noise = _interactions([np.log(_mean(table[0])) for table in responses(m)]), _reading(m, 0)
    if len(m["synapses/weight_code"]) > 2:
        measured, reading, worth = _bits(m)
        noise = noise + (measured - reading) * (_weight_bits(int(m["synapses/weight_code"][0])) / worth)
    return _as_sent((neighbours.without_lines(gross, m), neighbours.without_lines(noise, m)), m)


def rows(m: Measurements) -> Parts:
    """Relative differences of rows, from their means over the circuits."""
    squares, freedom, circuits = 0.0, 0, 1
    for table in responses(m):
        mean = np.log(_mean(table[0])).mean(axis=1)
        squares += float(((mean - mean.mean()) ** 2).sum())
        freedom += len(mean) - 1
        circuits = table.shape[3]
    whole, own = events(m)
    single, reading = synapses(m)
    alike = neighbours.of_rows((single - reading).value, m)
    samples = m["synapses/amplitude_mv_per_us"].shape[1]
    gross, _ = _as_sent((Variance(squares / freedom, freedom), NONE), m)
    return gross, (whole - own) * (1.0 / samples) + single * (1.0 / circuits) + alike


def _bits(m: Measurements) -> tuple[Variance, Variance, float]:
    """Differences of two neighbouring weights without a common bit: measured, of reading, and for a strength of 1."""
    logs = [np.log(_mean(table[1])) - np.log(_mean(table[2])) for table in responses(m)]
    worth = sum(_weight_bits(int(code)) for code in m["synapses/weight_code"][1:])
    return _interactions(logs), _reading(m, 1) + _reading(m, 2), worth


def weight_bits(m: Measurements) -> Parts:
    """Errors of the bits of weight DACs, of a bit that is worth 1."""
    gross, noise, worth = _bits(m)
    return gross * (1.0 / worth), noise * (1.0 / worth)


def dead_rows(m: Measurements) -> tuple[int, int]:
    """Rows, of all that were driven, to which no circuit responds."""
    whole = known_mean(m["synapses/amplitude_mv_per_us"][0])
    by_row = np.concatenate([np.nanmedian(half, axis=1) for half in np.split(whole, _HEMISPHERES, axis=1)])
    return int((~(by_row > _DEAD * np.nanmedian(by_row))).sum()), by_row.size


def lost(m: Measurements) -> tuple[int, int]:
    """Events that did not arrive, of all that were sent."""
    return int(m["events/lost"][0]), int(m["events/sent"][0])
