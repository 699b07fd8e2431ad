"""From weight codes to current steps, in one pass over all deliveries."""

from numba import types

from hxloop_chip.solver.compiled import compiled_for

_LONGS = types.Array(types.int64, 1, "C", readonly=True)
_FLOATS = types.Array(types.float64, 1, "C", readonly=True)
_TABLE = types.Array(types.float64, 2, "C", readonly=True)


@compiled_for(types.void(_FLOATS, _TABLE, _FLOATS, _LONGS, _LONGS, types.float64[:, ::1]))
def add_current_steps(code, bits, gain, synapse, place, steps):
    """Add what each delivery is worth.

    Parameters
    ----------
    code : float64 [n_synapses]
        Signed weight codes.
    bits : float64 [n_synapses, n_bits]
        What each bit of a synapse's DAC is worth, the lowest first; no bits: codes are worth themselves.
    gain : float64 [n_synapses]
        In mV per tick, not negative.
    synapse, place : int64 [n_deliveries]
        Synapse of each delivery, and the entry it adds to.
    steps : float64 [2, n_places]
        Zeros, and then excitatory and inhibitory sums, not negative.
    """
    n_bits = bits.shape[1]
    for k in range(synapse.size):
        name = synapse[k]
        worth = abs(code[name])
        if n_bits:
            whole = int(worth)
            worth = 0.0
            for bit in range(n_bits):
                worth += ((whole >> bit) & 1) * bits[name, bit]
        steps[int(code[name] < 0.0), place[k]] += worth * gain[name]
