"""`hxloop serve` and `hxloop chip describe`: the emulator is another program; these commands become it."""

from __future__ import annotations

import importlib.util
import os
import sys
from enum import StrEnum
from pathlib import Path  # noqa: TC003 (typer reads annotations when it runs)
from typing import Annotated, NoReturn

import typer

from hxloop.errors import DaemonStartError
from hxloop_host.cli.shared_options import CHIP_HELP, Force, make_app, possible

_PROGRAM = "hxloop_chip"

serve = make_app()
chip = make_app()

ChipName = Annotated[str, typer.Option("--chip", help=CHIP_HELP, metavar="NAME|FILE", callback=possible)]
Serial = Annotated[
    int, typer.Option("--serial", min=0, help="Serial number: another one is other silicon.", metavar="N")
]


class LogFormat(StrEnum):
    """Styles of the daemon's log."""

    text = "text"
    json = "json"


def become_emulator(arguments: list[str]) -> NoReturn:
    """Replace this process by ``python -m hxloop_chip``.

    Raises
    ------
    DaemonStartError
        The emulator is not installed.
    """
    if importlib.util.find_spec(_PROGRAM) is None:
        raise DaemonStartError(
            f"the package {_PROGRAM} is not installed", hint="install hxloop as a whole, or connect to another chip"
        )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", _PROGRAM, *arguments])


@serve.command(name="serve")
def _serve(
    chip: ChipName = "typical",
    serial: Serial = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Solver threads; all cores by default.", metavar="N")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="ipc://PATH or tcp://127.0.0.1:PORT (port 0: any free one).", metavar="ENDPOINT")
    ] = None,
    connection_file: Annotated[Path | None, typer.Option(help="Where to write how to reach this daemon.")] = None,
    parent_pid: Annotated[int | None, typer.Option(min=1, help="End when this process is gone.", metavar="N")] = None,
    idle_timeout_s: Annotated[
        float | None, typer.Option(min=0.1, help="End after this long without requests.", metavar="N")
    ] = None,
    stall_timeout_s: Annotated[
        float | None,
        typer.Option(min=0.5, help="Replace a worker that shows no sign of life for this long.", metavar="N"),
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="Log to stderr as text or JSON lines.")] = LogFormat.text,
) -> None:
    """Serve one emulated chip to any number of clients, until Ctrl-C or SIGTERM.

    Clients find it by its connection file or endpoint; without options, as [bold]typical/1[/bold].

    [dim]Examples:[/dim]

      hxloop serve --chip rough --serial 7

      hxloop serve --chip ideal --endpoint tcp://127.0.0.1:5700
    """
    options = {
        "--chip": chip,
        "--serial": serial,
        "--threads": threads,
        "--endpoint": endpoint,
        "--connection-file": connection_file,
        "--parent-pid": parent_pid,
        "--idle-timeout-s": idle_timeout_s,
        "--stall-timeout-s": stall_timeout_s,
        "--log-format": log_format.value,
    }
    become_emulator(["serve", *(str(x) for pair in options.items() if pair[1] is not None for x in pair)])


@chip.callback()
def _chip() -> None:
    """Look at chips."""


@chip.command(name="describe")
def _describe(
    chip: ChipName = "typical",
    serial: Serial = 1,
    sources: Annotated[bool, typer.Option("--sources", help="Add where every number comes from.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show the datasheet of a chip and the strength of its imperfections.

    [dim]Examples:[/dim]

      hxloop chip describe --chip typical --sources
    """
    flags = [name for name, on in (("--sources", sources), ("--json", as_json)) if on]
    become_emulator(["describe", "--chip", chip, "--serial", str(serial), *flags])


@chip.command(name="reveal")
def _reveal(
    out: Annotated[Path, typer.Option("--out", help="HDF5 file to write.", metavar="FILE")],
    chip: ChipName = "typical",
    serial: Serial = 1,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as one JSON object on stdout.")] = False,
) -> None:
    """Write the hidden truth of a chip to a file: its mismatch, boot codes and true parameters.

    For reports and tests. It is computed here from name and serial number; no daemon gives it away.
    [bold]Training, calibration and mapping must not use it[/bold]: of a real chip nobody knows it.

    [dim]Examples:[/dim]

      hxloop chip reveal --chip typical --serial 7 --out truth.h5
    """
    flags = [name for name, on in (("--force", force), ("--json", as_json)) if on]
    become_emulator(["reveal", "--chip", chip, "--serial", str(serial), "--out", str(out), *flags])


@chip.command(name="report")
def _report(
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.", metavar="FILE")],
    chip: ChipName = "typical",
    serials: Annotated[
        str, typer.Option("--serials", help="Serial numbers: 7, 1..20 or 1..5,8.", metavar="RANGE")
    ] = "1..20",
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the statistics as one JSON object on stdout.")] = False,
) -> None:
    """Write a page about a population of chips: every parameter, transfer curves, example traces, noise.

    [dim]Examples:[/dim]

      hxloop chip report --chip typical --serials 1..20 --out report.html
    """
    flags = [name for name, on in (("--force", force), ("--json", as_json)) if on]
    become_emulator(["report", "--chip", chip, "--serials", serials, "--out", str(out), *flags])
