"""Placements without a chip: networks of files and presets on a datasheet, with nominal codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from host.layers import build_layers, build_network
from host.mapping import place
from host.network_file import read_network_file
from host.network_run import map_network
from host.settings import PRESETS, load_settings
from host.tasks import TASKS
from hxloop.errors import InvalidInputError
from hxloop.operating_point import nominal_boot
from hxloop.reading import first_bytes

if TYPE_CHECKING:
    from host.mapping import Placement
    from hxloop.spec import ChipSpec


def place_source(source: str, spec: ChipSpec, n_features: int | None = None) -> tuple[Placement, list[str]]:
    """Place what a user names.

    Parameters
    ----------
    source : str
        Network file (npz), preset, or settings file (TOML).
    spec : ChipSpec
    n_features : int, optional
        Input channels without those of the biases, for settings; by default those of the preset's task.

    Returns
    -------
    placement : Placement
    changed : list of str
        What the chip does not do exactly as a network file says.

    Raises
    ------
    InvalidInputError
        Neither of these, or a settings file without its number of inputs.
    DoesNotFitError, OutOfRangeError
        As in `host.mapping.place`.
    """
    boot = nominal_boot(spec)
    if source not in PRESETS and _is_archive(Path(source)):
        placement, _, changed = map_network(read_network_file(source), spec, boot)
        return placement, changed
    settings = load_settings(source)
    if n_features is None:
        tasks = [task for task in TASKS.values() if source in task.presets]
        if not tasks:
            raise InvalidInputError(
                f"{source} does not say how many inputs its task has", field="inputs", hint="add --inputs N"
            )
        n_features = tasks[0].n_features
    return place(build_network(settings, build_layers(settings, n_features)), spec, boot), []


def _is_archive(path: Path) -> bool:
    if path.suffix == ".npz":
        return True
    return path.suffix != ".toml" and first_bytes(path, 2) == b"PK"
