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
from hxloop_calibration.measuring.chip_bench import Bench
from hxloop_calibration.measuring.drift_stamp import stamp
from hxloop_calibration.outcome import Outcome, settle
from hxloop_calibration.routines.adaptation import Adaptation
from hxloop_calibration.routines.cadc import Cadc
from hxloop_calibration.routines.correlation import Correlation
from hxloop_calibration.routines.gain import Gain
from hxloop_calibration.routines.leak import Leak
from hxloop_calibration.routines.rates import Rates
from hxloop_calibration.routines.references import References
from hxloop_calibration.routines.refractory import Refractory
from hxloop_calibration.routines.reset import Reset
from hxloop_calibration.routines.synapse_dac import SynapseDac
from hxloop_calibration.routines.tau_mem import TauMem
from hxloop_calibration.routines.tau_syn import TauSyn
from hxloop_calibration.routines.threshold import Threshold
from hxloop_calibration.routines.weight_scale import WeightScale
from hxloop_calibration.search import SEARCHES, ModelBased
from hxloop_calibration.targets import start_codes

if TYPE_CHECKING:
    from hxloop.chip import Chip, ChipIdentity
    from hxloop.progress import Report
    from hxloop.spec import ChipSpec
    from hxloop_calibration.options import Options
    from hxloop_calibration.routine_interface import Routine
    from hxloop_calibration.targets import Target

CODE_VERSION: Final = "1"
"""Version of the routines; raise it when the same chip would get another table."""

ROUTINES: Final[dict[str, Routine]] = {
    routine.name: routine
    for routine in (
        Cadc(), TauSyn(), TauMem(), SynapseDac(), Gain(), References(), Leak(), Reset(), Threshold(), Refractory(),
        Adaptation(), Rates(), WeightScale(), Correlation(),
    )
}  # fmt: skip
"""In the order in which they run: as in the lab, every routine after those whose results it needs."""

REFINED: Final = ("leak", "reset", "threshold")
"""Run once more when all others have: constant currents, and with them the potentials, have moved."""


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
    target = complete(target, options.only)
    names = plan(target, options, chip.spec)
    progress = progress_of(report)
    bench = Bench(chip, start_codes(target, chip.boot, chip.spec), seed=options.seed, begin_s=options.begin_s)
    _check_tolerances(options, [p.name for name in names for p in ROUTINES[name].parameters(bench, target)])
    steps = [*names, *(n for n in REFINED if n in names and len(names) > 1)]
    with progress.during(Started(f"calibrating {chip.identity}", len(steps) + 1, "routine")):
        outcome = Outcome(bench, target, options)
        for k, name in enumerate(steps):
            bench.begin_step(progress, k, name)
            search = SEARCHES.get(options.search.get(name, "")) or (ModelBased(2) if k >= len(names) else None)
            with bench.accounting(name if k < len(names) else f"{name} (refined)"):
                found = ROUTINES[name].find(bench, target, search)
                bench.known |= ROUTINES[name].measure(bench, target)
            if k < len(names):
                outcome.before |= found
            progress.tell(StepDone(k + 1, name, outcome.line(ROUTINES[name])))
        bench.begin_step(progress, len(steps), "measure again")
        with bench.accounting("measure again"):
            parameters = settle(outcome, [ROUTINES[name] for name in names])
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


def complete(target: Target, only: tuple[str, ...]) -> Target:
    """The target with defaults for what is asked for by name."""
    for name in only:
        if name in ROUTINES:
            target = ROUTINES[name].with_defaults(target)
    return target


def check_names(options: Options) -> None:
    """Refuse names of routines that do not exist; no chip is needed.

    Raises
    ------
    InvalidInputError
        With the nearest name.
    """
    for field, given in (("only", options.only), ("search", options.search)):
        for name in given:
            if name not in ROUTINES:
                hint = suggestion(name, ROUTINES, cutoff=0.4)
                raise InvalidInputError(f"no routine is called {shown(name)}", field=field, hint=hint)


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
    if options.method != "default":
        raise InvalidInputError(f"the routines of the method {options.method} are being built", field="method")
    target.check(spec)
    check_names(options)
    asked = set(options.only) or {name for name, routine in ROUTINES.items() if routine.wanted(target)}
    for name in reversed(ROUTINES):
        if name in asked:
            asked |= set(ROUTINES[name].needs)
    return [name for name in ROUTINES if name in asked]


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
