"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ENTRY_SETTINGS = {"help_option_names": ["-h", "--help"]}

CHIP_HELP = (
    "Named chip: ideal, typical, rough, uncalibrated, one of them with other imperfections, "
    "rough\\[membrane_trial_mv=0], or the FILE.toml of hxloop fit."
)


def named(chip: str | None) -> str | None:
    """Name of a chip as an option gives it: a file becomes the name of what it describes."""
    if chip is None or not chip.endswith(".toml"):
        return chip  # the name of a chip needs no reader of files
    from hxloop.naming.chip_file import chip_name

    return chip_name(chip)


def possible(chip: str) -> str:
    """The same, of a chip that an emulator shall be."""
    from hxloop.naming.chip_name import NAMED, ChipName

    name = named(chip) or chip
    ChipName.parse(name, NAMED)
    return name


Chip = Annotated[
    str | None,
    typer.Option("--chip", help=CHIP_HELP, metavar="NAME|FILE", callback=named),
]
Serial = Annotated[
    int | None,
    typer.Option("--serial", min=0, help="Serial number of the chip: another one is other silicon.", metavar="N"),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        help="Use a running daemon instead of starting one: ipc://..., tcp://127.0.0.1:PORT, CHIP/SERIAL of a daemon "
        "that hxloop serve started, or a connection file.",
        metavar="ENDPOINT",
    ),
]
Calibration = Annotated[
    str | None,
    typer.Option(
        "--calibration",
        help="Table that hxloop calibrate wrote, or auto: calibrate for this operating point (or from the cache); "
        "auto:published: by the published method.",
        metavar="FILE|auto",
    ),
]
Initial = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="Begin with the trained weights of this run (fine-tuning) instead of random ones.",
        metavar="RUN",
        show_default=False,
    ),
]
Rule = Annotated[
    str | None,
    typer.Option(
        "--rule",
        help="Learning rule: a name of hxloop rules, or FILE.py:CLASS, a class in a file of yours, which is run.",
        metavar="RULE",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder in which published data (mnist16) are looked for first, instead of HXLOOP_DATA_DIR.",
        metavar="FOLDER",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; everything else on stderr.")]
RunPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Directory of the run, its run.h5, or a name of hxloop runs list.", show_default=False
    ),
]


def make_app() -> typer.Typer:
    """Return a Typer for one command."""
    return typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich", context_settings=ENTRY_SETTINGS
    )
