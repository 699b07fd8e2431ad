"""Running samples on threads, in chunks between which progress is told and a cancel noticed."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

import numpy as np

from chip_emulator.solver import layout as at
from chip_emulator.solver.kernel import run_samples
from hxloop.errors import LimitExceededError, RunCancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Progress = Callable[[int, int], bool]

MAX_SPIKES: Final = 4_000_000
_CHUNK_S = 0.04
_HAND_OVER_S = 2e-4  # work that is not worth the time it takes to wake up another thread


class Runner:
    """Runs the solver; how the work is divided does not change its results.

    Parameters
    ----------
    threads : int
        Threads that share the samples of a run.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="solver")
        self._sample_s = 1e-3  # of the last run, to choose the size of chunks
        self._spikes_per_sample = 64  # sizes of kernel arrays, grown when they prove too small
        self._events_per_step = 256

    def run(
        self, inputs: at.Inputs, circuit: at.Circuit, trial: at.Trial, watch: at.Watch, progress: Progress | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Packed spikes int64 [n_spikes], sample after sample, and counters int64 [n_samples, N_COUNTS].

        Raises
        ------
        RunCancelledError
            `progress` asked for it.
        LimitExceededError
            Too many spikes.
        """
        begun = time.perf_counter()
        counts = np.zeros((len(inputs.offsets) - 1, at.N_COUNTS), np.int64)
        self._spikes_per_sample = max(self._spikes_per_sample, 4 * circuit.neuron_id.size + 64)

        found = [0]

        def work(bounds: tuple[int, int]) -> NDArray[np.int64]:
            part = self._chunk(inputs, bounds, circuit, trial, counts, watch)
            found[0] += len(part)
            if found[0] > MAX_SPIKES:
                raise _too_many(bounds)
            return part

        parts = self._in_chunks(work, len(counts), progress)
        elapsed_s = time.perf_counter() - begun
        self._sample_s = max(1e-7, elapsed_s * self._threads / max(1, len(counts)))
        return np.concatenate(parts or [np.empty(0, np.int64)]), counts

    def _chunk(
        self,
        inputs: at.Inputs,
        bounds: tuple[int, int],
        circuit: at.Circuit,
        trial: at.Trial,
        counts: NDArray[np.int64],
        watch: at.Watch,
    ) -> NDArray[np.int64]:
        n_samples = bounds[1] - bounds[0]
        while True:
            events = self._events_per_step
            out = np.empty(min(n_samples * self._spikes_per_sample, MAX_SPIKES), np.int64)
            written: int = run_samples(inputs, *bounds, circuit, trial, events, out, counts, watch)
            if written >= 0:
                return out[:written].copy()
            if written == at.EVENTS_FULL:
                self._events_per_step = max(self._events_per_step, 2 * events)
            elif len(out) >= MAX_SPIKES:
                raise _too_many(bounds)
            else:
                self._spikes_per_sample = max(self._spikes_per_sample, 4 * len(out) // n_samples)

    def _in_chunks(
        self, work: Callable[[tuple[int, int]], NDArray[np.int64]], n_samples: int, progress: Progress | None
    ) -> list[NDArray[np.int64]]:
        share = n_samples if self._threads == 1 else -(-n_samples // (2 * self._threads))
        size = max(1, min(share, round(_CHUNK_S / self._sample_s)))
        if n_samples * self._sample_s < _HAND_OVER_S:
            size = max(1, n_samples)
        bounds = [(k, min(k + size, n_samples)) for k in range(0, n_samples, size)]
        quick = len(bounds) <= 1  # over before anybody could ask how far it is
        if quick or (self._threads == 1 and progress is None):
            return [work(b) for b in bounds]
        futures = [self._pool.submit(work, b) for b in bounds]
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = wait(waiting, _CHUNK_S, FIRST_COMPLETED)
                for future in done:
                    future.result()
                if progress is not None:
                    finished = sum(b[1] - b[0] for b, f in zip(bounds, futures, strict=True) if f.done())
                    if progress(finished, n_samples):
                        raise RunCancelledError(f"cancelled after {finished} of {n_samples} samples")
        finally:
            for future in waiting:
                future.cancel()
            wait(waiting)
        return [future.result() for future in futures]


def _too_many(bounds: tuple[int, int]) -> LimitExceededError:
    return LimitExceededError(
        f"more than {MAX_SPIKES} spikes up to sample {bounds[1] - 1}",
        field="inputs",
        hint="run fewer or shorter samples, or raise thresholds",
    )
