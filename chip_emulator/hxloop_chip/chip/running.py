"""Running samples on threads, in chunks between which progress is told and a cancel noticed."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.errors import LimitExceededError, RunCancelledError
from hxloop_chip.chip.core_placing import Apart
from hxloop_chip.solver import layout as at
from hxloop_chip.solver.kernel import run_samples
from hxloop_chip.solver.stopping import check_wanted, never

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from hxloop_chip.chip.membrane_reads import MembraneReads
    from hxloop_chip.chip.spared import Solved
    from hxloop_chip.silicon.mechanisms.in_circuits.temperature import Spell

    Progress = Callable[[int, int], bool]

MAX_SPIKES: Final = 4_000_000
_CHUNK_S = 0.04
_LEAST_S = 7e-5  # work that is worth the time it takes to hand it over


class Runner:
    """Runs the solver; how the work is divided does not change its results.

    Parameters
    ----------
    threads : int
        Threads that share the samples of a run.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._apart = Apart()
        self._pool = ThreadPoolExecutor(max(1, threads - 1), "solver", self._apart.join)
        self._sample_s = 1e-3  # of the last run, to choose the size of chunks
        self._spikes_per_sample = 64  # sizes of kernel arrays, grown when they prove too small
        self._events_per_step = 256

    def run(
        self,
        inputs: at.Inputs,
        spells: Sequence[Spell],
        circuit_at: Callable[[float], Solved],
        trial: at.Trial,
        reads: MembraneReads,
        progress: Progress | None,
        stop_words: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Packed spikes int64 [n_spikes], sample after sample, and counters int64 [n_samples, N_COUNTS].

        Parameters
        ----------
        inputs : Inputs
        spells : sequence of Spell
            Hold all samples, in order.
        circuit_at : callable
            What samples find at a temperature.
        trial : Trial
        reads : MembraneReads
        progress : callable or None
        stop_words : int64 [N_WORDS], optional

        Raises
        ------
        RunCancelledError
            `progress` or `stop_words` (`hxloop_chip.solver.stopping`) asked for it.
        LimitExceededError
            Too many spikes.
        """
        stop_words = never() if stop_words is None else stop_words
        begun = time.perf_counter()
        counts = np.zeros((len(inputs.offsets) - 1, at.N_COUNTS), np.int64)

        found: list[int] = []

        def work(part: Spell) -> NDArray[np.int64]:
            pieces = []
            neurons, circuit, first_neuron = circuit_at(part.kelvin)
            self._spikes_per_sample = max(self._spikes_per_sample, 4 * circuit.neuron_id.size + 64)
            for piece in reads.pieces(part.first, part.last):
                watch = reads.room(piece[1] - piece[0], first_neuron)
                pieces.append(
                    self._piece(inputs, piece, circuit, trial, counts, watch if reads.any else None, stop_words)
                )
                reads.convert(watch, piece[0], neurons)
                check_wanted(stop_words)
                found.append(len(pieces[-1]))
                if sum(found) > MAX_SPIKES:
                    raise _too_many(piece)
            return _joined(pieces)

        parts = self._in_chunks(work, spells, progress)
        elapsed_s = time.perf_counter() - begun
        self._sample_s = max(1e-7, elapsed_s * self._threads / max(1, len(counts)))
        return _joined(parts), counts

    def _piece(
        self,
        inputs: at.Inputs,
        bounds: tuple[int, int],
        circuit: at.Circuit,
        trial: at.Trial,
        counts: NDArray[np.int64],
        watch: at.Watch | None,
        stop_words: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        n_samples = bounds[1] - bounds[0]
        models = circuit.model_neurons if circuit.model_neurons.size else None
        while True:
            events = self._events_per_step
            out = np.empty(min(n_samples * self._spikes_per_sample, MAX_SPIKES), np.int64)
            written: int = run_samples(
                inputs, *bounds, circuit, models, trial, events, out, counts, watch, stop_words
            )  # fmt: skip
            if written >= 0:
                return out[:written].copy()
            if written == at.STOPPED:
                raise RunCancelledError(f"cancelled while samples {bounds[0]}..{bounds[1] - 1} ran")
            if written == at.EVENTS_FULL:
                self._events_per_step = max(self._events_per_step, 2 * events)
            elif len(out) >= MAX_SPIKES:
                raise _too_many(bounds)
            else:
                self._spikes_per_sample = max(self._spikes_per_sample, 4 * len(out) // n_samples)

    def _in_chunks(
        self, work: Callable[[Spell], NDArray[np.int64]], spells: Sequence[Spell], progress: Progress | None
    ) -> list[NDArray[np.int64]]:
        """Results of all chunks, in order; the calling thread works like the others."""
        n_samples = sum(spell.last - spell.first for spell in spells)
        chunks = deque(enumerate(chunk for spell in spells for chunk in self._chunks(spell)))
        parts: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(chunks)
        done: list[int] = []

        def labour(between: Callable[[], None] | None = None) -> None:
            try:
                while chunks:
                    with suppress(IndexError):  # another thread took the last one
                        k, chunk = chunks.popleft()
                        parts[k] = work(chunk)
                        done.append(chunk.last - chunk.first)
                    if between is not None:
                        between()
            except BaseException:
                chunks.clear()  # nobody begins another one
                raise

        told_s = time.perf_counter()

        def tell() -> None:
            nonlocal told_s
            now_s = time.perf_counter()
            if progress is not None and now_s - told_s > _CHUNK_S:
                told_s = now_s
                if progress(sum(done), n_samples):
                    raise RunCancelledError(f"cancelled after {sum(done)} of {n_samples} samples")

        self._apart.settle()
        helpers = [self._pool.submit(labour) for _ in range(min(self._threads, len(chunks)) - 1)]
        try:
            labour(tell)
            for helper in helpers:
                while not helper.cancel():  # it has begun, or even ended
                    with suppress(TimeoutError):
                        helper.result(_CHUNK_S)
                        break
                    tell()
        except BaseException:
            chunks.clear()
            wait(helpers)
            raise
        return parts

    def _chunks(self, spell: Spell) -> Iterator[Spell]:
        """Parts of a spell, the later the smaller: all threads end together, and none is taken for long."""
        least = max(1, round(_LEAST_S / self._sample_s))
        most = max(1, round(_CHUNK_S / self._sample_s))
        share = 1 if self._threads == 1 else 2 * self._threads
        first, end = spell.first, spell.last
        while first < end:
            last = min(end, first + min(most, max(least, (end - first) // share)))
            yield spell._replace(first=first, last=last)
            first = last


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty(0, np.int64)])


def _too_many(bounds: tuple[int, int]) -> LimitExceededError:
    return LimitExceededError(
        f"more than {MAX_SPIKES} spikes up to sample {bounds[1] - 1}",
        field="inputs",
        hint="run fewer or shorter samples, or raise thresholds",
    )
