"""All neurons over one macro-step in closed form, and which of them need a closer look."""

import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.compiled import fma, inlined, uncounted
from hxloop_chip.solver.inject import inject_all, inject_each
from hxloop_chip.solver.random import STREAM_MEMBRANE, fill_sums, of_four_bytes

_TINY = np.float32(1e-30)  # below: set to zero, because denormal numbers are slow
_WIDER = np.float32(2e-6)  # the bound must hold in spite of single precision
_FALLING = np.float32(at.BULGE * at.STEP_TICKS)
_NOTHING, _ONE = np.float32(0.0), np.float32(1.0)
_NOISE_STEPS = 4  # steps served by one random block

_LANES = np.uint64(at.LANES)
_ROWS, _STEPS, _FOURS = np.uint64(at.N_ROWS) * _LANES, np.uint64(at.N_STEPS) * _LANES, np.uint64(4) * _LANES
_V, _EXC, _INH, _NEAR = (np.uint64(row * at.LANES) for row in (at.ROW_V, at.ROW_EXC, at.ROW_INH, at.ROW_NEAR))
_SHIFT, _THRESHOLD, _FREE = (np.uint64(row * at.LANES) for row in (at.ROW_SHIFT, at.ROW_THRESHOLD, at.ROW_FREE))
_LOSS, _RISE_EXC, _RISE_INH, _LOSS_EXC, _LOSS_INH, _BOUND_EXC, _BOUND_INH, _BOUND_BELOW, _RESET, _NOISE = (
    np.uint64(row * at.LANES) for row in range(at.N_STEPS)
)


@inlined
def advance(step, n_events, now, end, circuit, state):
    """Propagate V, I_exc and I_inh over one step with all its events, and mark the neurons that need a closer look.

    These are the ones that might reach threshold inside the step (the bound is derived in `tables`), and those whose
    refractory period ends in it. Neurons that stay refractory are held at their reset potential.
    """
    width, event, gains, reached = np.uint64(circuit.neuron_id.size), state.event, state.event_gain, 0
    for e in range(n_events):
        reached += circuit.source_blocks[event[1, e], 1] - circuit.source_blocks[event[1, e], 0]
    if reached * at.LANES < circuit.dense_events * circuit.neuron_id.size:
        inject_each(
            state.change, circuit.weights, circuit.kernels, event, gains, circuit.source_blocks, n_events, width
        )  # fmt: skip
    else:
        inject_all(
            state.change, state.sums, circuit.weights, circuit.source_sign, circuit.basis, circuit.coefficients, event,
            gains, state.order, n_events, width,
        )  # fmt: skip
    _advance(np.float32(step), now, end, state.level, state.change, circuit.steps)
    _mark(end, state.near)


@uncounted
def _advance(step, now, end, level, change, steps):
    for b in range(np.uint64(change.size) // _ROWS):
        r, s = b * _ROWS, b * _STEPS
        for lane in range(_LANES):
            exc, inh, shift = now[r + _EXC + lane], now[r + _INH + lane], level[r + _SHIFT + lane]
            u = now[r + _V + lane] - shift
            exc_end = fma(-steps[s + _LOSS_EXC + lane], exc, exc) + change[r + _EXC + lane]
            inh_end = fma(-steps[s + _LOSS_INH + lane], inh, inh) + change[r + _INH + lane]
            rise = fma(steps[s + _RISE_EXC + lane], exc, change[r + _V + lane])
            rise = fma(-steps[s + _RISE_INH + lane], inh, rise)
            u_end = fma(-steps[s + _LOSS + lane], u, u + rise)
            top = fma(steps[s + _BOUND_EXC + lane], exc_end, max(u, u_end))
            top = fma(steps[s + _BOUND_INH + lane], inh_end, fma(-_FALLING, inh, top))
            top = fma(-steps[s + _BOUND_BELOW + lane], min(u, _NOTHING), top)
            top = fma(_WIDER, max(top, -top), top)
            free = level[r + _FREE + lane]
            held = free > step
            near = ((top >= level[r + _THRESHOLD + lane] - shift) | (free == step)) & (not held)
            # A flag of the same type in the same array: with one more array to write to, it is not vectorised.
            end[r + _NEAR + lane] = _ONE if near else _NOTHING
            v_end = steps[s + _RESET + lane] if held else u_end + shift
            end[r + _V + lane] = v_end if max(v_end, -v_end) > _TINY else _NOTHING
            end[r + _EXC + lane] = exc_end if exc_end > _TINY else _NOTHING
            end[r + _INH + lane] = inh_end if inh_end > _TINY else _NOTHING


@uncounted
def _mark(end, near):
    for b in range(np.uint64(near.size) // _LANES):
        for lane in range(_LANES):
            near[b * _LANES + lane] = end[b * _ROWS + _NEAR + lane] != _NOTHING


@inlined
def draw_shifts(step, sample, circuit, trial, state):
    """Resting potentials of the step: the membrane noise, a current held constant over it.

    A random block of a neuron gives the deviates of four steps in a row.
    """
    within = step % _NOISE_STEPS
    if within == 0:
        fill_sums(state.noise, circuit.neuron_id, trial.key, STREAM_MEMBRANE, sample, step // _NOISE_STEPS)
    _scale_noise(state.level, state.noise, circuit.steps, np.uint64(within) * _LANES)


@uncounted
def _scale_noise(level, noise, steps, row):
    for b in range(np.uint64(level.size) // _ROWS):
        for lane in range(_LANES):
            deviate = of_four_bytes(noise[b * _FOURS + row + lane])
            level[b * _ROWS + _SHIFT + lane] = steps[b * _STEPS + _NOISE + lane] * deviate


@inlined
def list_near(state):
    """Fill `state.near_neurons` with the marked neurons that have a closed form; returns their number."""
    count = 0
    for k in range(state.near_words.size):
        if state.near_words[k] != np.uint64(0):
            for n in range(8 * k, 8 * k + 8):  # without branches, which could not be predicted
                state.near_neurons[count] = n
                count += np.int64(state.near[n] & state.closed[n])
    return count
