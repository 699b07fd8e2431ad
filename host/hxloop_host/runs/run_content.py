"""What a run file must hold, checked as a whole before anything is done with it.

Run files are passed on. A file may be a record in good order and still hold weights of another shape than its settings
say, or metrics of another length; whoever has read one with `read_run` need not ask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.chip import ChipIdentity
from hxloop.files.records import read_record
from hxloop.result import ChipUse
from hxloop_host.network.layers import layer_names
from hxloop_host.runs.epoch_metrics import EpochMetrics
from hxloop_host.settings.experiment_settings import Settings
from hxloop_host.settings.network_settings import layered

if TYPE_CHECKING:
    from pathlib import Path

    from hxloop.files.records import Record

KIND: Final = "run"

INPUT_ROWS: Final = "input"
OUTSIDE: Final = -2
SILENT: Final = -1

_PER_LAYER: Final = ("bump_fraction", "silent_fraction")
_WHOLE: Final = {f.name for f in fields(EpochMetrics) if f.type == "int"}
_FIGURES: Final = ("test_accuracy", "test_loss", "silent_fraction", "clock_sample", "clock_s", "after_wall_s")
_MOST_CHANNELS: Final = 2**16


@dataclass(frozen=True)
class Origin:
    """What a training is bound to.

    Attributes
    ----------
    task : str
        For example ``yin-yang``.
    preset : str
        Name or path the settings came from.
    settings : Settings
    identity : ChipIdentity
        Chip it is trained on.
    seed : int
        Root of all its random numbers.
    versions : str
        Versions of program, Python and numpy, and the git commit if there is one.
    calibration : str
        Key of the calibration table, empty without one.
    initial : str
        Digest of the weights it began with (`run.Run.digest` of the run they are from), empty if random.
    """

    task: str
    preset: str
    settings: Settings
    identity: ChipIdentity
    seed: int
    versions: str
    calibration: str = ""
    initial: str = ""

    @property
    def title(self) -> str:
        """One line."""
        begun = f", from weights {self.initial[:12]}" if self.initial else ""
        return f"{self.task}, preset {self.preset}, chip {self.identity}, seed {self.seed}{begun}"


def read_run(path: str | Path) -> Record:
    """Read a run file or a checkpoint, and check all that it holds.

    Raises
    ------
    MissingFileError
        No such file.
    UnreadableFileError
        Damaged, something else, or its parts do not fit together.
    """
    record = read_record(path, KIND)
    check_run(record)
    return record


def check_run(record: Record) -> None:
    """Check what a record says of a run.

    Raises
    ------
    UnreadableFileError
        Something is missing, of another type or shape than the settings in the record ask for, or out of range.
    """
    settings = read_origin(record).settings
    _check_attributes(record, len(settings.network.sizes))
    _check_weights(record, settings)
    _check_state(record, len(settings.network.sizes))
    if read_metrics_table(record)["epoch"].size != record.whole("epochs_done"):
        raise record.refusal("it has metrics of another number of epochs than were trained")
    if record.attributes["finished"]:
        _check_test(record, settings)
    if any(name.startswith("pictures/raster/") for name in record.quantities):
        _check_raster(record, settings.network.sizes)


def read_origin(record: Record) -> Origin:
    """What the recorded run is bound to.

    Raises
    ------
    UnreadableFileError
        Settings of another version of this program.
    """
    return Origin(
        record.text("task"),
        record.text("preset"),
        record.described("settings", Settings),
        record.described("chip_identity", ChipIdentity),
        record.whole("seed"),
        record.text("versions"),
        *(record.text(name) if name in record.attributes else "" for name in ("calibration", "initial")),
    )


def read_metrics(record: Record) -> list[EpochMetrics]:
    """Metrics of all finished epochs; errors as in `check_run`."""
    columns = read_metrics_table(record)
    rows = []
    for k in range(len(columns["epoch"])):
        values: dict[str, Any] = {name: column[k].tolist() for name, column in columns.items()}
        rows.append(EpochMetrics(**values | {name: tuple(values[name]) for name in _PER_LAYER}))
    return rows


def read_metrics_table(record: Record) -> dict[str, np.ndarray[Any, Any]]:
    """Metrics by name, one entry per finished epoch; errors as in `check_run`."""
    n, layers = len(record.array("metrics/epoch", "if", (None,))), record.whole("layers")
    columns = {}
    for f in fields(EpochMetrics):
        # Before the first epoch all are empty, of one dimension and float64.
        shape = (n, layers) if n and f.name in _PER_LAYER else (n,)
        columns[f.name] = record.array(f"metrics/{f.name}", "iu" if n and f.name in _WHOLE else "iuf", shape)
    return columns


def _check_attributes(record: Record, layers: int) -> None:
    if not isinstance(record.attributes.get("finished"), bool):
        raise record.refusal("the attribute 'finished' is neither true nor false")
    if record.whole("layers") != layers:
        raise record.refusal("it has another number of layers than its settings")
    record.number("best_val_accuracy")
    if record.attributes["finished"]:
        record.number("test_accuracy")
    for name in (*_FIGURES, *(f"after_{f.name}" for f in fields(ChipUse))):
        if name in record.attributes:
            record.number(name)


def _check_weights(record: Record, settings: Settings) -> None:
    network = layered(settings.network)
    for k, size in enumerate(network.sizes):
        shape = record.array(f"weights/{k}/model", "f", (None, size)).shape
        main = shape[0] - network.bias_copies[k]
        n_afferent, rest = divmod(main, network.copies[k])
        if main < 1 or rest or (k and n_afferent != network.sizes[k - 1]):
            raise record.refusal(f"the dataset weights/{k}/model has {shape[0]} rows, which does not fit its settings")
        for name in ("model", "best", "code"):
            if not np.isfinite(record.array(f"weights/{k}/{name}", "if" if name == "code" else "f", shape)).all():
                raise record.refusal(f"the dataset weights/{k}/{name} has weights that are not finite")


def _check_state(record: Record, layers: int) -> None:
    for name in ("optimizer/steps", "bumper/last_layer", "bumper/increment"):
        if not np.isfinite(record.array(f"state/{name}", "if", (1,))).all():
            raise record.refusal(f"the dataset state/{name} is not finite")
    prefix = "state/optimizer/"
    remembered = {name.removeprefix(prefix).rpartition(".")[0] for name in record.quantities if name.startswith(prefix)}
    for what in remembered - {""}:  # of every weight, since the first step
        for k in range(layers):
            record.array(f"{prefix}{what}.{k}", "f", record.quantities[f"weights/{k}/model"].values.shape)


def _check_test(record: Record, settings: Settings) -> None:
    n_classes = settings.network.sizes[-1]
    label = record.array("test/label", "i", (None,))
    predicted = record.array("test/predicted", "i", label.shape)
    record.array("test/t_out", "f", (*label.shape, n_classes))
    _check_range(record, "test/label", label, 0, n_classes - 1)
    _check_range(record, "test/predicted", predicted, SILENT, n_classes - 1)
    if len(record.text("class_names").split(", ")) != n_classes:
        raise record.refusal("the attribute 'class_names' does not name the classes of its settings")
    if "pictures/map" in record.quantities:
        _check_range(record, "pictures/map", record.array("pictures/map", "i", (None, None)), OUTSIDE, n_classes - 1)
        if record.array("test/features", "f", (len(label), None)).shape[1] < 2:
            raise record.refusal("the dataset test/features has no plane that the map could show")


def _check_raster(record: Record, sizes: list[int]) -> None:
    for name, size in zip((INPUT_ROWS, *layer_names(len(sizes))), (_MOST_CHANNELS, *sizes), strict=True):
        neuron = record.array(f"pictures/raster/{name}/neuron", "i", (None,))
        time_us = record.array(f"pictures/raster/{name}/time_us", "f", neuron.shape)
        _check_range(record, f"pictures/raster/{name}/neuron", neuron, 0, size - 1)
        _check_range(record, f"pictures/raster/{name}/time_us", time_us, -math.inf, math.inf)


def _check_range(record: Record, name: str, values: np.ndarray[Any, Any], low: float, high: float) -> None:
    if not ((values >= low) & (values <= high)).all():  # NaN too
        raise record.refusal(f"the dataset {name} has values outside {low:g}..{high:g}")
