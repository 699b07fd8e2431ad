"""Calibrations for training: a table, a file, or one made for the run; and the model it gives the host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from hxloop.codes.boot import OperatingPoint
from hxloop.codes.calibration_table import CalibrationTable, load_calibration
from hxloop.errors import InvalidInputError, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hxloop.chip import Chip
    from hxloop.network import Network, Population
    from hxloop.progress import Report
    from hxloop_calibration.options import Method
    from hxloop_host.settings.experiment_settings import NeuronSettings

AUTO: Final[dict[str, Method]] = {"auto": "default", "auto:published": "published"}
"""Calibrate for the operating point of the run by this method, or take such a table from the cache."""
TABLE_FILE: Final = "calibration.h5"
"""Name of the table in the directory of a run."""

_SAME_POINT: Final = 0.05
"""Share of a value, or of the way from leak to threshold, within which operating points are the same: what circuits
differ by after a calibration."""

Calibration = CalibrationTable | str | Path | None


def read_calibration(calibration: Calibration) -> CalibrationTable | str | None:
    """Table, read if it is in a file; or what stands for one. Nothing is asked of a chip.

    Raises
    ------
    InvalidInputError
        Neither a table, nor a path, nor ``auto`` or ``auto:published``.
    MissingFileError, RecordError
        The file is not there, damaged or something else.
    """
    if calibration is None or isinstance(calibration, CalibrationTable):
        return calibration
    return str(calibration) if str(calibration) in AUTO else load_calibration(calibration)


def find_calibration(
    calibration: Calibration, chip: Chip, neuron: NeuronSettings, report: Report = (), *, delays: bool = False
) -> CalibrationTable | None:
    """Table to work with on this chip.

    Parameters
    ----------
    calibration : CalibrationTable, str, Path or None
        A table, a file, ``auto``, ``auto:published``, or none.
    chip : Chip
    neuron : NeuronSettings
        Operating point that ``auto`` aims at.
    report : listener or list of listeners
        Told how ``auto`` gets on, by default nobody.
    delays : bool
        ``auto`` measures the delays of delay neurons, too.

    Raises
    ------
    ChipMismatchError
        The table belongs to another chip.
    MissingFileError, RecordError
        The file is not there, damaged or something else.
    """
    given = read_calibration(calibration)
    if isinstance(given, str):
        from hxloop_calibration.calibrate_verb import calibrate
        from hxloop_calibration.targets import DelayTarget, Target

        aims = DelayTarget() if delays and AUTO[given] == "default" else None
        target = Target(neuron=OperatingPoint.of(neuron), delays=aims)
        return calibrate(chip, target=target, method=AUTO[given], report=report)
    if given is not None:
        given.check_chip(chip)
    return given


def warn_of(table: CalibrationTable | None, network: Network, say: Callable[[str], None]) -> None:
    """Say in a line each what a table does not know of a network that runs with it.

    Parameters
    ----------
    table : CalibrationTable or None
    network : Network
    say : callable
        Told of a table made with `only`, and of populations with another operating point than that of the table: its
        codes are moved along the nominal curves, but what was measured need not hold there. The refractory period is
        counted by a clock and may be any, and so may be the threshold of neurons that do not spike. Delay neurons have
        a point of their own: of them it is said whether their delays were measured.
    """
    if table is None:
        return
    only = table.routines
    if only:
        say(
            f"warning: the calibration was made with only {', '.join(only)}; of everything else the chip keeps the "
            "codes it boots with, unmeasured (calibrate without --only)"
        )
    others: dict[str, list[str]] = {}
    relays = [population.name for population in network.populations if population.relay]
    if relays and table.delays is None:
        say(
            f"warning: the calibration has no delays of {', '.join(relays)}; counters are chosen as if triggers were "
            "nominal (hxloop calibrate --delays measures them)"
        )
    for population in network.populations:
        if population.relay:
            continue
        other = _differences(table.operating_point, population)
        if other:
            others.setdefault(", ".join(other), []).append(population.name)
    for text, names in others.items():
        whose = "" if len(names) == len(network.populations) else f" than that of {', '.join(names)}"
        say(
            f"warning: the calibration was made for another operating point{whose}, {text}; what it measured need not "
            "hold for this network (--calibration auto calibrates for that of the section [neuron])"
        )


def _differences(made_for: OperatingPoint, population: Population) -> list[str]:
    """What of a population is not what circuits were calibrated for."""
    wanted, swing_mv = population.point.model_dump(), population.v_threshold_mv - population.v_leak_mv
    free = {"t_refractory_us"} if population.spiking else {"t_refractory_us", "v_threshold_mv", "v_reset_mv"}
    return [
        f"{name} = {value:g} instead of {wanted[name]:g}"
        for name, value in made_for.model_dump().items()
        if name not in free
        and abs(value - wanted[name]) > _SAME_POINT * (swing_mv if name.startswith("v_") else wanted[name])
    ]


def check_same_calibration(stored_key: str, given: Calibration) -> None:
    """Refuse to go on with another calibration than a run was begun with.

    Parameters
    ----------
    stored_key : str
        Key of the run's table, empty if it has none.
    given : CalibrationTable, str, Path or None
        What the caller asked for; ``auto`` and None stand for the run's own.

    Raises
    ------
    InvalidInputError
        Another table, or one for a run without.
    RecordError, MissingFileError
        The file that was given cannot be read.
    """
    table = read_calibration(given)
    if table is None:
        return
    if not stored_key:
        raise InvalidInputError(
            "the run to resume has no calibration", field="calibration", hint="leave it out, or start another run"
        )
    if isinstance(table, str):
        return
    if table.key != stored_key:
        raise InvalidInputError(
            f"the run to resume has the calibration {stored_key[:12]}, not {table.key[:12]}",
            field="calibration",
            hint="leave it out to use the run's own, or start another run",
        )


def own_calibration(stored_key: str, directory: Path) -> CalibrationTable | None:
    """Table that was stored with a run, None for a run without.

    Parameters
    ----------
    stored_key : str
        Key of the run's table, empty if it has none.
    directory : Path
        Of the run.

    Raises
    ------
    RecordError, MissingFileError
        The table is gone, damaged, or not the one of this run.
    """
    if not stored_key:
        return None
    file = directory / TABLE_FILE
    table = load_calibration(file)
    if table.key != stored_key:
        raise RecordError(
            f"{file} is the calibration {table.key[:12]}, but the run was trained with {stored_key[:12]}",
            field="calibration",
            hint="put the run's own table back",
        )
    return table


def check_no_other_table(table: CalibrationTable | None, directory: Path) -> None:
    """Refuse to begin a run beside a table that is not its own: it would be overwritten, or be taken for the run's.

    Such a table is left by a run that ended before its first checkpoint, or was put there by somebody.

    Parameters
    ----------
    table : CalibrationTable or None
        That of the run.
    directory : Path
        Of the run.

    Raises
    ------
    InvalidInputError
        There is another table, or the run has none.
    RecordError
        The table that is there is damaged.
    """
    file = directory / TABLE_FILE
    if not file.exists():
        return
    there = load_calibration(file).key
    if table is None or table.key != there:
        raise InvalidInputError(
            f"{file} is the calibration {there[:12]}, but the run that begins there has "
            f"{'none' if table is None else table.key[:12]}",
            field="out",
            hint=f"give --calibration {file} to use it, move it away, or choose another --out",
        )
