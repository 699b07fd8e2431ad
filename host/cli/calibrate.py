"""`hxloop calibrate`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from host.cli.options import AsJson, Chip, Endpoint, Serial, make_app, print_json, say
from hxloop.errors import InvalidInputError, RecordError

if TYPE_CHECKING:
    from calibration.options import Options
    from calibration.reporting import Reporter
    from hxloop.calibration_table import CalibrationTable
    from hxloop.chip import Chip as AnyChip

calibrate = make_app()


@calibrate.command(name="calibrate")
def _calibrate(
    chip: Chip = None,
    serial: Serial = None,
    endpoint: Endpoint = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="What to aim at: lif-6us (by default), lif-10us or jaxsnn-12-6.", metavar="NAME"),
    ] = None,
    targets: Annotated[
        Path | None, typer.Option("--targets", help="TOML file with other aims, instead of a preset.", metavar="FILE")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", help="These routines, and what they need: leak,threshold.", metavar="NAME,..."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same chip: same table.")] = 0,
    begin_s: Annotated[
        float | None,
        typer.Option("--begin-s", min=0, help="Chip time at the beginning; emulated chips drift with it."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Table to write; else calibration-CHIP-SERIAL.h5.", metavar="FILE"),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Page to write: histograms, chip map, costs.", metavar="FILE.html")
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--check", help="Measure a table again and say what drifted.", metavar="TABLE")
    ] = None,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Use a table that was measured before.")] = True,
    as_json: AsJson = False,
) -> None:
    """Find the codes with which all circuits of a chip do what they should.

    Without [bold]--endpoint[/bold] an emulated chip, uncalibrated/1 unless another one is named, is started for it.
    Exit code 1 with [bold]--check[/bold]: the table has expired.

    [dim]Examples:[/dim]

      hxloop calibrate --chip uncalibrated --serial 7 --out seven.h5 --report seven.html

      hxloop calibrate --chip uncalibrated --serial 7 --only leak,threshold --json

      hxloop calibrate --chip uncalibrated --serial 7 --check seven.h5

      hxloop train yin-yang --chip uncalibrated --serial 7 --calibration seven.h5
    """
    if check is not None:
        _refuse_together("check", preset=preset, targets=targets, only=only, out=out, report=report)
        _check(check, chip, serial, endpoint, begin_s, as_json=as_json)
        return
    if targets is not None:
        _refuse_together("targets", preset=preset)
    aim = targets or preset or "lif-6us"
    options = _options(only, seed, begin_s)
    table, found = _measure(aim, options, (chip, serial, endpoint), out, report, cache=cache)
    if as_json:
        print_json(found)
        return
    _print(table)
    say(
        f"{100 * table.success_fraction:.1f} % of {len(table.usable)} circuits as wanted, {found['wall_s']:.1f} s; "
        f"on silicon {table.chip_time_s:.1f} s"
    )
    print(found["table_path"])


def _options(only: str | None, seed: int, begin_s: float | None) -> Options:
    from calibration.options import Options
    from hxloop.toml import settings_from_mapping

    names = tuple(name.strip() for name in only.split(",")) if only else ()
    return settings_from_mapping({"seed": seed, "only": names, "begin_s": begin_s or 0.0}, Options, "the options")


def _measure(
    aim: str | Path,
    options: Options,
    which: tuple[str | None, int | None, str | None],
    out: Path | None,
    report: Path | None,
    *,
    cache: bool,
) -> tuple[CalibrationTable, dict[str, Any]]:
    """Calibrate and write table and page; the table and its figures."""
    from calibration.targets import load_target
    from calibration.verb import calibrate_with_source

    begin, target = time.perf_counter(), load_target(aim)
    if out is not None:
        _refuse_folder("out", out)
        _refuse_other_files(out)
    if report is not None:
        _refuse_folder("report", report)
        from calibration.report import write_report
        from hxloop.page import check_page_name

        check_page_name(report, "report")
    with _open(*which) as device:
        file = out or Path(f"calibration-{_safe(device)}.h5")
        if out is None:
            _refuse_other_files(file)
        table, _, hit = calibrate_with_source(
            device, target=target, options=options, cache=cache, report=_reporter()
        )  # fmt: skip
    table.save(file)
    if report is not None:
        write_report(table, report)
    more = {"wall_s": time.perf_counter() - begin, "from_cache": hit, "table_path": file, "report_path": report}
    return table, table.summary() | more


def _check(
    file: Path, chip: str | None, serial: int | None, endpoint: str | None, begin_s: float | None, *, as_json: bool
) -> None:
    from calibration.check import check
    from hxloop.calibration_table import load_calibration

    table = load_calibration(file)
    if endpoint is None:
        chip, serial = chip or table.identity.chip, table.identity.serial if serial is None else serial
    with _open(chip, serial, endpoint) as device:
        found = check(device, table, begin_s=begin_s, report=_reporter())
    if as_json:
        print_json({**found.summary(), "table_path": file})
    else:
        for line in found.lines():
            print(line)
    if found.expired:
        raise typer.Exit(1)


def _open(chip: str | None, serial: int | None, endpoint: str | None) -> Any:
    from host.chips import open_chip

    if endpoint is None:
        chip, serial = chip or "uncalibrated", 1 if serial is None else serial
    return open_chip(chip, serial, endpoint)


def _safe(device: AnyChip) -> str:
    from hxloop.connection import file_safe

    return f"{file_safe(device.identity.chip)}-{device.identity.serial}"


def _refuse_together(option: str, **others: object) -> None:
    """Options that contradict this one; nothing is silently left out."""
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise InvalidInputError(
            f"--{option} and --{given[0]} do not go together", field=given[0], hint="leave one of them out"
        )


def _refuse_folder(option: str, file: Path) -> None:
    if not file.absolute().parent.is_dir():
        raise InvalidInputError(f"there is no directory {file.parent}", field=option, hint="make it first")


def _refuse_other_files(file: Path) -> None:
    """A table may be replaced by a newer one; anything else is somebody's work."""
    from hxloop.calibration_table import load_calibration

    if not file.exists():
        return
    try:
        load_calibration(file)
    except RecordError:
        raise InvalidInputError(
            f"{file} is there and is no calibration table", field="out", hint="choose another name"
        ) from None


def _reporter() -> Reporter:
    """A bar where somebody watches, lines elsewhere."""
    if sys.stderr.isatty():
        from host.cli.calibration_bar import CalibrationBar

        return CalibrationBar()
    from calibration.reporting import Lines

    return Lines()


def _print(table: CalibrationTable) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table("parameter", "target", "median", "std", "std before", "as wanted", title=str(table.identity))
    for name, parameter in table.parameters.items():
        s = parameter.summary()
        cells = [_number(s[key]) for key in ("target", "median", "std", "std_before")]
        shown.add_row(f"{name} ({s['unit']})", *cells, f"{100 * s['success_fraction']:.1f} %")
    Console(stderr=True).print(shown)
    for circuit, name, reason in table.failures()[:20]:
        say(f"circuit {circuit}, {name}: {reason}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
