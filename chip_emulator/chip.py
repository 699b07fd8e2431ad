"""The emulated chip: satisfies `hxloop.chip.Chip`, in the process that holds it."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from chip_emulator.check import check_config
from chip_emulator.mismatch import Mismatch
from chip_emulator.neurons import Neurons, build_neurons
from chip_emulator.presets import named_chip
from chip_emulator.solver import layout as at
from chip_emulator.solver.kernel import run_samples
from chip_emulator.solver.tables import kernel_tables
from chip_emulator.synapses import Wiring, wire_up
from hxloop.chip import ChipIdentity
from hxloop.errors import LimitExceededError, OutOfRangeError, RunCancelledError, SessionError
from hxloop.program import ChipConfig, NeuronParameters, Routes, RunResult, Synapses
from hxloop.seeds import derive_seed
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hxloop.program import Recording
    from hxloop.spec import ChipSpec

MODEL_VERSION: Final = "1"
"""Version of the physics; raise it when the same inputs give other spikes."""

_CHUNK_S = 0.04  # progress is reported and a cancel noticed about this often
_MAX_SPIKES = 4_000_000


@dataclass(frozen=True, eq=False)
class _Configured:
    sha256: str
    places: bytes
    neurons: Neurons
    wiring: Wiring
    tables: NDArray[np.float64]
    weights: NDArray[np.float64]


class EmulatedChip:
    """A chip of given silicon; see `hxloop.chip.Chip`.

    Parameters
    ----------
    chip : str
        Named chip: ``ideal``, ``typical``, ``rough``.
    serial : int
        Serial number of the silicon.
    threads : int
        Threads that share the samples of a run; results do not depend on it.
    """

    def __init__(self, chip: str = "typical", serial: int = 1, threads: int = 1) -> None:
        if threads < 1:
            raise OutOfRangeError(f"{threads} threads, at least 1 is needed", field="threads")
        self._spec, self._spreads = named_chip(chip)
        self._identity = ChipIdentity(chip=chip, serial=serial, spec=self._spec.name, model=MODEL_VERSION)
        self._mismatch = Mismatch(self._spec, self._spreads, serial)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="solver")
        self._configured: _Configured | None = None
        self._sample_s = 1e-3  # of the last run, to choose the size of chunks

    @property
    def spec(self) -> ChipSpec:
        """Datasheet."""
        return self._spec

    @property
    def identity(self) -> ChipIdentity:
        """Name and serial."""
        return self._identity

    def configure(self, config: ChipConfig) -> str:
        """Write a configuration; see `hxloop.chip.Chip.configure`."""
        sha256 = config.sha256()
        known = self._configured
        if known is not None and known.sha256 == sha256:
            return sha256
        check_config(config, self._spec)
        places = _places(config)
        if known is not None and known.places == places:
            neurons, wiring, tables = known.neurons, known.wiring, known.tables
        else:
            neurons = build_neurons(config.neurons, self._mismatch, self._spreads, self._spec)
            wiring = wire_up(config, neurons, self._mismatch, self._spec)
            tables = kernel_tables(neurons.parameters)
        weights = wiring.current_steps(config.synapses.weight_code)
        self._configured = _Configured(sha256, places, neurons, wiring, tables, weights)
        return sha256

    def run(
        self,
        inputs: SpikeBatch,
        *,
        duration_ticks: int,
        trial_seed: int = 0,
        first_sample: int = 0,
        record: Recording = "spikes",
        progress: Callable[[int, int], bool] | None = None,
    ) -> RunResult:
        """Run samples; see `hxloop.chip.Chip.run`.

        Parameters
        ----------
        progress : callable, optional
            Called with (samples done, samples) about every 40 ms; a true answer cancels the run.

        Raises
        ------
        RunCancelledError
            `progress` asked for it.
        """
        begun = time.perf_counter()
        configured = self._configured
        if configured is None:
            raise SessionError("the chip has no configuration yet", field="config_hash", hint="configure it first")
        if not 1 <= duration_ticks <= self._spec.max_run_ticks:
            raise OutOfRangeError(f"{duration_ticks} is outside 1..{self._spec.max_run_ticks}", field="duration_ticks")
        inputs.check("inputs", duration_ticks=duration_ticks, n_sources=self._spec.n_input_channels)
        rows = configured.wiring.input_row[inputs.source]
        if rows.size and rows.min() < 0:
            k = int((rows < 0).argmax())
            raise OutOfRangeError(
                f"input channel {inputs.source[k]} drives no synapse row in this configuration",
                field=f"inputs.source[{k}]",
            )
        spikes, counts = self._solve(
            configured, at.Inputs(inputs.offsets, inputs.tick, rows), duration_ticks, trial_seed, first_sample,
            record == "first_spikes", progress,
        )  # fmt: skip
        sums = counts.sum(axis=0)
        chip_time_us = inputs.n_samples * duration_ticks * self._spec.tick_us
        elapsed_us = (time.perf_counter() - begun) * 1e6
        self._sample_s = elapsed_us * 1e-6 * self._threads / max(1, inputs.n_samples)
        return RunResult(
            spikes=spikes,
            events_in=int(sums[at.COUNT_IN]),
            events_out=int(sums[at.COUNT_OUT]),
            events_lost=int(sums[at.COUNT_LOST]),
            chip_time_us=chip_time_us,
            emulation_time_us=elapsed_us,
            energy_j_estimate=self._spec.power_w * chip_time_us * 1e-6,
        )

    def warm_up(self) -> None:
        """Compile all kernels, or load them from the cache."""
        _warm_up(self)

    def _solve(
        self,
        configured: _Configured,
        inputs: at.Inputs,
        duration: int,
        trial_seed: int,
        first_sample: int,
        first_only: bool,
        progress: Callable[[int, int], bool] | None,
    ) -> tuple[SpikeBatch, NDArray[np.int64]]:
        circuit = at.Circuit(
            configured.weights,
            configured.wiring.source_range,
            configured.wiring.source_id,
            configured.neurons.heads.astype(np.uint64),
            configured.wiring.neuron_row,
            configured.neurons.parameters,
            configured.tables,
            self._spec.routing_delay_ticks,
        )
        key = np.uint64(derive_seed(trial_seed, "trial", self._identity.chip, self._identity.serial))
        trial = at.Trial(duration, self._sigmas(), key, first_sample, first_only)
        counts = np.zeros((len(inputs.offsets) - 1, at.N_COUNTS), np.int64)
        sizes = _Sizes(spikes=4 * configured.neurons.n_neurons + 64, events=256)

        def chunk(bounds: tuple[int, int]) -> NDArray[np.int64]:
            return _run_chunk(inputs, bounds, circuit, trial, sizes, counts)

        parts = self._in_chunks(chunk, len(counts), progress)
        packed = np.concatenate(parts or [np.empty(0, np.int64)])
        offsets = np.concatenate([[0], np.cumsum(counts[:, at.COUNT_RECORDED])]).astype(np.int64)
        source = configured.neurons.heads[packed & at.NEURON_MASK].astype(np.int32)
        return SpikeBatch(offsets, packed >> at.NEURON_BITS, source), counts

    def _in_chunks(
        self,
        work: Callable[[tuple[int, int]], NDArray[np.int64]],
        n_samples: int,
        progress: Callable[[int, int], bool] | None,
    ) -> list[NDArray[np.int64]]:
        size = max(1, min(-(-n_samples // (2 * self._threads)), round(_CHUNK_S / self._sample_s)))
        bounds = [(k, min(k + size, n_samples)) for k in range(0, n_samples, size)]
        if self._threads == 1 and progress is None:
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

    def _sigmas(self) -> NDArray[np.float64]:
        sigmas = np.zeros(at.N_SIGMAS)
        sigmas[at.SIGMA_THRESHOLD] = self._spreads.threshold_trial_mv
        sigmas[at.SIGMA_AMPLITUDE] = self._spreads.amplitude_trial
        sigmas[at.SIGMA_JITTER] = self._spreads.jitter_trial_us / self._spec.tick_us
        sigmas[at.SIGMA_MEMBRANE] = self._spreads.membrane_trial_mv
        return sigmas


@dataclass
class _Sizes:
    """Sizes of kernel arrays per sample and step, grown when they prove too small."""

    spikes: int
    events: int


def _run_chunk(
    inputs: at.Inputs,
    bounds: tuple[int, int],
    circuit: at.Circuit,
    trial: at.Trial,
    sizes: _Sizes,
    counts: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Packed spikes of some samples of a batch."""
    while True:
        events = sizes.events
        out = np.empty(min((bounds[1] - bounds[0]) * sizes.spikes, _MAX_SPIKES), np.int64)
        written: int = run_samples(inputs, *bounds, circuit, trial, events, out, counts)
        if written >= 0:
            return out[:written].copy()
        if written == at.EVENTS_FULL:
            sizes.events = max(sizes.events, 2 * events)
        elif len(out) >= _MAX_SPIKES:
            raise LimitExceededError(
                f"more than {_MAX_SPIKES} spikes in samples {bounds[0]}..{bounds[1] - 1}",
                field="inputs",
                hint="run fewer or shorter samples, or raise thresholds",
            )
        else:
            sizes.spikes = max(sizes.spikes, 4 * len(out) // (bounds[1] - bounds[0]))


def _places(config: ChipConfig) -> bytes:
    """Hash of everything but the weights."""
    digest = hashlib.sha256()
    for name, array in config.arrays().items():
        if name != "synapses.weight_code":
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes() + b";")
    return digest.digest()


def _warm_up(chip: EmulatedChip) -> None:
    def of(value: float) -> NDArray[np.float64]:
        return np.array([value])

    circuit = np.zeros(1, np.int16)
    neurons = NeuronParameters(
        circuit, circuit, of(360.0), of(360.0), of(675.0), of(6.0), of(6.0), of(6.0), of(1.0), of(1.0)
    )
    label = np.zeros(1, np.uint8)
    sign = np.zeros((chip.spec.n_hemispheres, chip.spec.n_rows), np.int8)
    sign[0, 0] = 1
    config = ChipConfig(
        neurons,
        Synapses(circuit, circuit, label, np.full(1, 63, np.int8)),
        sign,
        Routes(np.zeros(1, np.int32), circuit, circuit, label),
        Routes(np.zeros(1, np.int32), circuit, circuit, label),
    )
    before = chip._configured
    chip.configure(config)
    chip.run(SpikeBatch.from_arrays([0] * 9, range(9), [0] * 9, 1), duration_ticks=1000)
    chip._configured = before
