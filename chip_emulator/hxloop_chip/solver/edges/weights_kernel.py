"""From weight codes to current steps and to rows of weights, in a pass each: every step of a training writes them."""

import numpy as np
from numba import types

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import compiled_for

_LONGS = types.Array(types.int64, 1, "C", readonly=True)
_RANGES = types.Array(types.int64, 2, "C", readonly=True)
_BYTES = types.Array(types.int8, 1, "C", readonly=True)
_FLOATS = types.Array(types.float64, 1, "C", readonly=True)
_TABLE = types.Array(types.float64, 2, "C", readonly=True)


@compiled_for(types.boolean(_FLOATS, _BYTES, types.float64))
def are_sound(code, sign, most):
    """Whether codes [n] are `most` or less, and have the sign [n] of their row or are 0."""
    sound = True
    for k in range(code.size):
        sound &= (abs(code[k]) <= most) & (code[k] * sign[k] >= 0.0)  # false for NaN
    return sound


@compiled_for(types.void(_FLOATS, _TABLE, _FLOATS, _LONGS, _LONGS, _RANGES, types.float64[:, :, ::1]))
def fill_current_steps(code, bits, gain, synapse, place, reach, steps):
    """Add up what the deliveries of each source are worth.

    Parameters
    ----------
    code : float64 [n_synapses]
        Signed weight codes.
    bits : float64 [n_bits, n_synapses]
        What each bit of a synapse's DAC is worth, the lowest first; no bits: codes are worth themselves.
    gain : float64 [n_synapses]
        In mV per tick, not negative.
    synapse, place : int64 [n_deliveries]
        Synapse of each delivery, and the entry of all `steps` that it adds to.
    reach : int64 [n_sources, 2]
        First and last + 1 neuron that a source reaches.
    steps : float64 [2, n_sources, n_neurons]
        Receives excitatory and inhibitory sums, not negative, of the neurons that a source reaches.
    """
    worth = np.abs(code)
    if bits.shape[0]:
        worth[:] = 0.0
        whole = np.abs(code).astype(np.int64)
        for bit in range(bits.shape[0]):
            for k in range(code.size):
                worth[k] += bits[bit, k] if (whole[k] >> bit) & 1 else 0.0
    for k in range(code.size):
        worth[k] *= gain[k]
    for source in range(reach.shape[0]):
        steps[:, source, reach[source, 0] : reach[source, 1]] = 0.0
    sums = steps.reshape(-1)
    for k in range(synapse.size):
        sums[place[k]] += worth[synapse[k]]


@compiled_for(
    types.int64(_TABLE, _TABLE, _RANGES, types.boolean, types.int64[:, ::1], types.uint8[::1], types.int64[::1])
)
def sort_rows(exc, inh, reach, equal, rows, kind, origin):
    """Find out which rows of weights there are.

    Parameters
    ----------
    exc, inh : float64 [n_sources, n_neurons]
        Sums of `fill_current_steps`.
    reach : int64 [n_sources, 2]
        As there.
    equal : bool
        Whether currents of both signs decay alike.
    rows, kind : int64 [n_sources, 2], uint8 [2 n_sources]
        Receive `layout.Circuit.rows` and `kind`.
    origin : int64 [2 n_sources]
        Receives the source that each row belongs to.

    Returns
    -------
    int
        Number of rows.
    """
    n_rows = exc.shape[0]
    for source in range(exc.shape[0]):
        excites, inhibits, overlaps = False, False, False
        for j in range(reach[source, 0], reach[source, 1]):
            up, down = exc[source, j] > 0.0, inh[source, j] > 0.0
            excites, inhibits, overlaps = excites | up, inhibits | down, overlaps | (up & down)
        rows[source, 0], rows[source, 1] = source, -1
        origin[source], kind[source] = source, at.EXC
        if not equal and inhibits:
            kind[source] = at.BOTH if excites else at.INH
            if overlaps:
                rows[source, 1], origin[n_rows], kind[n_rows] = n_rows, source, at.INH
                n_rows += 1
    return n_rows


@compiled_for(types.void(_TABLE, _TABLE, _RANGES, _RANGES, types.int64, types.float32[::1]))
def fill_rows(exc, inh, reach, rows, n_rows, weights):
    """Fill zeros, `layout.Circuit.weights`, with current steps; `rows` and their number are those of `sort_rows`."""
    for source in range(exc.shape[0]):
        second = rows[source, 1]
        for j in range(reach[source, 0], reach[source, 1]):
            up, down = exc[source, j], inh[source, j]
            block, lane = j // at.BLOCK * n_rows, j % at.BLOCK
            signed = up - down
            if second >= 0:
                both = (up > 0.0) & (down > 0.0)
                signed += down if both else 0.0
                weights[(block + second) * at.BLOCK + lane] = np.float32(-down if both else 0.0)
            weights[(block + source) * at.BLOCK + lane] = np.float32(signed)
