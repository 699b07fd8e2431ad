"""A calibration from beginning to end: which routines, in which order, and what comes of them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.calibration_table import CalibrationTable
from hxloop.errors import InvalidInputError
from hxloop.kit.arguments import shown
from hxloop.kit.suggest import suggestion
from hxloop.progress import Started, StepDone, progress_of
from hxloop.version import __version__
from hxloop_calibration.families import FAMILIES
from hxloop_calibration.measuring.chip_bench import Bench
from hxloop_calibration.measuring.drift_stamp import stamp
from hxloop_calibration.outcome import Outcome, settle
from hxloop_calibration.search import SEARCHES
from hxloop_calibration.targets import start_codes

if TYPE_CHECKING:
    from hxloop.chip import Chip, ChipIdentity
    from hxloop.progress import Report
    from hxloop.spec import ChipSpec
    from hxloop_calibration.options import Options
    from hxloop_calibration.targets import Target

CODE_VERSION: Final = "3"
"""Version of the routines; raise it when the same chip would get another table."""


def calibrate(chip: Chip, target: Target, options: Options, report: Report = ()) -> CalibrationTable:
    """Calibrate a chip; see `hxloop_calibration.calibrate_verb.calibrate`, which looks into the cache first.

    Parameters
    ----------
    chip : Chip
        Anything that satisfies the protocol.
    target : Target
    options : Options
    report : listener or list of listeners
        Told of the progress, by default nobody.

    Raises
    ------
    InvalidInputError
        The target is out of reach, or options name what there is not; nothing is run then.
    """
    target = complete(target, options)
    family = FAMILIES[options.method]
    routines = family.routines
    names = plan(target, options, chip.spec)
    progress = progress_of(report)
    bench = Bench(chip, start_codes(target, chip.boot, chip.spec), seed=options.seed, begin_s=options.begin_s)
    _check_tolerances(options, [p.name for name in names for p in routines[name].parameters(bench, target)])
    steps = [*names, *(n for n in family.refined if n in names and len(names) > 1)]
    with progress.during(Started(f"calibrating {chip.identity}", len(steps) + 1, "routine")):
        outcome = Outcome(bench, target, options)
        for k, name in enumerate(steps):
            bench.begin_step(progress, k, name)
            search = SEARCHES.get(options.search.get(name, "")) or (family.refining if k >= len(names) else None)
            with bench.accounting(name if k < len(names) else f"{name} (refined)"):
                found = routines[name].find(bench, target, search)
                bench.known |= routines[name].measure(bench, target)
            if k < len(names):
                outcome.before |= found
            progress.tell(StepDone(k + 1, name, outcome.line(routines[name])))
        bench.begin_step(progress, len(steps), "measure again")
        with bench.accounting("measure again"):
            parameters = settle(outcome, [routines[name] for name in names])
            drift = stamp(bench, target, options.drift_limit_us)
        usable = np.logical_and.reduce([p.success for p in parameters.values() if p.per == "circuit"])
        text = f"{usable.sum()} of {bench.n} circuits as wanted"
        progress.tell(StepDone(len(steps) + 1, "measure again", text))
    return CalibrationTable(
        key=cache_key(target, options, chip.identity, chip.spec),
        identity=chip.identity,
        operating_point=target.neuron,
        target=target.model_dump_json(),
        options=options.model_dump_json(),
        neurons=bench.neurons,
        shared=bench.shared,
        parameters=parameters,
        drift=drift,
        costs=tuple(bench.costs),
        began_s=options.begin_s,
        ended_s=bench.now_s,
        versions=f"hxloop {__version__}, calibration {CODE_VERSION}",
    )


def _check_tolerances(options: Options, parameters: list[str]) -> None:
    for name in options.tolerance:
        if name not in parameters:
            hint = suggestion(name, parameters, cutoff=0.4)
            raise InvalidInputError(f"no parameter is called {shown(name)}", field="tolerance", hint=hint)


def complete(target: Target, options: Options) -> Target:
    """The target with defaults for what is asked for by name."""
    routines = FAMILIES[options.method].routines
    for name in options.only:
        if name in routines:
            target = routines[name].with_defaults(target)
    return target


def check_names(options: Options) -> None:
    """Refuse names of routines that do not exist; no chip is needed.

    Raises
    ------
    InvalidInputError
        With the nearest name.
    """
    routines = FAMILIES[options.method].routines
    of_method = "" if options.method == "default" else f" in the method {options.method}"
    for field, given in (("only", options.only), ("search", options.search)):
        for name in given:
            if name not in routines:
                hint = suggestion(name, routines, cutoff=0.4)
                raise InvalidInputError(f"no routine is called {shown(name)}{of_method}", field=field, hint=hint)


def plan(target: Target, options: Options, spec: ChipSpec) -> list[str]:
    """Routines to run, in order; everything that can be refused is refused here.

    Raises
    ------
    InvalidInputError
        A target out of reach, a routine or parameter that does not exist.
    """
    if spec.continuous_codes:
        raise InvalidInputError(
            f"{spec.name} has no codes to calibrate: its parameters are what they are set to", field="chip"
        )  # fmt: skip
    target.check(spec)
    check_names(options)
    if options.method == "published":
        _check_published(target, options)
    routines = FAMILIES[options.method].routines
    asked = set(options.only) or {name for name, routine in routines.items() if routine.wanted(target)}
    for name in reversed(routines):
        if name in asked:
            asked |= set(routines[name].needs)
    return [name for name in routines if name in asked]


def _check_published(target: Target, options: Options) -> None:
    for name in ("adaptation", "rates", "correlation", "delays"):
        if getattr(target, name) is not None:
            raise InvalidInputError(
                f"the published method has no routine for {name}", field=name, hint="leave it out, or --method default"
            )  # fmt: skip
    if options.tolerance:
        raise InvalidInputError(
            "the published method knows no tolerance: it judges by the edge of the range of codes", field="tolerance"
        )


def cache_key(target: Target, options: Options, identity: ChipIdentity, spec: ChipSpec) -> str:
    """SHA-256 of everything that a table depends on.

    Parameters
    ----------
    target : Target
        Complete (`complete`).
    options : Options
    identity : ChipIdentity
    spec : ChipSpec
        The whole datasheet, not its name alone.
    """
    parts = {
        "target": target.model_dump(mode="json"),
        "options": options.model_dump(mode="json"),
        "identity": identity.model_dump(mode="json"),
        "spec": spec.model_dump(mode="json"),
        "code": [__version__, CODE_VERSION],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
