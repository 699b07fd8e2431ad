"""Compression of synaptic inputs: what a transconductor passes on of its current, held over a macro-step.

The current of a synaptic line stays linear. Its transconductor saturates, and loses headroom with the membrane::

    g_exc = 1 / (1 + c_exc I_exc + h_exc max(v, 0))      g_inh = 1 / (1 + c_inh I_inh + h_inh max(-v, 0))

with the membrane v above leak at the start of the step, and the currents at its end: so the events of the step count.
Within a step the neuron is linear: all that is derived for such ones holds with currents g_exc I_exc and g_inh I_inh.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined
from hxloop_chip.solver.layout import LANES, CompressedRates
from hxloop_chip.solver.vector import floats, fused, load, negated, store

_NOTHING, _ONE = np.float32(0.0), np.float32(1.0)
_BITS, _MASK = LANES.bit_length() - 1, LANES - 1
_OF_VECTOR, _DIVISORS = at.N_COMPRESSION * LANES, at.N_INPUTS * LANES
_C_EXC, _C_INH, _H_EXC, _H_INH = (row * LANES for row in range(at.N_COMPRESSION))


@intrinsic
def are_compressed(typing_context: Any, rates: Any) -> Any:
    """Whether inputs are compressed, from `Circuit.rates`: known when a kernel is compiled."""
    compressed = rates.instance_class is CompressedRates
    return types.boolean(rates), lambda context, builder, sig, args: context.get_constant(types.boolean, compressed)


@inlined
def response(x, vector, v, exc_end, inh_end, by_exc, by_inh, circuit, state):
    """What both currents of sixteen neurons do to the membrane in this step, of what they would do uncompressed.

    What divides each of them is kept in place `x` of `State.divisor`: dividing by it is left to the few that need it.
    """
    p, zero, one = vector * _OF_VECTOR, floats(_NOTHING), floats(_ONE)
    exc = fused(load(circuit.compression, p + _H_EXC), max(v, zero), one)
    inh = fused(negated(load(circuit.compression, p + _H_INH)), min(v, zero), one)
    exc = fused(load(circuit.compression, p + _C_EXC), exc_end, exc)
    inh = fused(load(circuit.compression, p + _C_INH), inh_end, inh)
    store(state.divisor, x * _DIVISORS + at.INPUT_EXC * LANES, exc)
    store(state.divisor, x * _DIVISORS + at.INPUT_INH * LANES, inh)
    return fused(exc, by_inh, inh * by_exc) / (exc * inh)  # one division is enough


@inlined
def divisor_of(cell, row, state):
    """What the current of an input of a cell is divided by in this step."""
    return state.divisor[((cell >> _BITS) * at.N_INPUTS + row) * LANES + (cell & _MASK)]


@inlined
def gain_of(cell, row, circuit, state):
    """What an input of a cell passes on in this step."""
    return _ONE / divisor_of(cell, row, state) if are_compressed(circuit.rates) else _ONE


@inlined
def gains(divisor, first, rates):
    """What both inputs of sixteen neurons pass on, by elements ``first``.. of an array, not read if that is all."""
    one = floats(_ONE)
    if are_compressed(rates):
        return one / load(divisor, first), one / load(divisor, first + LANES)
    return one, one


@inlined
def passed_on(current, gain, rates):
    """Sixteen currents times the gains of an input."""
    return current * gain if are_compressed(rates) else current
