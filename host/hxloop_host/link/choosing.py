"""The chip of a command: one that is there already, a daemon that runs, or an emulator of one's own."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hxloop.chip import Chip
from hxloop.errors import ChipMismatchError, InvalidInputError
from hxloop.kit import arguments
from hxloop.naming.chip_file import chip_name
from hxloop.naming.chip_name import NAMED, ChipName, file_safe, with_serial
from hxloop.protocol.meeting_place import check_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hxloop.chip import ChipIdentity

ChipChoice = tuple[str | Chip | None, int | None, str | None]
"""Chip, serial number and endpoint, as `open_chip` takes them."""


def check_choice(
    chip: str | Path | Chip | None,
    serial: int | None,
    endpoint: str | Path | None,
    *,
    default_serial: int | None = None,
) -> ChipChoice:
    """Refuse what `open_chip` cannot take, before anything is made or started.

    Parameters
    ----------
    chip, serial, endpoint
        As for `open_chip`.
    default_serial : int, optional
        Serial number of a named chip that is started here, where none is given.

    Raises
    ------
    InvalidInputError, OutOfRangeError
        Naming the argument; also a chip that no emulator can be, and an endpoint beside a chip that is there already.
    ChipMismatchError
        Another serial number than that of a chip that is there already.
    """
    number = arguments.optional(arguments.whole_number, serial, "serial", highest=arguments.SEED_MAX)
    endpoint = arguments.optional(check_endpoint, endpoint, "endpoint")
    if chip is None or isinstance(chip, str | Path):
        name = None if chip is None else chip_name(chip)
        if name is not None and endpoint is None:
            ChipName.parse(name, NAMED)
        return name, default_serial if number is None and endpoint is None else number, endpoint
    device: Chip = arguments.like(chip, "chip", Chip, "the name of a chip, or a chip (hxloop.launch, hxloop.connect)")
    if endpoint is not None:
        raise InvalidInputError("a chip is there already", field="endpoint", hint="give a chip or an endpoint")
    _refuse_another(device.identity, None, number, "the chip", "serial")
    return device, number, None


@contextmanager
def open_chip(
    chip: str | Chip | None,
    serial: int | None,
    endpoint: str | None,
    threads: int | None = None,
    default: str = "typical",
) -> Iterator[Chip]:
    """Chip to work with; an emulator started here is ended at the end.

    Parameters
    ----------
    chip : str or Chip
        Name of a chip, or one that is there already; None for whatever is at the endpoint.
    serial : int
        Serial number of the named chip; None for whatever is at the endpoint.
    endpoint : str, optional
        Daemon that runs already.
    threads : int, optional
        Threads of an emulator started here, by default one for every core.
    default : str
        Chip that is started where none is named.

    Raises
    ------
    ChipMismatchError
        Another chip at the endpoint than the one asked for.
    ServiceError
        No daemon can be started, or nobody is at the endpoint.
    """
    if chip is not None and not isinstance(chip, str):
        yield chip
        return
    from hxloop_host.link.launch import connect, launch

    if endpoint is None:
        own = launch(chip or default, 1 if serial is None else serial, threads=threads)
    else:
        own = connect(endpoint)
    with own as device:
        _refuse_another(device.identity, chip, serial, f"the chip at {endpoint}", "endpoint")
        yield device


def _refuse_another(found: ChipIdentity, chip: str | None, serial: int | None, what: str, field: str) -> None:
    """Refuse a chip that is not the one asked for; what was not asked for may be anything."""
    wanted = with_serial(chip or found.chip, found.serial if serial is None else serial)
    if wanted != str(found):
        raise ChipMismatchError(
            f"{what} is {found}, not {wanted}",
            field=field,
            hint=f"ask for chip {found.chip} and serial {found.serial}, for none, or name another endpoint",
        )


def run_name(task: str, preset: str | Path, chip: str | Chip | None, serial: int | None, seed: int) -> str:
    """First part of the name of a run's directory."""
    if chip is not None and not isinstance(chip, str):
        identity = chip.identity
        chip, serial = identity.chip, identity.serial
    parts = [
        task,
        file_safe(Path(preset).stem) or "custom",
        None if chip is None else file_safe(chip),
        serial,
        f"seed{seed}",
    ]
    return "-".join(str(part) for part in parts if part is not None)
