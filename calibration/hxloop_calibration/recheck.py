"""Is a table still true? Everything is measured again with its codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.errors import UnreadableFileError
from hxloop.files.json_model import from_json
from hxloop.progress import Started, StepDone, progress_of
from hxloop_calibration.families import FAMILIES
from hxloop_calibration.measuring.chip_bench import Bench
from hxloop_calibration.measuring.drift_stamp import rms_change_us, stamp
from hxloop_calibration.options import Options
from hxloop_calibration.outcome import COVERAGE, pooled_std
from hxloop_calibration.pipeline import plan
from hxloop_calibration.targets import Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.codes.calibration_table import Calibrated, CalibrationTable
    from hxloop.progress import Report

    Floats = NDArray[np.float64]

REPEATS: Final = 2
_FACTOR: Final = 1.5  # of the root mean square change over that of noise; by chance it is 1 +- 0.05
_SIGMAS: Final = 5.0
_ENOUGH: Final = 32
_LEAST: Final = 0.1


@dataclass(frozen=True)
class Drifted:
    """How a parameter moved since its table was made.

    Attributes
    ----------
    name, unit : str
    n_changed : int
        Entries that moved by more than five standard deviations, or cannot be measured any more.
    n_outside : int
        Entries that are now further from their target than the tolerance, and were not before.
    rms_change, noise : float
        Root mean square of all changes, and what it would be without any.
    least : float
        Smaller changes do not matter: a tenth of the tolerance. Some errors are common to all circuits and drawn once
        per measurement, so that few measurements say little about them.
    """

    name: str
    unit: str
    n_changed: int
    n_outside: int
    rms_change: float
    noise: float
    least: float

    @property
    def significant(self) -> bool:
        """More than noise, and enough to matter."""
        return self.rms_change > max(_FACTOR * self.noise, self.least)


@dataclass(frozen=True)
class Check:
    """A table, measured again.

    Attributes
    ----------
    parameters : dict of str to Drifted
    rms_change_us, limit_us : float
        Change of the answers to the standard stimulus, and how much is allowed.
    """

    parameters: dict[str, Drifted]
    rms_change_us: float
    limit_us: float

    @property
    def expired(self) -> bool:
        """The chip answers otherwise than when it was calibrated."""
        return self.rms_change_us > self.limit_us

    def summary(self) -> dict[str, Any]:
        """Figures, plain values."""
        return {
            "expired": self.expired,
            "rms_change_us": self.rms_change_us,
            "limit_us": self.limit_us,
            "drifted": [name for name, p in self.parameters.items() if p.significant],
            "parameters": {n: {**vars(p), "significant": p.significant} for n, p in self.parameters.items()},
        }

    def lines(self) -> list[str]:
        """What to tell a user."""
        found = [
            f"{p.name}: changed by {p.rms_change:.3g} {p.unit} (noise {p.noise:.3g}), {p.n_changed} beyond noise, "
            f"{p.n_outside} now outside their tolerance" + (" <- drifted" if p.significant else "")
            for p in self.parameters.values()
        ]
        verdict = "expired: calibrate again" if self.expired else "still good"
        return [
            *found,
            f"answers to the standard stimulus moved by {self.rms_change_us:.3g} us, {self.limit_us:.3g} us allowed: "
            f"{verdict}",
        ]


def check(chip: Chip, table: CalibrationTable, *, begin_s: float | None = None, report: Report = ()) -> Check:
    """Measure a table's parameters again.

    Parameters
    ----------
    chip : Chip
    table : CalibrationTable
    begin_s : float, optional
        Chip time now; by default just after the calibration. Silicon has its own clock.
    report : listener or list of listeners
        Told of the progress, by default nobody.

    Raises
    ------
    ChipMismatchError
        The table belongs to another chip.
    UnreadableFileError
        The table does not say how it was measured, or lacks a parameter.
    """
    bench, target, options = _again(chip, table, begin_s)
    routines = FAMILIES[options.method].routines
    names, progress = plan(target, options, chip.spec), progress_of(report)
    found: dict[str, Drifted] = {}
    with progress.during(Started(f"measuring {chip.identity.brief} again", len(names) + 1, "routine")):
        for k, name in enumerate(names):
            bench.begin_step(progress, k, name)
            repeats = [routines[name].measure(bench, target) for _ in range(REPEATS)]
            measured = {key: np.stack([values[key] for values in repeats]) for key in repeats[0]}
            bench.known |= {key: values.mean(axis=0) for key, values in measured.items()}
            found |= {key: _compare(_stored(table, key), v, options.rewrites) for key, v in measured.items()}
            changed = [key for key in measured if found[key].significant]
            text = f"drifted: {', '.join(changed)}" if changed else "as it was"
            progress.tell(StepDone(k + 1, name, text))
        bench.begin_step(progress, len(names), "standard stimulus")
        now = stamp(bench, target, options.drift_limit_us)
        moved = rms_change_us(table.drift, now)
        progress.tell(StepDone(len(names) + 1, "standard stimulus", f"moved by {moved:.3g} us"))
    return Check(found, moved, table.drift.limit_us)


def answers_moved_us(chip: Chip, table: CalibrationTable, begin_s: float | None = None) -> float:
    """Change of the answers to the standard stimulus alone, which takes four writings of the codes; see `check`."""
    bench, target, options = _again(chip, table, begin_s)
    return rms_change_us(table.drift, stamp(bench, target, options.drift_limit_us))


def _again(chip: Chip, table: CalibrationTable, begin_s: float | None) -> tuple[Bench, Target, Options]:
    table.check_chip(chip)
    target = from_json(table.target, Target, f"the target of the table of {table.identity}", "calibration")
    options = from_json(table.options, Options, f"the options of the table of {table.identity}", "calibration")
    begin = table.ended_s if begin_s is None else begin_s
    bench = Bench(chip, table.neurons, seed=options.seed, begin_s=begin)
    bench.shared = table.shared
    return bench, target, options


def _stored(table: CalibrationTable, name: str) -> Calibrated:
    if name not in table.parameters:
        raise UnreadableFileError(f"the table of {table.identity} has no {name}", field="calibration")
    return table.parameters[name]


def _compare(before: Calibrated, measured: Floats, rewrites: int) -> Drifted:
    now = measured.mean(axis=0)
    noise = pooled_std(measured) * np.sqrt(1.0 / len(measured) + 1.0 / rewrites)
    if len(now) < _ENOUGH:  # the scatter of so few entries says little: what the table states counts
        noise = max(noise, float(np.median(before.uncertainty)) / COVERAGE)
    known = np.isfinite(before.achieved)
    change = (now - before.achieved)[known]
    lost = ~np.isfinite(change)
    # A few circuits at the edge of what can be measured do not make a drift: as for noise, 2 % are left out.
    kept = np.sort(np.abs(change[~lost]))[: max(1, round(0.98 * (~lost).sum()))]
    least = _LEAST * before.tolerance
    outside = before.success & ~(np.abs(now - before.target) <= before.tolerance)
    return Drifted(
        name=before.name,
        unit=before.unit,
        n_changed=int(lost.sum() + (np.abs(change[~lost]) > max(_SIGMAS * noise, least)).sum()),
        n_outside=int(outside.sum()),
        rms_change=float(np.sqrt(np.mean(kept**2))) if kept.size else float("inf"),
        noise=float(noise),
        least=least,
    )
