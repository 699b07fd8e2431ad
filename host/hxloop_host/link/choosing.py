"""The chip of a command: one that is there already, a daemon that runs, or an emulator of one's own."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hxloop.chip import Chip
from hxloop.errors import ChipMismatchError, InvalidInputError
from hxloop.kit import arguments
from hxloop.protocol.meeting_place import file_safe

if TYPE_CHECKING:
    from collections.abc import Iterator

ChipChoice = tuple[str | Chip | None, int | None, str | None]
"""Chip, serial number and endpoint, as `open_chip` takes them."""


def check_choice(
    chip: str | Chip | None, serial: int | None, endpoint: str | Path | None, *, default_serial: int | None = None
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
        Naming the argument; also an endpoint beside a chip that is there already.
    ChipMismatchError
        Another serial number than that of a chip that is there already.
    """
    number = arguments.optional(arguments.whole_number, serial, "serial", highest=arguments.SEED_MAX)
    endpoint = arguments.optional(arguments.endpoint, endpoint, "endpoint")
    if chip is None or isinstance(chip, str):
        name = arguments.optional(arguments.text, chip, "chip", takes="the name of a chip, or a chip")
        return name, default_serial if number is None and endpoint is None else number, endpoint
    device: Chip = arguments.like(chip, "chip", Chip, "the name of a chip, or a chip (hxloop.launch, hxloop.connect)")
    if endpoint is not None:
        raise InvalidInputError("a chip is there already", field="endpoint", hint="give a chip or an endpoint")
    if number not in {None, device.identity.serial}:
        raise ChipMismatchError(
            f"the chip is {device.identity}, not number {number}", field="serial", hint="leave serial out"
        )
    return device, number, None


@contextmanager
def open_chip(
    chip: str | Chip | None, serial: int | None, endpoint: str | None, threads: int | None = None
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
    from hxloop_host.link import launch

    number = 1 if serial is None else serial
    with launch.open_chip(chip or "typical", number, endpoint=endpoint, threads=threads) as device:
        found = device.identity
        wanted = f"{chip or found.chip}/{found.serial if serial is None else serial}"
        if wanted != str(found):
            raise ChipMismatchError(
                f"the chip at {endpoint} is {found}, not {wanted}",
                field="endpoint",
                hint=f"ask for chip {found.chip} and serial {found.serial}, or connect to another endpoint",
            )
        yield device


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
