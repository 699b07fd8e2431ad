"""Ways to a chip: start a daemon of one's own, or find one that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hxloop.kit import arguments
from hxloop.naming.chip_file import chip_name
from hxloop.naming.chip_name import NAMED, ChipName
from hxloop.protocol.meeting_place import check_endpoint
from hxloop_host.link.client import RemoteChip
from hxloop_host.link.discovery import address_of, locate
from hxloop_host.link.own_daemon import Daemon
from hxloop_host.link.patience import Patience

if TYPE_CHECKING:
    from pathlib import Path


def launch(
    chip: str | Path = "typical",
    serial: int = 1,
    *,
    threads: int | None = None,
    endpoint: str | None = None,
    patience: Patience | None = None,
) -> RemoteChip:
    """Start an emulator daemon; it is started again if it dies, and ended by `RemoteChip.close` or with this process.

    Parameters
    ----------
    chip : str or Path
        Named chip: ``ideal``, ``typical``, ``rough``, ``uncalibrated``, or one with other imperfections as in
        ``typical[jitter_trial_us=0]``; or a TOML file of one (``hxloop fit``).
    serial : int
        Serial number.
    threads : int, optional
        Threads the emulator may use; results do not depend on it.
    endpoint : str, optional
        ``tcp://127.0.0.1:PORT`` (port 0: any) or ``ipc://PATH``; by default a socket in a private folder.
    patience : Patience, optional
        Waiting times of the client.

    Returns
    -------
    RemoteChip
        Use it in a ``with`` statement.

    Raises
    ------
    DaemonStartError
        The daemon did not start; the error shows the end of its log.
    InvalidInputError
        No such chip, serial or endpoint.

    Examples
    --------
    >>> with launch("typical", serial=3) as chip:  # doctest: +SKIP
    ...     chip.configure(config)
    """
    _check_patience(patience)
    name = chip_name(chip)
    ChipName.parse(name, NAMED)  # before anything is started
    daemon = Daemon(
        name,
        arguments.whole_number(serial, "serial", highest=arguments.SEED_MAX),
        threads=arguments.optional(arguments.whole_number, threads, "threads", lowest=1, highest=arguments.THREADS_MAX),
        endpoint=arguments.optional(check_endpoint, endpoint, "endpoint"),
    )
    try:
        return RemoteChip(
            address_of(daemon.connection), owner=daemon, patience=patience, expected=daemon.connection.identity
        )
    except BaseException:
        daemon.close()
        raise


def connect(target: str | Path, *, patience: Patience | None = None) -> RemoteChip:
    """Use a daemon that runs already; it stays when the chip is closed.

    Parameters
    ----------
    target : str or path
        Endpoint, connection file, or ``CHIP/SERIAL`` (``typical/1``) of a daemon started by ``hxloop serve``.
    patience : Patience, optional
        Waiting times of the client.

    Raises
    ------
    UnreachableError
        Nobody listens there.
    ChipMismatchError
        Another chip answers than the connection file says.
    InvalidInputError
        `target` is none of these.
    """
    _check_patience(patience)
    address, identity = locate(check_endpoint(target, "target"))
    return RemoteChip(address, expected=identity, patience=patience)


def _check_patience(patience: object) -> None:
    arguments.optional(
        arguments.of_type, patience, "patience", kind=Patience, takes="a hxloop_host.link.patience.Patience"
    )
