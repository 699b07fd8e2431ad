"""Placements without a chip: networks of files and presets on a datasheet, with nominal codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError
from hxloop.files.reading import first_bytes
from hxloop_host.network.building import build_network
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
        Neither of these; a number of inputs that is not given, or another one than that of a known task.
    DoesNotFitError, OutOfRangeError
        As in `hxloop_host.placing.mapping.place`.
    """
    boot = nominal_boot(spec)
    if source in TASKS and source not in PRESETS and not Path(source).exists():
        names = TASKS[source].presets
        raise InvalidInputError(
            f"{source} is a task; a network is that of a preset or of a file",
            field="source",
            hint=f"presets for {source}: {', '.join(names)}",
        )
    if source not in PRESETS and _is_archive(Path(source)):
        if n_features is not None:
            raise InvalidInputError(
                f"{source} says itself how many inputs it has", field="inputs", hint="leave --inputs out"
            )
        placement, _, changed = map_network(read_network_file(source), spec, boot)
        return placement, changed
    settings = load_settings(source)
    task = next((task for task in TASKS.values() if source in task.presets), None)
    if n_features is None:
        if task is None:
            raise InvalidInputError(
                f"{source} does not say how many inputs its task has", field="inputs", hint="add --inputs N"
            )
        n_features = task.n_inputs
    elif task is not None and n_features != task.n_inputs:
        raise InvalidInputError(
            f"{n_features} inputs, but {source} is a preset for {task.name}, which has {task.n_inputs}",
            field="inputs",
            hint="leave --inputs out, or copy the preset to a file of your own (.toml)",
        )
    return place(build_network(settings, n_features), spec, boot), []


def _is_archive(path: Path) -> bool:
    if path.suffix == ".npz":
        return True
    return path.suffix != ".toml" and first_bytes(path, 2) == b"PK"
