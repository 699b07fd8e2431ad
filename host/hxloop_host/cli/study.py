"""`hxloop study`: many trainings that answer one question."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hxloop.errors import InvalidInputError
from hxloop.kit.terminal import print_json, print_table, say, show
from hxloop_host.cli.shared_options import AsJson, make_app

if TYPE_CHECKING:
    from hxloop_host.studies.output.study_results import StudyResult
    from hxloop_host.studies.study_request import Work

study = make_app()


class Sizes(StrEnum):
    """Sizes of a study."""

    quick = "quick"
    paper = "paper"


class Designs(StrEnum):
    """How values are combined."""

    grid = "grid"
    random = "random"
    sobol = "sobol"


Name = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME|FILE.toml",
        help="mismatch, noise, bits, faults, drift, calibration, transfer, rules, yield, sensitivity, realism, grid "
        "(what --set varies), or a TOML file with these options.",
        show_default=False,
    ),
]
Preset = Annotated[Sizes | None, typer.Option(help="quick: a few minutes. paper: figures for a paper.")]
Title = Annotated[str | None, typer.Option(help="Of page, figures and tables, instead of the study's.")]
Question = Annotated[str | None, typer.Option(help="Of the page, instead of the study's.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Vary or fix something, KEY=V1,V2 or KEY=LOW..HIGH: a setting, an imperfection (chip.noise.NAME, "
        "chip.mismatch.NAME), all of a kind (chip.factor.residual), or a list of the study (spread_percent). May be "
        "repeated.",
        metavar="KEY=VALUES",
    ),
]
Serials = Annotated[str | None, typer.Option(help="Serial numbers: 7, 1..20 or 1..5,8.", metavar="RANGE")]
Seeds = Annotated[str | None, typer.Option(help="Seeds of the trainings: 0 or 0..2.", metavar="RANGE")]
Chip = Annotated[
    str | None, typer.Option(help="Named chip, or the file of one, instead of the study's.", metavar="NAME|FILE")
]
Calibrated = Annotated[bool, typer.Option("--calibrated", help="Calibrate every chip before it is used.")]
Task = Annotated[
    str | None,
    typer.Option(
        help="What to learn: a name that hxloop tasks lists (by default yin-yang), a file of data, or FILE.py:NAME.",
        metavar="NAME|FILE",
    ),
]
Rule = Annotated[
    str | None,
    typer.Option(
        help="Instead of the rule of the trainings: a name that hxloop rules lists, or FILE.py:CLASS.",
        metavar="RULE",
    ),
]
Training = Annotated[str | None, typer.Option(help="Preset or TOML file of the trainings.", metavar="NAME|FILE")]
Design = Annotated[Designs | None, typer.Option(help="Every combination of --set, or --samples draws from it.")]
Samples = Annotated[int | None, typer.Option(min=1, help="Points of a random or Sobol design.", metavar="N")]
DesignSeed = Annotated[
    int | None, typer.Option(min=0, help="Of the draws of such a design, 0 by default.", metavar="N")
]
Out = Annotated[Path | None, typer.Option(help="Directory of the study, by default a new one in studies.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a study, or extend it.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes, by default one for every core.", metavar="N")]
Scheduler = Annotated[
    str | None, typer.Option(help="A Dask scheduler that runs already: tls://10.0.0.1:8786.", metavar="ADDRESS")
]
Tls = Annotated[
    Path | None,
    typer.Option(
        help="Folder with ca.pem, cert.pem and key.pem for it, by default what dask's configuration says.",
        metavar="FOLDER",
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Use a scheduler without TLS: whoever reaches it can run programs as you.")
]
List = Annotated[
    bool,
    typer.Option(
        "--list", help="Print all that --set can turn: value, unit, meaning; without a name all studies; and end."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what it would do and cost, and end.")]


@study.command(name="study")
def _study(
    name: Name = None,
    preset: Preset = None,
    title: Title = None,
    question: Question = None,
    set_: Set = None,
    serials: Serials = None,
    seeds: Seeds = None,
    chip: Chip = None,
    calibrated: Calibrated = False,
    task: Task = None,
    rule: Rule = None,
    training: Training = None,
    design: Design = None,
    samples: Samples = None,
    design_seed: DesignSeed = None,
    out: Out = None,
    resume: Resume = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    tls: Tls = None,
    insecure: Insecure = False,
    dry_run: DryRun = False,
    list_: List = False,
    as_json: AsJson = False,
) -> None:
    """Answer a question about a population of chips: one table, figures with 95 % intervals, one page.

    Every point is an ordinary run, stored when it is done and never done twice: --resume goes on, or adds what was not
    asked for before. The directory ends up with table.csv, table.parquet, summary.csv, figures and report.html.

    [dim]Examples:[/dim]

      hxloop study mismatch --preset quick

      hxloop study yield --preset paper --out studies/yield --resume

      hxloop study mismatch --rule my_rules.py:Hebb --set rule.rate=0.1,0.2

      hxloop study rules --serials 1..3 --dry-run

      hxloop study grid --set chip.noise.jitter_trial_us=0,0.1,0.3 --serials 1..5

      hxloop study grid --set training.epochs=1,20 --dry-run
    """
    from hxloop_host.studies import study_request as requests

    if name is None:
        _print_studies(list_, as_json)
        return
    given = {
        "preset": preset and preset.value, "serials": serials, "seeds": seeds, "chip": chip, "task": task, "rule": rule,
        "calibrated": calibrated or None, "training": training, "design": design and design.value, "samples": samples,
        "design_seed": design_seed, "title": title, "question": question,
    }  # fmt: skip
    asked = requests.read_request(name, given)
    typed = requests.read_settings(asked, set_ or [])
    work = requests.work_of(asked.model_copy(update={"set": {**asked.set, **typed}}))
    if list_:
        _print_list(work, as_json)
        return
    if dry_run:
        _print_plan(work, out, resume, as_json)
        return
    from hxloop_host.cli.progress_bar import watching
    from hxloop_host.studies.points.cluster import remote_scheduler
    from hxloop_host.studies.study_verb import run_study

    remote = remote_scheduler(scheduler, tls, insecure=insecure)
    try:
        result = run_study(work, out=out, resume=resume, n_workers=workers, remote=remote, report=watching())
    except KeyboardInterrupt:
        say("stopped; what is done is stored: the same command with --resume goes on")
        raise
    _print_result(work, result, as_json)
    if result.failed:
        raise typer.Exit(1)


def _print_studies(asked: bool, as_json: bool) -> None:
    from hxloop_host.studies.kinds import KINDS

    if not asked:
        raise InvalidInputError("which study?", field="NAME|FILE.toml", hint="hxloop study --list says which there are")

    questions = {name: kind.question for name, kind in KINDS.items()}
    if as_json:
        print_json({"studies": questions})
        return
    print_table(("study", "question"), list(questions.items()), plain=True)


def _print_list(work: Work, as_json: bool) -> None:
    from hxloop_host.studies.design.knobs import Turned
    from hxloop_host.studies.design.study_options import OPTIONS

    lists = dict(work.kind.presets[work.request.preset].options)
    own = [Turned(name, ", ".join(map(str, values)), *OPTIONS[name]) for name, values in lists.items()]
    knobs = work.base.knobs.listed()
    if as_json:
        with_units = {k.key: k.value if k.unit == "1" else f"{k.value} {k.unit}" for k in knobs}
        meanings = {k.key: {"unit": k.unit, "meaning": k.meaning} for k in (*own, *knobs)}
        print_json({"lists": lists, "knobs": with_units, "meanings": meanings})
        return
    for title, rows in (
        (f"lists of {work.request.study}", own),
        (f"settings, and imperfections of {work.base.chip}", knobs),
    ):
        if rows:
            shown = [(k.key, k.value, "" if k.unit == "1" else k.unit, k.meaning) for k in rows]
            print_table(("--set", "value", "unit", "meaning"), shown, title=title, plain=True)


def _print_plan(work: Work, out: Path | None, resume: bool, as_json: bool) -> None:
    from hxloop_host.studies.study_verb import plan_lines

    say("measuring how fast this machine is")
    lines, values = plan_lines(work, out, resume=resume)
    if as_json:
        print_json(values)
        return
    for line in lines:
        show(line)


def _print_result(work: Work, result: StudyResult, as_json: bool) -> None:
    if as_json:
        print_json(result.summary_values())
        return
    from hxloop_host.studies.analysis.statistics import INTERVAL

    names = [name for name in result.summary.columns if name not in INTERVAL]
    rows = []
    for row in result.summary.to_dict("records"):
        interval = "-" if math.isnan(row["low"]) else f"{100 * row['low']:.1f} .. {100 * row['high']:.1f}"
        rows.append([*(_cell(row[n]) for n in names), f"{100 * row['mean']:.1f}", interval, row["n"], row["caveat"]])
    headings = [heading.replace("_", " ") for heading in (*names, "accuracy (%)", "95 %", "n", "beware")]
    print_table(headings, rows, title=work.title, plain=True)
    for finding in result.findings:
        agrees = "" if finding.verdict == "-" else f"; agrees with the literature: {finding.verdict}"
        show(f" {finding.statement}: {finding.ours}{agrees}{f' ({finding.caveat})' if finding.caveat else ''}")
    if result.failed:
        say(f"{result.failed} points failed; --resume tries them again (table.csv says why)")
    show(f" {result.report or result.path}")


def _cell(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
