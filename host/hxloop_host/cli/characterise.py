"""`hxloop measure` and `hxloop fit`: what a chip shows of its spreads and noises, and the strengths that explain it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hxloop.files.writing import HDF5, check_target
from hxloop.kit.extras import extra
from hxloop.kit.terminal import print_json, print_table, say, show
from hxloop_host.cli.shared_options import AsJson, Chip, Endpoint, Force, Serial, make_app

if TYPE_CHECKING:
    from hxloop.codes.calibration_table import CalibrationTable
    from hxloop_calibration.characterising.fit_verb import FittedChip
    from hxloop_host.studies.design.sheet import ChipSheet

measure = make_app()
fit = make_app()


@measure.command(name="measure")
def _measure(
    chip: Chip = None,
    serial: Serial = None,
    endpoint: Endpoint = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="Table to look at, not the codes the chip boots with.", metavar="TABLE"),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Same seed, same chip: same measurements.", metavar="N")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; else measurements-CHIP-SERIAL.h5.", metavar="FILE")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Measure spreads and noises of a chip, for [bold]hxloop fit[/bold].

    Without [bold]--endpoint[/bold] an emulated chip, typical/1 unless another one is named, is started for it.

    [dim]Examples:[/dim]

      hxloop measure --chip typical --serial 7 --out measurements.h5

      hxloop fit measurements.h5 --to chip.toml
    """
    from hxloop.naming.chip_name import file_safe
    from hxloop_calibration.characterising.measure_verb import measure as run
    from hxloop_host.cli.progress_bar import watching
    from hxloop_host.link.choosing import open_chip

    begin, read = time.perf_counter(), [] if calibration is None else [calibration]
    if endpoint is None:
        chip, serial = chip or "typical", 1 if serial is None else serial

    def target(name: str, number: int) -> Path:
        file = out or Path(f"measurements-{file_safe(name, number)}.h5")
        check_target(file, HDF5, force=force, others=read)
        return file

    if chip is not None and serial is not None:
        target(chip, serial)  # before a chip is started for it
    table = None if calibration is None else _table(calibration)
    with open_chip(chip, serial, endpoint) as device:
        file = target(device.identity.chip, device.identity.serial)
        found = run(device, calibration=table, seed=seed, report=watching())
    found.save(file)
    wall_s = time.perf_counter() - begin
    if as_json:
        print_json({"chip": str(found.identity), "path": file, "datasets": sorted(found.arrays), "wall_s": wall_s})
    else:
        say(f"{len(found.arrays)} datasets in {wall_s:.1f} s")
        show(file)


@fit.command(name="fit")
def _fit(
    files: Annotated[
        list[Path], typer.Argument(metavar="MEASUREMENTS...", help="Of chips of one kind.", show_default=False)
    ],
    to: Annotated[Path, typer.Option("--to", help="Chip to write.", metavar="FILE.toml")],
    base: Annotated[
        str, typer.Option("--base", help="Named chip whose strengths hold where measurements say nothing.")
    ] = "typical",
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Picture to draw.", metavar="FILE.png|FILE.svg")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Estimate the strengths of a kind of chip from measurements, and write it as a chip of your own.

    What the measurements do not tell keeps the strength of the base chip. Exit code 1: there is a chip, but the picture
    failed.

    [dim]Examples:[/dim]

      hxloop fit measurements.h5 --to chip.toml --picture chip.png

      hxloop train yin-yang --chip chip.toml
    """
    from hxloop.naming.chip_file import ENDINGS
    from hxloop_calibration.characterising.fit_picture import FORMS, draw_fit
    from hxloop_calibration.characterising.fit_verb import fit_chip
    from hxloop_calibration.characterising.measurements import load_measurements
    from hxloop_host.studies.design.sheet import read_sheet

    check_target(to, ENDINGS, field="to", force=force, others=files)
    if picture is not None:
        check_target(picture, FORMS, field="picture", force=force, others=[*files, to])
    given = [load_measurements(file) for file in files]
    sheet = read_sheet(base)
    fitted = fit_chip(given, base=base)
    fitted.file.save(to)
    drawn = None
    if picture is not None:
        with extra("picture", say):
            draw_fit(fitted, given, sheet.defaults, picture)
            drawn = picture
    if as_json:
        print_json(fitted.summary() | {"path": to, "picture_path": drawn})
    else:
        _print(fitted, sheet)
        for written in (to, drawn):
            if written is not None:
                show(written)
    if drawn != picture:
        raise typer.Exit(1)


def _table(path: Path) -> CalibrationTable:
    from hxloop.codes.calibration_table import load_calibration

    return load_calibration(path)


def _print(fitted: FittedChip, sheet: ChipSheet) -> None:
    rows = []
    for e in fitted.estimates:
        known = sheet.all.get(e.name)
        unit, value = ("", "-") if known is None else (known.unit, f"{known.value:.4g}")
        text = e.how if e.sure else f"{e.how}; too uncertain, kept"
        rows.append([e.name, unit, value, f"{e.value:.4g}", f"{e.low:.4g} .. {e.high:.4g}", f"{e.draws:.0f}", text])
    headings = ("strength", "unit", fitted.base, "fitted", "95 %", "draws", "from")
    print_table(headings, rows, title=", ".join(fitted.chips), stderr=True)
    left = {name: why for name, why in fitted.kept.items() if all(e.name != name for e in fitted.estimates)}
    left |= {name: "nothing here measures it" for name in sheet.all if name not in left and _untold(fitted, name)}
    for name, why in left.items():
        say(f"{name} keeps that of {fitted.base}: {why}")


def _untold(fitted: FittedChip, name: str) -> bool:
    return all(e.name != name for e in fitted.estimates)
