"""Compiling the kernels that every training needs, whatever its rule, or loading them."""

from __future__ import annotations

import numpy as np

from hxloop_host.arithmetic.distances import fill_distances, fill_smallest, set_own, take_mean
from hxloop_host.arithmetic.input_clock import fill_keys, fill_ticks, take_apart
from hxloop_host.arithmetic.moments import largest, move_moments, sum_of_squares
from hxloop_host.arithmetic.rounding import fill_codes, fill_first_ticks, fill_weights, split_signs


def warm_up() -> None:
    """A number to the clock and to a code and back, its loss, and a step of the optimiser."""
    one, code, place = np.ones(1), np.zeros(1, np.int8), np.zeros(1, np.int64)
    times, ticks, first_ticks = np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1), np.uint32)
    fill_ticks(one, 1.0, 1, one)
    keys = np.zeros((1, 1), np.int64)
    fill_keys(ticks, keys)
    take_apart(keys, np.zeros(2, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int32))
    fill_codes(one, one, one, 1.0, 1, code)
    fill_weights(code, 1.0, one)
    split_signs(code, 1, np.zeros((2, 1), np.int8))
    fill_first_ticks(first_ticks, 0, 0, times)
    fill_distances(times, place, 1.0, ticks)
    set_own(place, one, ticks)
    take_mean(times, place, 1.0, one, ticks)
    fill_smallest(times, place)
    move_moments(one, one.copy(), one.copy(), 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, one.copy())
    sum_of_squares(one, largest(one))
