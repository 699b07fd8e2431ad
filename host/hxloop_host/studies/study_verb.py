"""The verb `hxloop.study`: answer a question about chips with many trainings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hxloop.kit import arguments
from hxloop.naming.chip_name import file_safe
from hxloop.progress import Started, duration, progress_of, several
from hxloop_host.runs.run_file import versions
from hxloop_host.studies.cost import estimate, measured_speed
from hxloop_host.studies.design.own_parts import named_rule, refuse_object
from hxloop_host.studies.output.study_results import write_results
from hxloop_host.studies.output.study_table import make_table
from hxloop_host.studies.points.cluster import remote_scheduler
from hxloop_host.studies.points.point_store import Store, study_directory
from hxloop_host.studies.points.work import make_ready
from hxloop_host.studies.study_driver import drive
from hxloop_host.studies.study_request import read_request, work_of

if TYPE_CHECKING:
    import pandas as pd

    from hxloop.progress import Report
    from hxloop.rule import Rule
    from hxloop_host.studies.cost import Estimate
    from hxloop_host.studies.output.study_results import StudyResult
    from hxloop_host.studies.points.cluster import Remote
    from hxloop_host.studies.study_request import Request, Work

STUDIES: Final = Path("studies")
"""Where studies go that are not told where, in the current directory."""


def study(
    name: str = "grid",
    *,
    preset: str | None = None,
    title: str | None = None,
    question: str | None = None,
    set: Mapping[str, Any] | None = None,
    task: str | Path | None = None,
    rule: str | Rule | type[Rule] | None = None,
    training: str | Path | None = None,
    chip: str | None = None,
    calibrated: bool | None = None,
    serials: str | None = None,
    seeds: str | None = None,
    design: str | None = None,
    samples: int | None = None,
    design_seed: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    tls: str | Path | None = None,
    insecure: bool = False,
    report: Report = None,
) -> pd.DataFrame:
    """Do many trainings that answer one question, and return the table of their figures.

    Every point is stored when it is done and never done twice. Points run in processes of their own, which nobody but
    this call can use.

    Parameters
    ----------
    name : str
        ``mismatch``, ``noise``, ``bits``, ``faults``, ``drift``, ``calibration``, ``transfer``, ``rules``, ``yield``,
        ``sensitivity``, ``grid`` (what `set` varies), or a TOML file with the other arguments.
    preset : {"quick", "paper"}, optional
        Sizes of the study.
    title, question : str, optional
        For page, figures and terminal, instead of the named study's.
    set : dict of str to value or list of values, optional
        What to vary or fix: settings (``optimizer.learning_rate``), imperfections (``chip.noise.jitter_trial_us``), all
        of a kind (``chip.factor.residual``), or a list of the study (``spread_percent``). ``{"low": a, "high": b}`` for
        a random or Sobol design.
    task : str or Path, optional
        A name that ``hxloop tasks`` lists, a file of data (``.npz``, ``.h5``), or ``FILE.py:NAME``.
    rule : str, Rule or subclass of Rule, optional
        Instead of the rule of the trainings: a name, ``FILE.py:CLASS``, or an object whose class is in a file other
        than the running script, so that every worker can load it.
    training : str or Path, optional
        Preset or TOML file of the trainings.
    chip : str, optional
        Named chip, by default the study's.
    calibrated : bool, optional
        Calibrate every chip before it is used.
    serials, seeds : str, optional
        For example ``"1..20"``.
    design : {"grid", "random", "sobol"}, optional
    samples : int, optional
        Points of a random or Sobol design.
    design_seed : int, optional
        Of its draws, 0 by default.
    out : str or Path, optional
        Directory of the study, by default a new one in ``studies``.
    resume : bool
        Go on with the study in `out` (or the latest one of its name), or extend it.
    workers : int, optional
        Processes, by default one for every core; results do not depend on it.
    scheduler : str, optional
        Address of a Dask scheduler that runs already, instead of processes of one's own: ``tls://10.0.0.1:8786``.
    tls : str or Path, optional
        Folder with ``ca.pem``, ``cert.pem`` and ``key.pem`` for it; by default what dask's configuration says.
    insecure : bool
        Use a `scheduler` without TLS: whoever reaches it can run programs as you.
    report : listener or list of listeners, optional
        Told of the progress (`hxloop.progress`); lines on stderr by default.

    Returns
    -------
    pandas.DataFrame
        One row a point, as in ``table.csv``: what was varied, chip, serial, seed, figures; ``status`` is ``failed`` for
        points that failed. ``attrs["path"]`` is the directory of the study.

    Raises
    ------
    InvalidInputError
        Anything that is not right about the arguments; nothing is run then.
    RecordError
        Another process drives this study, or its directory cannot be written.
    ServiceError
        No scheduler at the address, or processes of one's own cannot be started.
    KeyboardInterrupt
        Passed on; what is done is stored.

    Examples
    --------
    >>> table = hxloop.study("noise", serials="1..3", set={"strength_percent": [0, 5]})  # doctest: +SKIP
    """
    where = arguments.optional(arguments.path, out, "out")
    resume, insecure = arguments.switch(resume, "resume"), arguments.switch(insecure, "insecure")
    progress = progress_of(report)
    remote = remote_scheduler(
        arguments.optional(arguments.text, scheduler, "scheduler", takes="the address of a scheduler"),
        arguments.optional(arguments.path, tls, "tls"),
        insecure=insecure,
    )
    refuse_object(task)
    rule, section = (None, {}) if rule is None else named_rule(rule)
    request = read_request(
        arguments.named_file(name, "name", "the name of a study, or a TOML file"),
        {
            "preset": preset, "set": {**section, **_varied(set)}, "chip": chip, "calibrated": calibrated, "rule": rule,
            "task": arguments.optional(arguments.named_file, task, "task", takes="the name of a task, or its file"),
            "training": arguments.optional(arguments.named_file, training, "training", takes="a preset or a TOML file"),
            "serials": serials, "seeds": seeds, "design": design, "samples": samples, "design_seed": design_seed,
            "title": title, "question": question,
        },
    )  # fmt: skip
    result = run_study(work_of(request), out=where, resume=resume, n_workers=workers, remote=remote, report=progress)
    table = result.table
    table.attrs["path"] = str(result.path)
    return table


def _varied(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """What `set` holds, in plain types."""
    if values is None:
        return {}
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        raise arguments.refusal(values, "set", "a dict of names to values")
    return {key: arguments.plain(value) for key, value in values.items()}


def run_study(
    work: Work,
    *,
    out: Path | None = None,
    resume: bool = False,
    n_workers: int | None = None,
    remote: Remote | None = None,
    report: Report = None,
) -> StudyResult:
    """Do a study that is checked; arguments and errors as in `study`."""
    workers = arguments.optional(arguments.whole_number, n_workers, "workers", lowest=1, highest=arguments.THREADS_MAX)
    progress = progress_of(report)
    store = Store(study_directory(STUDIES, study_name(work.request), out, resume=resume))
    points = work.points()
    with store.driven():
        store.write_plan({"request": work.request.model_dump(), "points": len(points), "versions": versions()})
        if remote is None and not all(store.point_file(point).exists() for point in points):
            make_ready()  # before there are bars
        title = f"{work.title}: working on {several(len(work.rows), 'row')}, in {store.path}"
        with progress.during(Started(title, len(points), "point")):
            outcomes, failures = drive(points, store, progress, remote, workers)
        with progress.doing("writing table, figures and page"):
            table = make_table(work, outcomes, failures)
            return write_results(work, table, failures, store, command_of(work.request))


def study_name(request: Request) -> str:
    """First part of the name of a study's directory."""
    parts = [request.study, request.preset, *([] if request.chip is None else [file_safe(request.chip)])]
    return "-".join(parts)


def plan_lines(work: Work, out: Path | None, *, resume: bool) -> tuple[list[str], dict[str, Any]]:
    """What a study would do and cost, measured with a short training; as lines and as plain values.

    Raises
    ------
    InvalidInputError, MissingFileError
        As `study` would.
    """
    store = Store(study_directory(STUDIES, study_name(work.request), out, resume=resume))
    every = work.points()
    points = [point for point in every if not store.point_file(point).exists()]
    cost: Estimate = estimate(points, measured_speed(every[0]))
    chips = {(p.chip, p.serial) for p in every}
    serials = len({serial for _, serial in chips})

    def with_workers(n: int) -> str:
        return duration(max(cost.core_s / n, cost.longest_s))

    rows, n_points = several(len(work.rows), "row"), several(len(every), "point")
    lines = [
        f"{work.title} ({work.request.study}, preset {work.request.preset}): {rows} of the table, "
        f"{n_points}, {len(every) - len(points)} of them done, on {several(serials, 'serial number')}",
        f"to do: {several(cost.trainings, 'training')} with {several(cost.epochs, 'epoch')} altogether, "
        f"{several(cost.points - cost.trainings, 'test')}",
        f"about {with_workers(1)} with one worker on a free core of this machine, {with_workers(2)} with 2, "
        f"{with_workers(64)} with 64",
        f"about {cost.bytes / 1e6:.0f} MB on disk",
    ]
    return lines, {"rows": len(work.rows), "serials": serials, "chips": len(chips), **asdict(cost)}


def command_of(request: Request) -> str:
    """Command that asks for the same study."""
    parts = ["hxloop", "study", request.study, "--preset", request.preset]
    for option in (
        "task", "rule", "training", "chip", "serials", "seeds", "design", "samples", "design_seed",
    ):  # fmt: skip
        value = getattr(request, option)
        if value != type(request).model_fields[option].default:
            parts += [f"--{option.replace('_', '-')}", str(value)]
    parts += ["--calibrated"] if request.calibrated else []
    for key, values in request.set.items():
        parts += ["--set", f"{key}={_setting(values)}"]
    for option in ("title", "question"):
        parts += [] if getattr(request, option) is None else [f"--{option}", getattr(request, option)]
    return shlex.join(parts)


def _setting(values: Any) -> str:
    if isinstance(values, dict):
        return f"{values['low']}..{values['high']}"
    return ",".join(map(str, values)) if isinstance(values, list | tuple) else str(values)
