"""All neurons over one macro-step in closed form, block by block, and which of them need a closer look.

For each block of 64 neurons: the sums of the basis over all events that it hears (`_sum_up`), then state, bound and
mask of four vectors of neurons (`_finish`). The bound is derived in `hxloop_chip.solver.tables` and on the page
docs/solver.md. Changes within one step are added up in single precision: what is lost is below 1e-7 of what the events
of that step do.
"""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import inlined, spliced
from hxloop_chip.solver.compression import are_compressed, response
from hxloop_chip.solver.equal_rates import are_equal
from hxloop_chip.solver.layout import LANES
from hxloop_chip.solver.random import STREAM_MEMBRANE, fill_sums, of_four_bytes
from hxloop_chip.solver.vector import (
    WIDTH,
    chosen,
    floats,
    fused,
    item,
    load,
    load_wide,
    lowest,
    negated,
    store,
    wide,
)  # fmt: skip

_TINY = np.float32(1e-30)  # below: set to zero, because denormal numbers are slow
_WIDER = np.float32(2e-6)  # the bound must hold in spite of single precision
_FALLING = np.float32(at.BULGE * at.STEP_TICKS)
_NOTHING = np.float32(0.0)
_SIGNS = (np.float32(1.0), np.float32(-1.0))  # of EXC and INH
_NOISE_STEPS = 4  # steps served by one random block
_ONE_OFF = np.float32(1.005)  # what `tables.ONE_ERROR` may make of a sum of weights, and more

_STATE, _LEVEL, _STEP = at.N_ROWS * LANES, at.N_LEVELS * LANES, at.N_STEPS * LANES
_FUNCTION, _VECTORS = at.N_KERNELS * LANES, at.BLOCK // LANES
_V, _EXC, _INH = (row * LANES for row in (at.ROW_V, at.ROW_EXC, at.ROW_INH))
_THRESHOLD, _FREE = at.LEVEL_THRESHOLD * LANES, at.LEVEL_FREE * LANES
_SHIFT, _BULGE = at.LEVEL_SHIFT * LANES, at.LEVEL_BULGE * LANES
_LOSS, _RISE_EXC, _RISE_INH, _LOSS_EXC, _LOSS_INH, _NOISE, _RESET, _PEAK, _PEAK_NOISE = (
    row * LANES for row in range(at.N_STEPS)
)
_V_EXC, _V_INH, _I_EXC, _I_INH = (row * LANES for row in range(at.N_KERNELS))


@spliced
def advance(step, n_slots, now, end, circuit, trial, state):
    """Take all samples over one step, as if no neuron spiked in it; fill `state.near` and `state.waking`.

    These are the neurons that might reach threshold inside the step, and those whose refractory period ends in it, as
    if it had not been. Neurons that stay refractory are held where they are, at their reset potential.
    """
    n_blocks = circuit.block_class.size
    of_epoch = np.float32(step - state.epoch[0])
    noisy = trial.sigma[at.SIGMA_MEMBRANE] > 0.0
    if noisy and step % _NOISE_STEPS == 0:
        for slot in range(n_slots):
            if state.tally[slot, at.TALLY_OVER] == 0:
                sample = state.tally[slot, at.TALLY_SAMPLE]
                begin = slot * n_blocks * _NOISE_STEPS * at.BLOCK
                index = step // _NOISE_STEPS
                fill_sums(state.noise, begin, circuit.neuron_id, trial.key, STREAM_MEMBRANE, sample, index)
    for slot in range(n_slots):
        state.n_near[slot] = state.n_waking[slot] = 0
    for b in range(n_blocks):
        for slot in range(n_slots):
            if state.tally[slot, at.TALLY_OVER] == 0:
                _advance_block(b, slot, slot * n_blocks + b, of_epoch, step, noisy, now, end, circuit, state)


@spliced
def _advance_block(b, slot, place, step, number, noisy, now, end, circuit, state):
    some = sum_up(b, slot, at.STEP_TICKS, state.basis[slot], circuit, state)
    near, waking = np.uint64(0), np.uint64(0)
    for column in range(0, at.BLOCK, LANES):
        shift = floats(_NOTHING)
        if noisy:
            sums = load(state.noise, (place * _NOISE_STEPS + number % _NOISE_STEPS) * at.BLOCK + column)
            shift = load(circuit.steps, (b * _VECTORS + column // LANES) * _STEP + _NOISE) * of_four_bytes(sums)
        if are_equal(circuit.rates):
            these, those = _advance_equal(b, place, column, step, some, shift, now, end, circuit, state)
        else:
            these, those = _advance_separate(b, place, column, step, some, shift, now, end, circuit, state)
        near, waking = near | these << np.uint64(column), waking | those << np.uint64(column)
    state.n_near[slot] = _listed(b, near & state.closed[b], state.near[slot], state.n_near[slot])
    state.n_waking[slot] = _listed(b, waking & state.closed[b], state.waking[slot], state.n_waking[slot])


@inlined
def _listed(b, mask, out, count):
    """Append the neurons of a block that have a bit in a mask to a list; how many there are now."""
    while mask != np.uint64(0):
        out[count] = b * at.BLOCK + lowest(mask)
        count += 1
        mask &= mask - np.uint64(1)
    return count


@spliced
def sum_up(b, slot, end, basis, circuit, state):
    """Fill `state.sums` for a block with the basis of the events before a tick; a bit for each kind of them."""
    if state.n_events[slot] == 0:
        return 0
    n_heard, listed = state.n_heard[slot, circuit.block_class[b]], state.heard[slot, circuit.block_class[b]]
    n_functions, first = circuit.basis.shape[1], b * circuit.row_id.size * at.BLOCK
    both, n_both, some = listed[at.BOTH], _before(end, n_heard[at.BOTH], listed[at.BOTH], state.tick[slot]), 0
    for kind in range(at.EXC, at.INH + 1):
        n = _before(end, n_heard[kind], listed[kind], state.tick[slot])
        if n + n_both == 0 or (kind == at.INH and are_equal(circuit.rates)):
            continue
        some |= 1 << kind
        for m in range(0, n_functions, at.RANK):
            begin, rank = (kind * n_functions + m) * at.BLOCK, min(at.RANK, n_functions - m)
            for column in range(0, at.BLOCK, WIDTH):
                _add_up(
                    listed[kind], n, both, n_both, _SIGNS[kind], state.place[slot], basis, m, n_functions,
                    rank, circuit.weights, first + column, state.sums, begin + column,
                )  # fmt: skip
        if are_equal(circuit.rates):
            begin = 2 * n_functions * at.BLOCK
            for column in range(0, at.BLOCK, WIDTH):
                _add_up_excitation(
                    listed[kind], n, state.place[slot], state.gain[slot], circuit.weights, first + column, state.sums,
                    begin + column,
                )  # fmt: skip
    return some


@inlined
def _before(end, n, listed, tick):
    """How many of the first `n` listed events are before a tick of the step."""
    if end < at.STEP_TICKS:
        while n > 0 and tick[listed[n - 1]] >= end:
            n -= 1
    return n


@inlined
def _add_up(listed, n, both, n_both, sign, place, basis, m, n_functions, rank, weights, first, sums, begin):
    """Two to four functions of the basis for `WIDTH` neurons, in registers.

    Of rows with weights of both signs, only those of one sign.
    """
    z = wide(_NOTHING)
    a, b, c, d = z, z, z, z
    for i in range(n + n_both):
        e = listed[i] if i < n else both[i - n]
        w, k = load_wide(weights, first + place[e]), e * n_functions + m
        if i >= n:
            w = max(w * sign, z)
        a, b = fused(w, item(basis, k), a), fused(w, item(basis, k + 1), b)
        if rank > 2:
            c = fused(w, item(basis, k + 2), c)
        if rank > 3:
            d = fused(w, item(basis, k + 3), d)
    store(sums, begin, a)
    store(sums, begin + at.BLOCK, b)
    if rank > 2:
        store(sums, begin + 2 * at.BLOCK, c)
    if rank > 3:
        store(sums, begin + 3 * at.BLOCK, d)


@inlined
def _add_up_excitation(listed, n, place, gain, weights, first, sums, begin):
    """Sums of the excitatory weights alone."""
    z = wide(_NOTHING)
    total = z
    for i in range(n):
        e = listed[i]
        total = fused(max(load_wide(weights, first + place[e]), z), item(gain, e), total)
    store(sums, begin, total)


@inlined
def _advance_separate(b, place, column, step, some, shift, now, end, circuit, state):
    """Sixteen neurons over the step; masks of those near threshold and of those whose refractory period ends.

    `fall` is the whole rise, or where inputs are compressed first what inhibition contributes to it.
    """
    x, vector = place * _VECTORS + column // LANES, b * _VECTORS + column // LANES
    compressed = are_compressed(circuit.rates)
    s, p = x * _STATE, vector * _STEP
    v, exc, inh = load(now, s + _V), load(now, s + _EXC), load(now, s + _INH)
    exc_end = fused(negated(load(circuit.steps, p + _LOSS_EXC)), exc, exc)
    inh_end = fused(negated(load(circuit.steps, p + _LOSS_INH)), inh, inh)
    rise = load(circuit.steps, p + _RISE_EXC) * exc
    by_inh = negated(load(circuit.steps, p + _RISE_INH))
    if not compressed:
        rise = fused(by_inh, inh, rise)
    n_functions = circuit.basis.shape[1]
    k = vector * n_functions * _FUNCTION
    if some & 1 << at.EXC:
        for m in range(n_functions):
            y = load(state.sums, m * at.BLOCK + column)
            rise = fused(y, load(circuit.coefficients, k + m * _FUNCTION + _V_EXC), rise)
            exc_end = fused(y, load(circuit.coefficients, k + m * _FUNCTION + _I_EXC), exc_end)
    fall = by_inh * inh if compressed else rise
    if some & 1 << at.INH:
        for m in range(n_functions):
            y = load(state.sums, (n_functions + m) * at.BLOCK + column)
            fall = fused(y, load(circuit.coefficients, k + m * _FUNCTION + _V_INH), fall)
            inh_end = fused(y, load(circuit.coefficients, k + m * _FUNCTION + _I_INH), inh_end)
    if compressed:
        fall = response(x, vector, v, exc_end, inh_end, rise, fall, circuit, state)
    bulge = exc_end * circuit.bounds[b * at.N_BOUNDS + at.BOUND_EXC]
    bulge = fused(item(circuit.bounds, b * at.N_BOUNDS + at.BOUND_INH), inh_end, bulge)
    higher = fused(floats(-_FALLING), inh, bulge)
    store(end, s + _INH, chosen(inh_end > _TINY, inh_end, _NOTHING))
    return _finish(b, place, column, step, v, fall, exc_end, bulge, higher, shift, end, circuit, state)


@inlined
def _advance_equal(b, place, column, step, some, shift, now, end, circuit, state):
    """The same where the currents decay alike: the difference of both is one state.

    Its bound needs the sums of all excitatory and of all inhibitory steps: the latter are the former less the sum of
    all, which is a sum of the basis.
    """
    s, p = (place * _VECTORS + column // LANES) * _STATE, (b * _VECTORS + column // LANES) * _STEP
    v, current = load(now, s + _V), load(now, s + _EXC)
    exc = max(current, floats(_NOTHING))
    inh = exc - current
    current_end = fused(negated(load(circuit.steps, p + _LOSS_EXC)), current, current)
    rise = load(circuit.steps, p + _RISE_EXC) * current
    higher = item(circuit.bounds, b * at.N_BOUNDS + at.BOUND_INH)
    bulge = (higher - _FALLING) * inh
    if some:
        n_functions = circuit.basis.shape[1]
        k = (b * _VECTORS + column // LANES) * n_functions * _FUNCTION
        total = floats(_NOTHING)
        for m in range(n_functions):
            x = load(state.sums, m * at.BLOCK + column)
            rise = fused(x, load(circuit.coefficients, k + m * _FUNCTION + _V_EXC), rise)
            current_end = fused(x, load(circuit.coefficients, k + m * _FUNCTION + _I_EXC), current_end)
            total = fused(x, item(circuit.one, m), total)
        excitation = load(state.sums, 2 * n_functions * at.BLOCK + column)
        exc = exc + excitation
        inhibition = max(fused(excitation, floats(_ONE_OFF), negated(total)), floats(_NOTHING))
        bulge = fused(higher, inhibition * _ONE_OFF, bulge)
    bulge = fused(item(circuit.bounds, b * at.N_BOUNDS + at.BOUND_EXC), exc, bulge)
    return _finish(b, place, column, step, v, rise, current_end, bulge, bulge, shift, end, circuit, state)


@inlined
def _finish(b, place, column, step, v, rise, current, bulge, higher, shift, end, circuit, state):
    """Membrane at the end of the step, and whether it may have been higher than the threshold before."""
    x = place * _VECTORS + column // LANES
    s, level, p, u = x * _STATE, x * _LEVEL, (b * _VECTORS + column // LANES) * _STEP, v - shift
    u_end = fused(negated(load(circuit.steps, p + _LOSS)), u, u + rise)
    top = max(u, u_end) + higher
    below = item(circuit.bounds, b * at.N_BOUNDS + at.BOUND_BELOW)
    top = fused(-below, min(u, floats(_NOTHING)), top)
    top = fused(floats(_WIDER), max(top, negated(top)), top)
    free = load(state.level, level + _FREE)
    held = free > step
    waking = free == step
    near = (top >= load(state.level, level + _THRESHOLD) - shift) & ~held & ~waking
    v_end = chosen(held, v, u_end + shift)
    store(end, s + _V, chosen(max(v_end, negated(v_end)) > _TINY, v_end, _NOTHING))
    store(end, s + _EXC, chosen(max(current, negated(current)) > _TINY, current, _NOTHING))
    store(state.level, level + _SHIFT, shift)
    store(state.level, level + _BULGE, bulge)
    return near & np.uint64(0xFFFF), waking


@inlined
def is_quiet(slot, noisy, now, circuit, state):
    """Whether no neuron's currents and noise can lift it to its threshold any more, without any event."""
    n_blocks = circuit.block_class.size
    for b in range(n_blocks):
        for column in range(0, at.BLOCK, LANES):
            x = (slot * n_blocks + b) * _VECTORS + column // LANES
            s, p = x * _STATE, (b * _VECTORS + column // LANES) * _STEP
            most = max(load(now, s + _V), load(circuit.steps, p + _RESET))
            most = max(most, floats(_NOTHING))
            exc = max(load(now, s + _EXC), floats(_NOTHING))
            most = fused(load(circuit.steps, p + _PEAK), exc, most)
            if noisy:
                most = most + load(circuit.steps, p + _PEAK_NOISE)
            if (most >= load(state.level, x * _LEVEL + _THRESHOLD)) != np.uint64(0):
                return False
    return True
