"""Compiled loops that find which neurons are active at which readings, before a sparse backward pass begins."""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import numpy as np

from hxloop_host.arithmetic.compiled import compiled
from hxloop_host.readings.kernels import padded


@compiled
def find_active(v, per_threshold, counts, spiking, limits, from_limit, found, begins):
    """Find the neurons that are looked at at each reading, and where each neuron's begin if put neuron by neuron.

    `spiking` is 1 where a neuron can spike, and 0; neuron n's limit at reading k is `limits[from_limit[k] + n]`.
    """
    n_reads, n_neurons = v.shape
    one = spiking.dtype.type(1)
    near, number = np.zeros(padded(n_neurons, 64), np.uint8), 0
    words, begins[:] = near.view(np.uint64), 0
    one_bit, byte, shift = np.uint64(1), np.uint64(8), np.uint64(58)
    to_bits, spread = np.uint64(0x0102040810204080), np.uint64(0x03F79D71B4CB0A89)
    which = np.empty(64, np.int32)  # number of the only bit that is set, by its product with `spread`
    for bit in range(64):
        which[((one_bit << np.uint64(bit)) * spread) >> shift] = bit
    for k in range(n_reads):
        mine, spiked, limit = v[k], counts[k], limits[from_limit[k] : from_limit[k] + n_neurons]
        for n in range(n_neurons):
            near[n] = (abs(mine[n] * per_threshold[n] - one) < spiking[n] * limit[n]) | (
                (spiked[n] > 0) & (spiking[n] > 0)
            )
        found[0][k] = number
        for begin in range(0, words.size, 8):
            bits = np.uint64(0)
            for word in range(8):
                bits |= ((words[begin + word] * to_bits) >> np.uint64(56)) << (byte * np.uint64(word))
            while bits != 0:  # one step for each that is looked at, none for others
                rest = bits & (bits - one_bit)
                found[1][number] = 8 * begin + which[((bits ^ rest) * spread) >> shift]
                number += 1
                bits = rest
    found[0][n_reads] = number
    for a in range(number):
        begins[found[1][a] + 1] += 1
    for n in range(n_neurons):
        begins[n + 1] += begins[n]


@compiled
def ranges_of(carried, found):
    """First of each range of carried neurons, and one past its last; returns their number."""
    number = 0
    for n in range(carried.size):
        if carried[n] and (n == 0 or not carried[n - 1]):
            found[number, 0] = n
        if carried[n] and (n + 1 == carried.size or not carried[n + 1]):
            found[number, 1] = n + 1
            number += 1
    return number
