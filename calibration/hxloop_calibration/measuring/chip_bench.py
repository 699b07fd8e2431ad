"""A chip on the bench: the codes that have been found, what has been measured, the time that passes, what it costs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.calibration_table import Cost
from hxloop.codes.capmem import Cell, QuadrantCell
from hxloop.program import COUNTER, ChipConfig, Routes, Synapses
from hxloop.progress import Advanced
from hxloop.result import Readout
from hxloop.seeds import bench_trial_seed, generator
from hxloop.spec import quadrant
from hxloop.spikes import SpikeBatch
from hxloop_calibration.measuring.stimulus import Stimulus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.program import NeuronCodes
    from hxloop.progress import Progress
    from hxloop.result import RunResult
    from hxloop_calibration.measuring.converter_readings import CadcScale, MadcScale

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

SETTLE_S: Final = 0.02
"""Time the analog memory takes after a change (calix, constants.py: capmem_level_off_time)."""
ROUND_TRIP_S: Final = 150e-6
"""Time to send a program to the chip and get its answer (hxcomm, test-latency.cpp: median)."""

_UNUSED = Cell.e_reversal_inh  # without the conductance switch this cell does nothing
_UNUSED_LOW, _UNUSED_SPAN = 80, 900


class Bench:
    """A chip that is being calibrated.

    Parameters
    ----------
    chip : Chip
    start : NeuronCodes
        Codes to begin with, one entry per circuit of the chip.
    seed : int
        Names the trial of all runs, and the random numbers of searches.
    begin_s : float
        Chip time at the beginning.

    Attributes
    ----------
    chip : Chip
    spec : ChipSpec
    stimulus : Stimulus
    neurons : NeuronCodes
        Codes found so far, one entry per circuit of the chip.
    shared : SharedCodes
    known : dict of str to float64 array
        What has been measured so far, by the names of parameters.
    silent : bool [n_circuits]
        Circuits that did not spike when they should have.
    silent_entries : dict of str to bool array
        Entries of parameters that are not per circuit, by their names, that showed no spikes.
    at_edge : dict of str to bool array
        Per parameter, entries whose target needs a code outside its range.
    cadc_scale : CadcScale or None
    madc_scale : MadcScale or None
        What readings mean, once that is known.
    absolute_mv : float
        Standard deviation of the error that all potentials have in common.
    synapse_spread : float64 [2]
        Relative error of both gains because synapses differ.
    by_volley : dict of str to float
        Relative change of what the largest volley of a measurement shows from what an infinitely small one would,
        median over circuits, by the names of parameters; taken off.
    aims : dict of str to float
        Targets that are found by measuring, such as a median over circuits, by the names of parameters.
    setups : dict of str to NeuronCodes
        Codes of set-ups that take long to find, for measurements that need them again.
    """

    def __init__(self, chip: Chip, start: NeuronCodes, *, seed: int = 0, begin_s: float = 0.0) -> None:
        self.chip, self.spec, self.seed = chip, chip.spec, seed
        self.stimulus = Stimulus(chip.spec)
        self.neurons, self.shared = start, chip.boot.shared
        self.known: dict[str, Floats] = {}
        self.silent = np.zeros(chip.spec.n_circuits, np.bool_)
        self.silent_entries: dict[str, NDArray[np.bool_]] = {}
        self.at_edge: dict[str, NDArray[np.bool_]] = {}
        self.cadc_scale: CadcScale | None = None
        self.madc_scale: MadcScale | None = None
        self.absolute_mv = 0.0
        self.synapse_spread = np.zeros(2)
        self.by_volley: dict[str, float] = {}
        self.aims: dict[str, float] = {}
        self.setups: dict[str, NeuronCodes] = {}
        self.costs: list[Cost] = []
        self._trial_seed = bench_trial_seed(seed)
        self._now_us = begin_s * 1e6
        self._written = 0
        self._config: ChipConfig | None = None
        self._open: dict[str, float] = {}
        self._tell: Callable[[], None] = lambda: None

    @property
    def n(self) -> int:
        """Circuits of the chip."""
        return self.spec.n_circuits

    @property
    def now_s(self) -> float:
        """Chip time that has passed since the chip was switched on."""
        return self._now_us * 1e-6

    @property
    def quadrant(self) -> Ints:
        """int64 [n_circuits]: quadrant of each circuit."""
        return quadrant(np.arange(self.n), self.spec)

    def of_quadrants(self, values: Floats, statistic: Callable[[Floats], Any]) -> Floats:
        """A statistic of the values [..., n_circuits] of each quadrant, float64 [n_quadrants]."""
        own = self.quadrant
        return np.array([statistic(values[..., own == q]) for q in range(self.spec.n_quadrants)])

    @property
    def capacitance_pf(self) -> float:
        """Nominal membrane capacitance."""
        return float(nominal.capacitance_pf(self.neurons.capacitance_code[0]))

    @property
    def synapse_step_mv(self) -> float:
        """Nominal step at a synaptic input by one event at weight code 1, median over the quadrants."""
        codes = self.shared.quadrant_code[:, QuadrantCell.i_synapse_dac]
        return float(nominal.synapse_step_mv(float(np.median(codes))))

    def ticks(self, time_us: float) -> int:
        """Ticks in a time, rounded up."""
        return ceil(round(time_us / self.spec.tick_us, 6))

    def rng(self, *path: str | int) -> np.random.Generator:
        """Random numbers of one consumer."""
        return generator(self.seed, "calibration", *path)

    def with_cells(self, cells: Mapping[Cell, Any], **codes: NDArray[Any]) -> NeuronCodes:
        """The codes found so far with some cells, or whole arrays of `NeuronCodes`, replaced; nothing is written."""
        capmem = self.neurons.capmem_code.astype(np.float64)
        for cell, value in cells.items():
            capmem[:, cell] = value
        # What follows from a measurement that failed is NaN, which no integer stands for.
        stored = np.nan_to_num(np.clip(np.rint(capmem), 0, self.spec.capmem_code_max), nan=0.0).astype(np.int16)
        return replace(self.neurons, capmem_code=stored, **codes)

    def keep(self, cells: Mapping[Cell, Any], **codes: NDArray[Any]) -> None:
        """Make these the codes that have been found."""
        self.neurons = self.with_cells(cells, **codes)

    def keep_shared(self, cells: Mapping[QuadrantCell, Any]) -> None:
        """Make these the codes of the quadrants that have been found."""
        codes = self.shared.quadrant_code.copy()
        for cell, value in cells.items():
            codes[:, cell] = value
        self.shared = replace(self.shared, quadrant_code=codes)

    def write(self, neurons: NeuronCodes, codes: Ints | None = None, stimulus: Stimulus | None = None) -> None:
        """Write a configuration and let it settle.

        Parameters
        ----------
        neurons : NeuronCodes
        codes : int64 [N_GROUPS, 2, n_circuits], optional
            Sums of weight codes, as in `Stimulus.synapses`; without, there are no synapses.
        stimulus : Stimulus, optional
            Wiring, instead of that of the bench.
        """
        if codes is None:
            none = np.empty(0, np.int16)
            synapses = Synapses(none, none, none.astype(np.uint8), none.astype(np.int8))
            wiring = (synapses, np.zeros((self.spec.n_hemispheres, self.spec.n_rows), np.int8), Routes.none())
        else:
            wired = stimulus or self.stimulus
            wiring = (wired.synapses(codes), wired.row_sign(), wired.routes())
        self.write_whole(ChipConfig(neurons, self.shared, *wiring, Routes.none()))

    def write_whole(self, config: ChipConfig) -> None:
        """Write a configuration with a wiring of its own and let it settle."""
        # A cell that does nothing changes with every writing: then the noise of writing is drawn anew on an emulated
        # chip too, as it is on silicon.
        neurons = config.neurons
        capmem = neurons.capmem_code.copy()
        capmem[:, _UNUSED] = _UNUSED_LOW + self._written % _UNUSED_SPAN
        self._written += 1
        self._config = replace(config, neurons=replace(neurons, capmem_code=capmem))
        self._pass("settle_s", SETTLE_S)
        self._count("configurations", 1)

    def reweight(self, codes: Ints) -> None:
        """Change the weights alone; digital memory needs no settling."""
        assert self._config is not None
        self._config = self._config.with_weight_codes(self.stimulus.synapses(codes).weight_code)

    def recount(self, counter: NDArray[Any]) -> None:
        """Change the refractory counters alone, of all circuits of the configuration; digital memory, too."""
        assert self._config is not None
        self._config = self._config.with_arrays({COUNTER: counter})

    def run(
        self,
        inputs: SpikeBatch | int,
        duration_us: float,
        readout: Readout | None = None,
        neurons: tuple[int, ...] | None = None,
    ) -> RunResult:
        """Run with what was written last.

        Parameters
        ----------
        inputs : SpikeBatch or int
            Events, or a number of samples without any.
        duration_us : float
            Of each sample.
        readout : Readout, optional
        neurons : tuple of int, optional
            Circuits whose spikes are recorded; all of them may be more than the link to the host carries.
        """
        assert self._config is not None
        batch = SpikeBatch.empty(inputs) if isinstance(inputs, int) else inputs
        ticks = self.ticks(duration_us)
        length_us = ticks * self.spec.tick_us
        first = ceil(self._now_us / length_us)
        self._tell()
        result = self.chip.run(
            batch,
            duration_ticks=ticks,
            trial_seed=self._trial_seed,
            first_sample=first,
            readout=readout or Readout(),
            neurons=neurons,
            config=self._config,
        )
        self._pass("run_s", batch.n_samples * length_us * 1e-6)
        self._pass("round_trips_s", ROUND_TRIP_S)
        self._count("runs", 1)
        self._count("samples", batch.n_samples)
        return result

    def cadc(self, period_us: float = 0.0) -> Readout:
        """Read-out of all circuits by the CADC, by default as often as it can."""
        period = max(self.ticks(period_us), self.spec.cadc_period_ticks)
        return Readout(cadc_circuits=tuple(range(self.n)), cadc_period_ticks=period)

    def cadc_mv(self, result: RunResult) -> Floats:
        """Potentials that the CADC read, float64 [n_samples, n_reads, n_circuits]; NaN where readings are cut off."""
        assert self.cadc_scale is not None
        return self.cadc_scale.mv(result.observations.cadc)

    def begin_step(self, progress: Progress, done: int, name: str) -> None:
        """Tell that a step begins after so many others, and with every run that it goes on."""
        self._tell = partial(progress.tell, Advanced(done, name=name))
        self._tell()

    @contextmanager
    def accounting(self, routine: str) -> Iterator[None]:
        """Add what happens inside to the costs of a routine."""
        before, self._open = self._open, {}
        try:
            yield
        finally:
            spent, self._open = self._open, before
            configurations, runs, samples = (round(spent.get(k, 0.0)) for k in ("configurations", "runs", "samples"))
            settle_s, run_s, trips_s = (spent.get(k, 0.0) for k in ("settle_s", "run_s", "round_trips_s"))
            self.costs.append(Cost(routine, configurations, runs, samples, settle_s, run_s, trips_s))

    def _pass(self, name: str, time_s: float) -> None:
        self._now_us += time_s * 1e6
        self._count(name, time_s)

    def _count(self, name: str, amount: float) -> None:
        self._open[name] = self._open.get(name, 0.0) + amount
