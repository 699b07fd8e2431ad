"""`hxloop study`: many trainings and measurements that answer one question."""

from __future__ import annotations

import math
import sys
from pathlib import Path  # noqa: TC003 (typer reads annotations when it runs)
from typing import TYPE_CHECKING, Annotated

import typer

from host.cli.options import AsJson, make_app, print_json, say

if TYPE_CHECKING:
    from rich.table import Table

    from host.studies.progress import StudyReporter
    from host.studies.transfer_result import TransferStudy

study = make_app()


@study.callback()
def _study() -> None:
    """Answer a question about chips with many trainings."""


@study.command(name="transfer")
def _transfer(
    task: Annotated[str, typer.Option("--task", help="What to learn: yin-yang.")] = "yin-yang",
    preset: Annotated[
        str, typer.Option("--preset", help="quick, paper, small, or a TOML file.", metavar="NAME|FILE")
    ] = "small",
    chip: Annotated[str, typer.Option("--chip", help="Named chip to be studied.", metavar="NAME")] = "typical",
    serials: Annotated[
        str, typer.Option("--serials", help="Serial numbers: 7, 1..20 or 1..5,8.", metavar="RANGE")
    ] = "1..20",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Root of all random numbers of every training.")] = 0,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Instead of the preset's number.")] = None,
    trials: Annotated[int, typer.Option("--trials", min=2, help="Repetitions of the test on the same chip.")] = 10,
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory of the study; by default one in studies, named by the rest.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Trainings at a time.")] = 1,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Calibrate every chip first, for the operating point of the trainings.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train on chip A, then run the weights on A again, on another chip and on ideal, and the other way round.

    What is done is not done again: after Ctrl-C, the same command goes on.

    [dim]Examples:[/dim]

      hxloop study transfer

      hxloop study transfer --serials 1..4 --epochs 20 --jobs 2 --out studies/short

      hxloop study transfer --chip uncalibrated --calibrated --serials 1..6
    """
    from host.studies.transfer import transfer_study
    from hxloop.serials import parse_serials

    try:
        result = transfer_study(
            task,
            preset=preset,
            chip=chip,
            serials=parse_serials(serials),
            seed=seed,
            epochs=epochs,
            trials=trials,
            out=out,
            jobs=jobs,
            calibrated=calibrated,
            report=_reporter(),
        )
    except KeyboardInterrupt:
        say("stopped; what is done is stored: the same command goes on")
        raise
    if as_json:
        print_json(result.summary())
        return
    _print_tables(result)


def _reporter() -> StudyReporter:
    """A bar where somebody watches, lines elsewhere."""
    if sys.stderr.isatty():
        from host.cli.study_bar import StudyBar

        return StudyBar()
    from host.studies.progress import Lines

    return Lines()


def _print_tables(study: TransferStudy) -> None:
    """Two tables that fit a terminal."""
    from rich.console import Console

    from host.studies.transfer_result import ACCURACIES, SPIKE_TIMES

    console = Console()
    console.print(_table(study, "test accuracy (%)", ACCURACIES))
    console.print(f" trained and run on ideal: {100 * study.reference_accuracy:.1f} %\n", highlight=False)
    console.print(_table(study, "output spikes: times in tau_syn, shares in %", SPIKE_TIMES))
    console.print(f" {study.plan.title}: {study.path.parent}", highlight=False, soft_wrap=True)


def _table(study: TransferStudy, title: str, names: tuple[str, ...]) -> Table:
    from rich import box
    from rich.table import Table

    from host.studies.transfer_result import COLUMNS

    table = Table(title=title, box=box.SIMPLE, padding=(0, 0, 0, 1))
    for heading in ("serial", *(COLUMNS[name].heading for name in names)):
        table.add_column(heading, justify="right", overflow="fold")
    for k, serial in enumerate(study.plan.serials):
        cells = [_cell(name, float(study.columns[name][k])) for name in names]
        table.add_row(str(serial), *cells, end_section=serial == study.plan.serials[-1])
    table.add_row("mean", *(_cell(name, study.mean(name)) for name in names))
    table.add_row("std", *(_cell(name, study.std(name)) for name in names))
    return table


def _cell(name: str, value: float) -> str:
    from host.studies.transfer_result import FRACTIONS

    if math.isnan(value):
        return "-"
    if name in FRACTIONS:
        return f"{100 * value:.1f}"
    return f"{value:.2f}" if name == "correlation" else f"{value:.3f}"
