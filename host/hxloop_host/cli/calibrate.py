"""`hxloop calibrate`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hxloop.errors import InvalidInputError
from hxloop.files.writing import HDF5, HTML, check_target
from hxloop.kit.arguments import texts
from hxloop.kit.extras import extra
from hxloop.kit.terminal import print_json, print_table, say, show
from hxloop_host.cli.shared_options import AsJson, Chip, Endpoint, Force, Serial, make_app

if TYPE_CHECKING:
    from hxloop.codes.calibration_table import CalibrationTable
    from hxloop_calibration.options import Method, Options

calibrate = make_app()

_Routines = Annotated[
    str | None,
    typer.Option(
        "--method", help="Whose routines: default (this project's) or published (what calix does).", metavar="NAME"
    ),
]


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
    method: _Routines = None,
    delays: Annotated[bool, typer.Option("--delays", help="Measure the delays of delay neurons, too.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same chip: same table.", metavar="N")] = 0,
    begin_s: Annotated[
        float | None,
        typer.Option("--begin-s", min=0, help="Chip time at the beginning; emulated chips drift with it.", metavar="N"),
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
    force: Force = False,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Use a table that was measured before.")] = True,
    as_json: AsJson = False,
) -> None:
    """Find the codes with which all circuits of a chip do what they should.

    Without [bold]--endpoint[/bold] an emulated chip, uncalibrated/1 unless another one is named, is started for it.
    Exit code 1 with [bold]--check[/bold]: the table has expired; with [bold]--report[/bold]: there is a table, but no
    page.

    [dim]Examples:[/dim]

      hxloop calibrate --chip uncalibrated --serial 7 --out seven.h5

      hxloop calibrate --serial 7 --out seven.h5 --report seven.html --force

      hxloop calibrate --chip uncalibrated --serial 7 --only leak,threshold --json

      hxloop calibrate --chip typical --serial 7 --delays

      hxloop calibrate --chip typical --serial 7 --only delays --force

      hxloop calibrate --chip uncalibrated --serial 7 --check seven.h5

      hxloop train yin-yang --chip uncalibrated --serial 7 --calibration seven.h5
    """
    if check is not None:
        _refuse_together(
            "check", preset=preset, targets=targets, only=only, method=method, out=out, report=report,
            delays=delays or None,
        )  # fmt: skip
        _check(check, chip, serial, endpoint, begin_s, as_json=as_json)
        return
    if targets is not None:
        _refuse_together("targets", preset=preset)
    options = _options(only, method, seed, begin_s)
    if endpoint is None:
        chip, serial = chip or "uncalibrated", 1 if serial is None else serial
    files = _Files(out, report, [targets] if targets else [], force)
    table, found = _measure(
        targets or preset or "lif-6us", options, (chip, serial, endpoint), files, cache=cache, delays=delays
    )
    if as_json:
        print_json(found)
    else:
        _say(table, found)
    if found["report_path"] != report:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Files:
    """What a calibration writes, and reads; checked before it begins."""

    out: Path | None
    report: Path | None
    read: list[Path]
    force: bool

    def check(self) -> None:
        if self.report is not None:
            check_target(self.report, HTML, field="report", force=self.force, others=self.read)
        if self.out is not None:
            self.check_table(self.out)

    def check_table(self, file: Path) -> Path:
        check_target(file, HDF5, force=self.force, others=[*self.read, *([self.report] if self.report else [])])
        return file

    def table_of(self, chip: str, serial: int) -> Path:
        """File of the table of this chip, checked."""
        from hxloop.naming.chip_name import file_safe

        return self.out or self.check_table(Path(f"calibration-{file_safe(chip, serial)}.h5"))


def _options(only: str | None, method: str | None, seed: int, begin_s: float | None) -> Options:
    from hxloop_calibration.options import Options
    from hxloop_calibration.pipeline import check_names

    options = Options(
        method=cast("Method", method or "default"), seed=seed, only=texts(only or "", "only"), begin_s=begin_s or 0.0
    )
    check_names(options)
    return options


def _measure(
    aim: str | Path,
    options: Options,
    which: tuple[str | None, int | None, str | None],
    files: _Files,
    *,
    cache: bool,
    delays: bool,
) -> tuple[CalibrationTable, dict[str, Any]]:
    """Calibrate and write table and page; the table and its figures."""
    from hxloop_calibration.calibrate_verb import calibrate_with_source
    from hxloop_calibration.targets import load_target
    from hxloop_host.cli.progress_bar import watching
    from hxloop_host.link.choosing import open_chip

    begin, target = time.perf_counter(), load_target(aim)
    files.check()
    chip, serial, endpoint = which
    if endpoint is None and chip is not None and serial is not None:
        files.table_of(chip, serial)  # before a chip is started for it
    with open_chip(*which) as device:
        file = files.table_of(device.identity.chip, device.identity.serial)
        table, _, hit = calibrate_with_source(
            device, target=target, options=options, delays=delays, cache=cache, report=watching()
        )  # fmt: skip
    table.save(file)
    report = None
    if files.report is not None:
        with extra("page", say):
            from hxloop_calibration.calibration_report import write_report

            write_report(table, files.report)
            report = files.report
    more = {"wall_s": time.perf_counter() - begin, "from_cache": hit, "table_path": file, "report_path": report}
    return table, table.summary() | more


def _check(
    file: Path, chip: str | None, serial: int | None, endpoint: str | None, begin_s: float | None, *, as_json: bool
) -> None:
    from hxloop.codes.calibration_table import load_calibration
    from hxloop_calibration.recheck import check
    from hxloop_host.cli.progress_bar import watching
    from hxloop_host.link.choosing import open_chip

    table = load_calibration(file)
    if endpoint is None:
        chip, serial = chip or table.identity.chip, table.identity.serial if serial is None else serial
    with open_chip(chip, serial, endpoint) as device:
        found = check(device, table, begin_s=begin_s, report=watching())
    if as_json:
        print_json({**found.summary(), "table_path": file})
    else:
        for line in found.lines():
            show(line)
    if found.expired:
        raise typer.Exit(1)


def _refuse_together(option: str, **others: object) -> None:
    """Options that contradict this one; nothing is silently left out."""
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise InvalidInputError(
            f"--{option} and --{given[0]} do not go together", field=given[0], hint="leave one of them out"
        )


def _say(table: CalibrationTable, found: dict[str, Any]) -> None:
    _print(table)
    say(
        f"{100 * table.success_fraction:.1f} % of {len(table.usable)} circuits as wanted, {found['wall_s']:.1f} s; "
        f"on silicon {table.chip_time_s:.1f} s"
    )
    for written in (found["table_path"], found["report_path"]):
        if written is not None:
            show(written)


def _print(table: CalibrationTable) -> None:
    rows = []
    for name, parameter in table.parameters.items():
        s = parameter.summary()
        cells = [_number(s[key]) for key in ("target", "median", "std", "std_before")]
        rows.append([f"{name} ({s['unit']})", *cells, f"{100 * s['success_fraction']:.1f} %"])
    headings = ("parameter", "target", "median", "std", "std before", "as wanted")
    print_table(headings, rows, title=str(table.identity), stderr=True)
    for entry, name, reason in table.failures()[:20]:
        say(f"{table.parameters[name].per} {entry}, {name}: {reason}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
