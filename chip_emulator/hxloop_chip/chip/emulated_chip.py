"""The emulated chip: satisfies `hxloop.chip.Chip`, in the process that holds it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.chip import ChipIdentity
from hxloop.energy.itemised import chip_energy_j
from hxloop.errors import OutOfRangeError, SessionError
from hxloop.kit.turns import Turn, Unsendable
from hxloop.result import Readout, RunResult
from hxloop.seeds import derive_seed
from hxloop.spikes import SpikeBatch, no_spikes
from hxloop_chip.checks.configurations import check_config
from hxloop_chip.checks.readout_limits import check_readout
from hxloop_chip.chip import observing
from hxloop_chip.chip.configured import Configured, analog_codes, make_configured
from hxloop_chip.chip.delivery import deliver, deliver_plain
from hxloop_chip.chip.event_queues import late_events, late_stamps
from hxloop_chip.chip.membrane_reads import MembraneReads
from hxloop_chip.chip.running import Runner
from hxloop_chip.chip.smallest_run import run_one_synapse
from hxloop_chip.chip.spared import Sparing
from hxloop_chip.silicon.boot_codes import boot_settings
from hxloop_chip.silicon.mechanisms.addressed_draws import TrialDraws
from hxloop_chip.silicon.mechanisms.in_circuits.temperature import PERIOD_US, Spell, spells
from hxloop_chip.silicon.mechanisms.mechanism import Passing
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.silicon.presets import MODEL_VERSION, named_chip
from hxloop_chip.solver import layout as at
from hxloop_chip.solver.edges.intake import unpack, unpack_first
from hxloop_chip.solver.stopping import never
from hxloop_chip.wiring.link_loss import admitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from hxloop.codes.boot import BootSettings
    from hxloop.program import ChipConfig
    from hxloop.result import Recording
    from hxloop.spec import ChipSpec
    from hxloop_chip.chip.delivery import Delivered

_HOOKS: Final = ("on_way_in", "in_solver", "on_way_out", "reading")
"""What a chip asks of mechanisms by itself (`hxloop_chip.silicon.mechanisms.mechanism.Mechanism`)."""


class EmulatedChip(Unsendable):
    """A chip of given silicon; see `hxloop.chip.Chip`.

    Parameters
    ----------
    chip : str
        Named chip (`hxloop_chip.silicon.presets.named_chip`).
    serial : int
        Serial number of the silicon.
    threads : int
        Threads that share the samples of a run; results do not depend on it.
    """

    def __init__(self, chip: str = "typical", serial: int = 1, threads: int = 1) -> None:
        if threads < 1:
            raise OutOfRangeError(f"{threads} threads, at least 1 is needed", field="threads")
        named = named_chip(chip)
        self._spec, self._imperfections = named.spec, named.imperfections
        self._identity = ChipIdentity(chip=chip, serial=serial, spec=self._spec.name, model=MODEL_VERSION)
        self.mismatch = Mismatch(self._spec, self._imperfections, serial)
        self._acting = {hook: self._imperfections.acting(hook) for hook in _HOOKS}
        self._sigmas = np.zeros(at.N_SIGMAS)
        for fill in self._acting["in_solver"]:
            fill(self._sigmas, self._spec)
        self._boot = boot_settings(named, self.mismatch, serial)
        self._runner = Runner(threads)
        self._sparing = Sparing()
        self._configured: Configured | None = None
        self._turn = Turn("this chip")

    @property
    def spec(self) -> ChipSpec:
        """Datasheet."""
        return self._spec

    @property
    def identity(self) -> ChipIdentity:
        """Name and serial."""
        return self._identity

    @property
    def boot(self) -> BootSettings:
        """Codes the chip boots with and what they were calibrated for."""
        return self._boot

    def configure(self, config: ChipConfig) -> str:
        """Write a configuration; see `hxloop.chip.Chip.configure`. Threads take turns."""
        with self._turn.taken():
            return self._configure(config)

    def _configure(self, config: ChipConfig) -> str:
        sha256, known = config.sha256(), self._configured
        if known is not None and known.sha256 == sha256:
            return sha256
        made = known and known.reweighted(config, sha256, self._spec)  # as in every step of a training
        if made is None:
            check_config(config, self._spec)
            held = self.mismatch.held(analog_codes(config), config.shared, noisy=True)
            made = make_configured(config, sha256, held, self.mismatch, self._imperfections, self._spec)
        self._configured = made
        return sha256

    def run(
        self,
        inputs: SpikeBatch,
        *,
        duration_ticks: int,
        trial_seed: int = 0,
        first_sample: int = 0,
        record: Recording = "spikes",
        neurons: tuple[int, ...] | None = None,
        readout: Readout | None = None,
        config: ChipConfig | None = None,
        progress: Callable[[int, int], bool] | None = None,
        stop_words: NDArray[np.int64] | None = None,
    ) -> RunResult:
        """Run samples; see `hxloop.chip.Chip.run`. Threads take turns.

        Parameters
        ----------
        progress : callable, optional
            Called with (samples done, samples) about every 40 ms; a true answer cancels the run.
        stop_words : int64 [N_WORDS], optional
            Another way to cancel it, within microseconds (`hxloop_chip.solver.stopping`).

        Raises
        ------
        RunCancelledError
            `progress` or `stop_words` asked for it.
        SessionError
            `progress` or a signal handler used the chip, or a forked process did.
        """
        with self._turn.taken(), self._trying(config):
            return self._run(
                inputs, duration_ticks, trial_seed, first_sample, record, neurons, readout or Readout(), progress,
                never() if stop_words is None else stop_words,
            )  # fmt: skip

    def _run(
        self,
        inputs: SpikeBatch,
        duration_ticks: int,
        trial_seed: int,
        first_sample: int,
        record: Recording,
        neurons: tuple[int, ...] | None,
        readout: Readout,
        progress: Callable[[int, int], bool] | None,
        stop_words: NDArray[np.int64],
    ) -> RunResult:
        begun = time.perf_counter()
        configured, delivered = self._ready(inputs, duration_ticks)
        chosen = None if neurons is None else configured.recorded(neurons)
        check_readout(readout, configured.config.neurons.circuit, self._spec, duration_ticks, inputs.n_samples)
        needs_all = readout.counters or readout.correlation
        columns = configured.columns(neurons) if record == "first_ticks" else None
        first_only = record != "spikes" and not needs_all
        trial = self._trial(duration_ticks, trial_seed, first_sample, first_only)
        if delivered is None:
            on_way_in = self._acting["on_way_in"]
            delivered = deliver(inputs, configured.config.background, configured.wiring, self._spec, trial, on_way_in)
        if self._queueing:
            delivered = late_events(delivered, inputs, configured.wiring, self._spec, trial)
        silicon = observing.Silicon(self._spec, self.mismatch, self._acting["reading"])
        reads = MembraneReads(readout, configured.config, configured.neurons, silicon, trial, inputs.n_samples)
        circuit_at = configured.at_temperature if needs_all else partial(configured.at_temperature, recorded=chosen)
        found = self._temperatures(trial, inputs.n_samples)
        solved = self._sparing.solved_by(circuit_at, reads.neurons, delivered.inputs, trial)
        packed, counts = self._runner.run(delivered.inputs, found, solved, trial, reads, progress, stop_words)
        if self._queueing:
            packed = late_stamps(packed, counts, configured.neurons, self._spec, trial)
        first_ticks = None
        if columns is not None and first_only and not self._acting["on_way_out"]:
            first_ticks = _first_ticks(packed, counts, columns.of_neuron, len(columns.heads), self._spec.link_out_depth)
        spikes, most = no_spikes(inputs.n_samples), 0
        if first_ticks is None:
            spikes, most = _unpack(packed, counts, configured.neurons.heads)
        observations = observing.observe(
            readout, reads, spikes, delivered.inputs, configured.config, configured.neurons, configured.wiring,
            configured.sensors, silicon, trial, stop_words,
        )  # fmt: skip
        if needs_all:
            spikes = _asked_for(spikes, record, None if chosen is None else configured.neurons.heads[chosen])
        all_arrive = most <= self._spec.link_out_depth and not self._acting["on_way_out"]
        sent, lost_out = (spikes, 0) if all_arrive else self._reaching_host(spikes, trial)
        if columns is not None and first_ticks is None:
            sent, first_ticks = no_spikes(inputs.n_samples), sent.first_ticks(columns.heads)
        counted = self._counted(delivered, counts, lost_out, readout, inputs.n_samples, duration_ticks)
        return RunResult(
            spikes=sent,
            emulation_time_us=(time.perf_counter() - begun) * 1e6,
            observations=observations,
            first_ticks=first_ticks,
            **counted,
        )

    def _counted(
        self,
        delivered: Delivered,
        counts: NDArray[np.int64],
        lost_out: int,
        readout: Readout,
        n_samples: int,
        duration_ticks: int,
    ) -> dict[str, Any]:
        """Counts of a run and its energy, but for the wall time; by their names in `hxloop.result.RunCounts`."""
        assert self._configured is not None
        out, late, reached = counts.sum(axis=0)[[at.COUNT_OUT, at.COUNT_LOST, at.COUNT_REACHED]].tolist()
        chip_time_us = n_samples * duration_ticks * self._spec.tick_us
        used = {
            "synaptic_events": delivered.reached + reached,
            "cadc_reads": n_samples * readout.cadc_reads(duration_ticks) + self._spec.n_rows * readout.correlation,
            "madc_reads": 0 if readout.madc_circuit is None else n_samples * self._spec.madc_reads(duration_ticks),
        }
        circuit_time_us = len(self._configured.config.neurons.circuit) * chip_time_us
        energy_j = chip_energy_j(
            chip_time_s=chip_time_us * 1e-6, circuit_time_s=circuit_time_us * 1e-6,
            events=delivered.events_in + out, **used,
        )  # fmt: skip
        return used | {
            "events_in": delivered.events_in,
            "events_out": out,
            "lost_in": delivered.lost,
            "lost_out": lost_out,
            "lost_late": late,
            "chip_time_us": chip_time_us,
            "circuit_time_us": circuit_time_us,
            "energy_j_estimate": sum(energy_j.values()),
        }

    @contextmanager
    def _trying(self, config: ChipConfig | None) -> Iterator[None]:
        """Write a configuration, if there is one; whatever goes wrong, the one before is back in force."""
        before = self._configured
        if config is not None:
            self._configure(config)
        try:
            yield
        except BaseException:
            self._configured = before
            raise

    def _reaching_host(self, spikes: SpikeBatch, trial: at.Trial) -> tuple[SpikeBatch, int]:
        """What comes out of the link to the host, and how many it has lost."""
        spec, lane = self._spec, np.zeros(spikes.n_spikes, np.int64)
        arrive = admitted(spikes.offsets, spikes.tick, lane, 1, spec.link_out_per_tick, spec.link_out_depth)
        for pass_on in self._acting["on_way_out"]:
            spikes, arrive = pass_on(Passing(spikes, arrive), TrialDraws(trial.key, trial.first_sample))
        return spikes.select(arrive), int((~arrive).sum())

    def warm_up(self) -> None:
        """Compile the kernels of ordinary runs, or load them from the cache; others are compiled when needed."""
        before = self._configured
        run_one_synapse(self, record="first_ticks")
        self._configured = before

    @property
    def _queueing(self) -> bool:
        return bool(self._sigmas[at.SIGMA_WAIT] > 0.0)

    def _ready(self, inputs: SpikeBatch, duration_ticks: int) -> tuple[Configured, Delivered | None]:
        """What a run needs, its inputs checked; and these delivered, unless that takes more than one pass."""
        configured = self._configured
        if configured is None:
            raise SessionError("the chip has no configuration yet", field="config_hash", hint="configure it first")
        if not 1 <= duration_ticks <= self._spec.max_run_ticks:
            raise OutOfRangeError(f"{duration_ticks} is outside 1..{self._spec.max_run_ticks}", field="duration_ticks")
        plain = None
        if not self._acting["on_way_in"]:
            plain = deliver_plain(
                inputs, configured.config.background, configured.wiring, self._spec, duration_ticks,
                named=self._queueing,
            )  # fmt: skip
        if plain is None:
            self._check_inputs(inputs, configured, duration_ticks)
        return configured, plain

    def _check_inputs(self, inputs: SpikeBatch, configured: Configured, duration_ticks: int) -> None:
        inputs.check("inputs", duration_ticks=duration_ticks, n_sources=self._spec.n_input_channels)
        known = configured.wiring.inputs.knows(inputs.source.astype(np.int64))
        if not known.all():
            k = int((~known).argmax())
            raise OutOfRangeError(
                f"input channel {inputs.source[k]} drives no synapse row in this configuration",
                field=f"inputs.source[{k}]",
            )

    def _temperatures(self, trial: at.Trial, n_samples: int) -> list[Spell]:
        """Temperatures that the samples of a run find."""
        sigma_k = self._imperfections.temperature_trial_k
        if not sigma_k:
            return [Spell(0, n_samples, 0.0)]
        return [*spells(sigma_k, trial.key, trial.first_sample, n_samples, trial.duration, self._spec.tick_us)]

    def _trial(self, duration_ticks: int, trial_seed: int, first_sample: int, first_only: bool) -> at.Trial:
        return at.Trial(
            duration=duration_ticks,
            sigma=self._sigmas,
            key=np.uint64(derive_seed(trial_seed, "trial", self._identity.serial)),
            first_sample=first_sample,
            first_only=first_only,
            drift_samples=PERIOD_US / (duration_ticks * self._spec.tick_us),
            event_by_event=False,
        )


def _unpack(packed: NDArray[np.int64], counts: NDArray[np.int64], heads: NDArray[np.int64]) -> tuple[SpikeBatch, int]:
    """Spikes, and the most of them in one sample."""
    batch = SpikeBatch(np.empty(len(counts) + 1, np.int64), np.empty_like(packed), np.empty(len(packed), np.int32))
    return batch, unpack(packed, counts, heads, batch.offsets, batch.tick, batch.source)


def _asked_for(spikes: SpikeBatch, record: Recording, heads: NDArray[np.int64] | None) -> SpikeBatch:
    """What was to be recorded, of all spikes; None: of all neurons."""
    spikes = spikes if record == "spikes" else spikes.first_of_each_source()
    return spikes if heads is None else spikes.select(np.isin(spikes.source, heads))


def _first_ticks(
    packed: NDArray[np.int64], counts: NDArray[np.int64], column: NDArray[np.int64], n_columns: int, most: int
) -> NDArray[np.uint32] | None:
    """First spikes of the neurons that have a column, in one pass; None if a sample has more than so many spikes."""
    first = np.empty((len(counts), n_columns), np.uint32)
    return first if unpack_first(packed, counts, column, first) <= most else None
