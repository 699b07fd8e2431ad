"""Placements without a chip: networks of files and presets on a datasheet, with nominal codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError
from hxloop.files.reading import first_bytes
from hxloop_host.network.layers import build_layers, build_network
from hxloop_host.placing.mapping import place
from hxloop_host.placing.network_file import read_network_file
from hxloop_host.placing.network_run import map_network
from hxloop_host.settings.experiment_settings import PRESETS, load_settings
from hxloop_host.tasks.catalog import TASKS

if TYPE_CHECKING:
    from hxloop.spec import ChipSpec
    from hxloop_host.placing.placement import Placement


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
        As in `hxloop_host.placing.mapping.place`.
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
