"""Command line of the daemon: ``python -m hxloop_chip serve``; users call it as ``hxloop serve``."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from pathlib import Path  # noqa: TC003 (typer reads annotations when it runs)
from typing import Annotated, NoReturn

import typer

from hxloop.kit.cores import n_cores
from hxloop.kit.entry import Group, run_program
from hxloop.kit.logs import LogFormat, set_up_logging
from hxloop.kit.terminal import print_json, print_table, say, show
from hxloop.naming.chip_name import with_serial

log = logging.getLogger("hxloop_chip")

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="An emulated chip as a service of its own.",
)

ChipName = Annotated[
    str,
    typer.Option(
        "--chip",
        help="Named chip: ideal, typical, rough, uncalibrated; other imperfections as in typical\\[name=value].",
    ),
]
Serial = Annotated[int, typer.Option("--serial", min=0, help="Serial number: which silicon of that kind.")]


_OF_CHIP = ("describe", "reveal", "report")
"""Commands that users reach as ``hxloop chip ...``; `serve` is ``hxloop serve``."""


class _LogFormat(StrEnum):
    text = "text"
    json = "json"


@app.command()
def serve(
    chip: ChipName = "typical",
    serial: Serial = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Solver threads; all cores by default.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="ipc://PATH or tcp://127.0.0.1:PORT (0: any free port).")] = None,
    connection_file: Annotated[Path | None, typer.Option(help="Where to write how to reach this daemon.")] = None,
    parent_pid: Annotated[int | None, typer.Option(min=1, help="End when this process is gone.")] = None,
    idle_timeout_s: Annotated[float | None, typer.Option(min=0.1, help="End after this long without requests.")] = None,
    stall_timeout_s: Annotated[
        float, typer.Option(min=0.5, help="Replace a worker that shows no sign of life for this long.")
    ] = 10.0,
    log_format: Annotated[_LogFormat, typer.Option(help="Log to stderr as text or JSON lines.")] = _LogFormat.text,
) -> None:
    """Serve one emulated chip until told to end (SIGTERM, Ctrl-C, or the shutdown verb)."""
    style: LogFormat = "json" if log_format is _LogFormat.json else "text"
    set_up_logging(style)
    log.info("starting %s/%d", chip, serial)
    from hxloop_chip.server.daemon import ServeOptions
    from hxloop_chip.server.daemon import serve as run_daemon

    options = ServeOptions(
        chip=chip,
        serial=serial,
        threads=threads or n_cores(),
        endpoint=endpoint,
        connection_file=connection_file,
        parent_pid=parent_pid,
        idle_timeout_s=idle_timeout_s,
        stall_timeout_s=stall_timeout_s,
        log_format=style,
    )
    raise typer.Exit(run_daemon(options))


@app.command()
def describe(
    chip: ChipName = "typical",
    serial: Serial = 1,
    sources: Annotated[bool, typer.Option("--sources", help="Add where every number comes from.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show the datasheet and the imperfections of a named chip; needs no daemon."""
    from hxloop_chip.silicon.describe import describe_chip
    from hxloop_chip.silicon.presets import MODEL_VERSION

    entries = describe_chip(chip)
    if as_json:
        parts: dict[str, dict[str, object]] = {}
        for entry in entries:
            content = {k: v for k, v in entry.items() if k not in {"part", "name"} and (sources or k != "source")}
            parts.setdefault(entry["part"], {})[entry["name"]] = content
        print_json({"chip": chip, "serial": serial, "model": MODEL_VERSION, **parts})
        return
    headings = ("name", "value", "unit", "meaning", *(("source",) if sources else ()))
    for part in dict.fromkeys(entry["part"] for entry in entries):
        rows = [
            [e["name"], _readable(e["value"]), e["unit"], e["description"], *([e["source"]] if sources else [])]
            for e in entries
            if e["part"] == part
        ]
        print_table(headings, rows, title=f"{with_serial(chip, serial)}: {part}")


@app.command()
def reveal(
    out: Annotated[Path, typer.Option("--out", help="HDF5 file to write.", metavar="FILE")],
    chip: ChipName = "typical",
    serial: Serial = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Write the hidden truth of a chip to a file; needs no daemon. Not to be used in training."""
    from hxloop_chip.truth import write_truth

    found = write_truth(chip, serial, out, force=force)
    if as_json:
        print_json(found)
    else:
        show(f"{with_serial(chip, serial)}, digest {found['digest']}: {found['arrays']} arrays in {out}")


@app.command()
def report(
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.", metavar="FILE")],
    chip: ChipName = "typical",
    serials: Annotated[str, typer.Option("--serials", help="Serial numbers: 7, 1..20 or 1..5,8.")] = "1..20",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The statistics as one JSON object on stdout.")] = False,
) -> None:
    """Write a page about a population of chips: parameters, transfer curves, traces, noise; needs no daemon."""
    from hxloop.naming.serials import parse_serials

    numbers = parse_serials(serials)  # a mistake is answered before anything is loaded
    from hxloop_chip.report import write_report

    rows = write_report(chip, numbers, out, force=force, say=say)
    if as_json:
        print_json({"chip": chip, "serials": serials, "path": out, "parameters": rows})
    else:
        show(out)


def _readable(value: object) -> str:
    if isinstance(value, tuple):
        return " .. ".join(f"{v:g}" for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def main() -> NoReturn:
    """Entry point. Users call the commands by other names than this package's, and are told these."""
    looks_only = sys.argv[1:2] and sys.argv[1] in _OF_CHIP
    run_program(app, "hxloop chip" if looks_only else "hxloop")
