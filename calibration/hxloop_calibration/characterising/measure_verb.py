"""The verb `hxloop.measure`: what a chip shows of its spreads and noises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.chip import Chip
from hxloop.codes.boot import BootSettings
from hxloop.codes.calibration_table import CalibrationTable
from hxloop.codes.capmem import Cell
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError
from hxloop.kit import arguments
from hxloop.progress import Started, StepDone, progress_of
from hxloop_calibration.characterising import circuit_values as values
from hxloop_calibration.characterising import noise_runs as noise
from hxloop_calibration.characterising.measurements import Measurements
from hxloop_calibration.characterising.single_rows import single_synapses
from hxloop_calibration.characterising.volleys import volleys
from hxloop_calibration.families import ROUTINES
from hxloop_calibration.measuring.chip_bench import Bench
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, rest_mv
from hxloop_calibration.targets import Target, start_codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hxloop.progress import Report

    Arrays = dict[str, NDArray[Any]]

LATER_S: Final = 7200.0
"""Chip time from one set of threshold curves to the next: what drifts within ten minutes is then another value."""


def measure(
    chip: Chip,
    *,
    calibration: CalibrationTable | None = None,
    seed: int = 0,
    report: Report = None,
) -> Measurements:
    """Measure what a chip shows of its spreads and noises, with nominal codes and with those of its calibration.

    Parameters
    ----------
    chip : Chip
        Emulated or real; only what it shows is used.
    calibration : CalibrationTable, optional
        Calibration to look at instead of the codes the chip boots with.
    seed : int
        Names the trial on an emulated chip: same seed, same chip, same measurements.
    report : listener or list of listeners, optional
        Told of the progress (`hxloop.progress`); lines on stderr by default.

    Returns
    -------
    Measurements

    Raises
    ------
    InvalidInputError
        The chip has no codes to measure at: its parameters are what they are set to.
    ChipMismatchError
        The calibration is that of another chip.
    ServiceError
        The chip cannot be reached any more.

    Examples
    --------
    >>> with hxloop.launch("typical", serial=7) as chip:  # doctest: +SKIP
    ...     hxloop.measure(chip).save("seven.h5")
    """
    arguments.like(chip, "chip", Chip, "a chip (hxloop.launch, hxloop.connect)")
    seed, progress = arguments.whole_number(seed, "seed", highest=arguments.SEED_MAX), progress_of(report)
    if chip.spec.continuous_codes:
        raise InvalidInputError(
            f"{chip.spec.name} has no spread to measure: its parameters are what they are set to", field="chip"
        )
    arguments.optional(
        arguments.of_type, calibration, "calibration", kind=CalibrationTable, takes="a table (hxloop.load_calibration)"
    )
    boot = chip.boot
    if calibration is not None:
        calibration.check_chip(chip)
        boot = BootSettings(calibration.operating_point, calibration.neurons, calibration.shared)
    work = _Work(chip, boot, seed)
    steps = work.steps()
    with progress.during(Started(f"measuring {chip.identity.brief}", len(steps), "step")):
        for k, (name, step) in enumerate(steps):
            work.bench.begin_step(progress, k, name)
            step()
            progress.tell(StepDone(k + 1, name, "measured"))
    note = "codes of a calibration table" if calibration else "codes that the chip boots with"
    return Measurements(chip.identity, work.found, f"hxloop measure, seed {seed}; boot: {note}")


class _Work:
    """Measurements under way: one bench, whose codes go from nominal ones to levelled ones to those of the boot."""

    def __init__(self, chip: Chip, boot: BootSettings, seed: int) -> None:
        self.chip, self.boot, self.seed = chip, boot, seed
        self.target = Target(neuron=boot.target)
        plain = nominal_boot(chip.spec, boot.target)
        self.bench = Bench(chip, start_codes(self.target, plain, chip.spec), seed=seed)
        self.bench.shared = plain.shared
        self.found: Arrays = {}
        self.levels = np.empty((0, 0))

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        """What is done, in order."""
        found = [
            ("spreads with nominal codes", self._nominal),
            ("spreads of potentials", self._potentials),
            ("writing, converters, membranes", self._noise),
            ("stamps and thresholds", self._spikes),
            ("synapses, one and many", self._synapses),
            ("drift", self._drift),
        ]
        return [*found, ("calibration", self._calibration)] if _differ(self.boot) else found

    def _keep(self, prefix: str, arrays: Arrays) -> None:
        self.found |= {f"{prefix}/{name}": array for name, array in arrays.items()}

    def _nominal(self) -> None:
        bench, target = self.bench, self.target
        times = values.NOMINAL_REPEATS
        self._keep("nominal", values.repeated(lambda: values.converters(bench, target), times))
        self._keep("nominal", values.repeated(lambda: values.shapes_and_gains(bench, target), times))

    def _potentials(self) -> None:
        bench, target = self.bench, self.target
        times = values.NOMINAL_REPEATS
        for one in (values.resting_potentials, values.resets, values.capacitances):
            self._keep("nominal", values.repeated(lambda one=one: one(bench, target), times))  # type: ignore[misc]
        self._keep("nominal", values.spread_thresholds(bench, target, times + 1))
        self._keep("nominal", {"rest_code": values.rest_codes(), "capacitance_pf": values.capacitances_pf(bench)})
        wanted = target.neuron.synapse_gain_mv_per_us
        self._keep("nominal", {"gain_wanted_mv_per_us": np.array([wanted])})
        values.level(bench, target, self.found)

    def _noise(self) -> None:
        bench = self.bench
        self.found |= noise.rewritten(bench) | noise.converter_noise(bench)
        bench.known |= ROUTINES["tau_mem"].measure(bench, self.target)
        self.found |= noise.membrane_noise(bench, bench.known["tau_mem_us"])

    def _spikes(self) -> None:
        bench = self.bench
        self.found |= noise.stamps(bench)
        bench.known.pop("v_threshold_mv", None)
        threshold = ROUTINES["threshold"].measure(bench, self.target)["v_threshold_mv"]
        rest = rest_mv(bench, bench.with_cells({Cell.v_threshold: OUT_OF_REACH}), self.target.neuron.tau_mem_us)
        self.levels = noise.rise_codes(bench, threshold, rest)
        self._rises(bench)

    def _rises(self, bench: Bench) -> None:
        """Threshold curves at the chip time of a bench, behind those of before."""
        begin_s, curves = bench.now_s, noise.rises(bench, self.levels)
        for name, now in (("noise/rise_fraction", curves.pop("noise/rise_fraction")), ("noise/rise_time_s", begin_s)):
            before = self.found.get(name)
            self.found[name] = np.array([now]) if before is None else np.concatenate([before, [now]])
        self.found |= curves

    def _synapses(self) -> None:
        neuron = self.target.neuron
        self.found |= single_synapses(self.bench, self.bench.known["tau_mem_us"], neuron.tau_syn_us)
        self.found |= volleys(self.bench, neuron.synapse_gain_mv_per_us)

    def _drift(self) -> None:
        before = self.bench
        self.bench = Bench(self.chip, before.neurons, seed=self.seed, begin_s=before.now_s + LATER_S)
        self.bench.shared = before.shared
        self.bench.cadc_scale, self.bench.madc_scale = before.cadc_scale, before.madc_scale
        self._rises(self.bench)

    def _calibration(self) -> None:
        bench, target, times = self.bench, self.target, values.BOOT_REPEATS
        bench.neurons, bench.shared = start_codes(target, self.boot, self.chip.spec), self.boot.shared
        bench.known.clear()
        ROUTINES["cadc"].measure(bench, target)
        self._keep("boot", values.repeated(lambda: values.shapes_and_gains(bench, target), times))
        self._keep("boot", values.repeated(lambda: values.potentials(bench, target), times))
        rise_mv = target.neuron.v_threshold_mv - target.neuron.v_leak_mv
        codes = bench.neurons.capmem_code.astype(np.float64)
        self._keep("boot", {"code": codes, "rise_mv": np.array([rise_mv])})


def _differ(boot: BootSettings) -> bool:
    """Whether circuits boot with codes of their own; else nobody has calibrated them."""
    return bool((boot.neurons.capmem_code != boot.neurons.capmem_code[:1]).any())
