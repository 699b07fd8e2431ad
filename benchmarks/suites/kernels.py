"""Each kernel of the solver by itself, on all 512 neurons of the whole chip, beside what it moves and computes.

Bytes and operations are read off the kernels (`hxloop_chip.solver`): what a call has to load and store, nothing
counted twice; a multiply-add is two operations. A kernel's roof is the slower of bytes at the bandwidth of the second
cache level (the arrays of all kernels together do not fit into the first) and operations at the peak for single
precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

from benchmarks.measuring.figures import Claim, Figure
from benchmarks.measuring.timing import interleaved
from benchmarks.suites.suite_parts import Options, Suite
from benchmarks.workloads.circuits import MODERATE, feedforward
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.solver import fast, inject, kernel, random
from hxloop_chip.solver import layout as at
from hxloop_chip.solver.near import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_N: Final = 512
_EVENTS: Final = 13
"""Of a step, as with 256 inputs at 100 kHz."""
_FLOAT: Final = 4  # bytes


@dataclass(frozen=True)
class Kernel:
    """What one call moves and computes: bytes, operations."""

    what: str
    moved: int
    operations: int


KERNELS: Final = {
    "advance": Kernel(
        "all neurons over a step: propagators and bounds (9 rows), state, levels and changes in, state and mark out",
        _N * _FLOAT * (9 + 3 + 3 + 3 + 4),
        _N * 30,
    ),
    "noise": Kernel(
        "membrane noise of a step: a quarter of a random block a neuron; integer operations", _N * (2 * 4 + 2), _N * 36
    ),
    "shift": Kernel("that noise as normal deviates, into the resting potentials", _N * 3 * _FLOAT, _N * 13),
    "inject_each": Kernel(
        f"{_EVENTS} events by kernel tables: weights and four kernels in, three changes out",
        _EVENTS * _N * _FLOAT * 5 + _N * _FLOAT * 3,
        _EVENTS * _N * 11,
    ),
    "inject_all": Kernel(
        f"{_EVENTS} events of sources of one sign by sums: weights in, eight sums in the first level, coefficients in, "
        "three changes out",
        _EVENTS * _N * _FLOAT + _N * _FLOAT * (8 + 16 + 3),
        _EVENTS * _N * 8 + _N * 32,
    ),
    "walk": Kernel(
        f"16 neurons near threshold through a step with {_EVENTS} events, none crosses",
        16 * _FLOAT * (_EVENTS + 12),
        16 * (_EVENTS + 1) * 80,
    ),
}
CLAIMS: Final = tuple(Claim(f"kernel.{name}_ns", "ns", k.what) for name, k in KERNELS.items())


@numba.njit
def _advance(rounds: int, circuit: Any, state: Any, now: Any, end: Any) -> None:  # pragma: no cover - compiled
    for _ in range(rounds):
        fast._advance(np.float32(0), now, end, state.level, state.change, circuit.steps)


@numba.njit
def _noise(rounds: int, circuit: Any, state: Any) -> None:  # pragma: no cover - compiled
    for k in range(rounds // 4):  # a call serves four steps
        random.fill_sums(state.noise, circuit.neuron_id, np.uint64(1), 1, 2, k)


@numba.njit
def _shift(rounds: int, circuit: Any, state: Any) -> None:  # pragma: no cover - compiled
    for _ in range(rounds):
        fast._scale_noise(state.level, state.noise, circuit.steps, np.uint64(0))


@numba.njit
def _each(rounds: int, circuit: Any, state: Any, n: int) -> None:  # pragma: no cover - compiled
    for _ in range(rounds):
        inject.inject_each(
            state.change, circuit.weights, circuit.kernels, state.event, state.event_gain, circuit.source_blocks, n,
            np.uint64(circuit.neuron_id.size),
        )  # fmt: skip


@numba.njit
def _all(rounds: int, circuit: Any, state: Any, n: int) -> None:  # pragma: no cover - compiled
    for _ in range(rounds):
        inject.inject_all(
            state.change, state.sums, circuit.weights, circuit.source_sign, circuit.basis, circuit.coefficients,
            state.event, state.event_gain, state.order, n, np.uint64(circuit.neuron_id.size),
        )  # fmt: skip


@numba.njit
def _walk(
    rounds: int, circuit: Any, trial: Any, state: Any, now: Any, end: Any, n: int, out: Any
) -> None:  # pragma: no cover - compiled
    for _ in range(rounds):
        for k in range(at.GROUP):
            state.near_neurons[k] = 31 * k
        walk.walk(at.GROUP, 0, 0, circuit, trial, state, now, end, n, out, 0)


def measure(options: Options) -> Iterator[Figure]:
    chip = EmulatedChip(options.chip, options.serial)
    chip.configure(feedforward(chip, MODERATE).config)
    assert chip._configured is not None
    circuit = chip._configured.circuit
    state = kernel.new_state(circuit, 64)
    _fill_events(state, len(circuit.partner))
    now, end = (np.zeros(at.N_ROWS * _N, np.float32) for _ in range(2))
    state.level.reshape(-1, at.N_ROWS, at.LANES)[:, [at.ROW_THRESHOLD, at.ROW_FREE]] = [[300.0], [-1.0]]
    state.free[:] = -1.0
    rounds = options.size(40_000, 4_000)
    trial = at.Trial(10_000, np.zeros(at.N_SIGMAS), np.uint64(1), 0, False, 1.0, False)
    cases: dict[str, Callable[[], object]] = {
        "advance": partial(_advance, rounds, circuit, state, now, end),
        "noise": partial(_noise, rounds, circuit, state),
        "shift": partial(_shift, rounds, circuit, state),
        "inject_each": partial(_each, rounds, circuit, state, _EVENTS),
        "inject_all": partial(_all, rounds, circuit, state, _EVENTS),
        "walk": partial(_walk, rounds, circuit, trial, state, now, end, _EVENTS, np.empty(64, np.int64)),
    }
    for name, seconds in interleaved(cases, options.repeats).items():
        about = {"bytes": KERNELS[name].moved, "operations": KERNELS[name].operations}
        yield Figure(f"kernel.{name}_ns", [1e9 * s / rounds for s in seconds], options.about(**about, threads=1))


def _fill_events(state: at.State, n_sources: int) -> None:
    rng = np.random.default_rng(1)
    tick: NDArray[np.int64] = np.sort(rng.integers(0, at.STEP_TICKS, _EVENTS))
    state.event[0, :_EVENTS] = tick
    state.event[1, :_EVENTS] = rng.choice(n_sources, _EVENTS, replace=False)
    state.event_gain[:_EVENTS] = 1e-3  # of an event: nobody reaches threshold


SUITES = (Suite("kernels", CLAIMS, measure),)
