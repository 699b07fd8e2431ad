"""What a run file must hold, checked as a whole before anything is done with it.

Run files are passed on. A file may be a record in good order and still hold weights of another shape than its settings
say, or metrics of another length; whoever has read one with `read_run` need not ask.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.chip import ChipIdentity
from hxloop.errors import HxloopError
from hxloop.files.records import read_record
from hxloop.plugins import Source
from hxloop.result import ChipUse
from hxloop.rule import Column
from hxloop_host.network.building import build_network
from hxloop_host.runs.epoch_metrics import COUNTED, LATER, PLAIN, WHOLE, EpochMetrics
from hxloop_host.runs.old_layout import LAYOUT, upgrade
from hxloop_host.settings.experiment_settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from hxloop.files.records import Record
    from hxloop.network import Network

KIND: Final = "run"

INPUT_ROWS: Final = "input"
OUTSIDE: Final = -2
SILENT: Final = -1

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
    n_features : int
        Input channels of the task.
    rule : Source
        Rule it is trained with.
    data : mapping
        What finds the data of the task again (`hxloop.task.Task.source_record`), empty for a task of the program.
    calibration : str
        Key of the calibration table, empty without one.
    initial : str
        Digest of the weights it began with (`Run.digest` of the run they are from), empty if random.
    """

    task: str
    preset: str
    settings: Settings
    identity: ChipIdentity
    seed: int
    versions: str
    n_features: int
    rule: Source
    data: dict[str, Any] = field(default_factory=dict)
    calibration: str = ""
    initial: str = ""

    @property
    def title(self) -> str:
        """One line."""
        begun = f"from weights {self.initial[:12]}" if self.initial else f"beginning {self.settings.beginning.kind}"
        return (
            f"{self.task}, preset {self.preset}, rule {self.rule}, {begun}, network {self._sizes}, "
            f"chip {self.identity.brief}, seed {self.seed}"
        )

    @property
    def _sizes(self) -> str:
        """``25-120-3``: rows of inputs onto the first population, bias and copies counted, and all populations."""
        network = self.network
        names, first = {p.name for p in network.populations}, network.populations[0]
        outside = (p for p in network.projections if p.target == first.name and p.source not in names)
        rows = sum(network.weight_shape(p)[0] for p in outside)
        return "-".join(map(str, (rows, *(p.size for p in network.populations))))

    @cached_property
    def network(self) -> Network:
        """The network of the settings, with the inputs of the task."""
        return build_network(self.settings, self.n_features)

    def attributes(self) -> dict[str, Any]:
        """The same as attributes of a record; `read_origin` reads them."""
        return {
            "layout": LAYOUT,
            "task": self.task,
            "preset": self.preset,
            "settings": self.settings.model_dump_json(),
            "chip_identity": self.identity.model_dump_json(),
            "seed": self.seed,
            "versions": self.versions,
            "n_features": self.n_features,
            "rule": self.rule.model_dump_json(),
            "data": json.dumps(self.data),
            "calibration": self.calibration,
            "initial": self.initial,
        }


def read_run(path: str | Path) -> Record:
    """Read a run file or a checkpoint, also of an earlier version, and check all that it holds.

    Raises
    ------
    MissingFileError
        No such file.
    UnreadableFileError
        Damaged, something else, or its parts do not fit together.
    """
    record = upgrade(read_record(path, KIND))
    check_run(record)
    return record


def check_run(record: Record) -> None:
    """Check what a record says of a run.

    Raises
    ------
    UnreadableFileError
        Something is missing, of another type or shape than the settings in the record ask for, or out of range.
    """
    origin = read_origin(record)
    try:
        network = origin.network
    except HxloopError as error:
        raise record.refusal(f"its settings describe no network: {error.message}") from None
    _check_attributes(record)
    _check_weights(record, network)
    _check_state(record, network)
    if len(read_metrics(record)) != record.whole("epochs_done"):
        raise record.refusal("it has metrics of another number of epochs than were trained")
    if record.attributes["finished"]:
        _check_test(record, network.n_outputs)
    if membranes_of(record) or any(name.startswith("pictures/raster/") for name in record.quantities):
        _check_raster(record, network)
    if membranes_of(record) or "pictures/sample" in record.quantities:
        _check_shown(record, network)
    if "pictures/grid" in record.quantities:
        _check_range(record, "pictures/grid", grid := record.array("pictures/grid", "i", (2,)), 1, _MOST_CHANNELS)
        if int(grid[0]) * int(grid[1]) != network.n_features:
            raise record.refusal("the dataset pictures/grid has another number of pixels than there are inputs")


def read_origin(record: Record) -> Origin:
    """What the recorded run is bound to.

    Raises
    ------
    UnreadableFileError
        Settings of another version of this program.
    """
    n_features = record.whole("n_features")
    if not 1 <= n_features <= _MOST_CHANNELS:
        raise record.refusal(f"the attribute 'n_features' is {n_features}, outside 1..{_MOST_CHANNELS}")
    return Origin(
        record.text("task"),
        record.text("preset"),
        record.described("settings", Settings),
        record.described("chip_identity", ChipIdentity),
        record.whole("seed"),
        record.text("versions"),
        n_features,
        record.described("rule", Source),
        record.described("data", dict[str, str | int | float | bool | None]),
        *(record.text(name) if name in record.attributes else "" for name in ("calibration", "initial")),
    )


def columns_attribute(columns: tuple[Column, ...]) -> str:
    """Columns of a rule as an attribute; `read_columns` reads it."""
    return json.dumps([asdict(column) for column in columns])


def read_columns(record: Record) -> list[Column]:
    """What the rule of a run shows of every epoch.

    Raises
    ------
    UnreadableFileError
    """
    columns = record.described("columns", list[Column])
    for column in columns:
        if not column.name.isidentifier() or column.name in PLAIN | COUNTED:
            raise record.refusal(f"it has a column {column.name[:40]!r}, which is no name for one")
    return columns


def read_metrics(record: Record) -> list[EpochMetrics]:
    """Metrics of all finished epochs; errors as in `check_run`."""
    n = len(record.array("metrics/epoch", "if", (None,)))
    plain: dict[str, list[Any]] = {}
    for name in PLAIN | COUNTED:
        # Before the first epoch all are empty and float64.
        if name in LATER and f"metrics/{name}" not in record.quantities:
            plain[name] = [0] * n
            continue
        kinds = "iu" if n and name in WHOLE else "iuf"
        plain[name] = record.array(f"metrics/{name}", kinds, (n,)).tolist()
    named: dict[str, list[Any]] = {}
    for column in read_columns(record):
        shape = (n, None) if n and column.each else (n,)
        values = record.array(f"metrics/{column.name}", "iuf", shape).tolist()
        named[column.name] = [tuple(v) if isinstance(v, list) else v for v in values]
    return [
        EpochMetrics(
            **{name: plain[name][k] for name in PLAIN},
            use=ChipUse(**{f.name: plain[f.name][k] for f in fields(ChipUse)}),
            named={name: values[k] for name, values in named.items()},
        )
        for k in range(n)
    ]


def score_name(record: Record) -> str:
    """What the scores of the test are called."""
    return record.text("score")


def membranes_of(record: Record) -> list[str]:
    """Populations whose membranes are stored."""
    prefix = "pictures/membranes/"
    names = (name.removeprefix(prefix) for name in record.quantities if name.startswith(prefix))
    return list(dict.fromkeys(name.rpartition("/")[0] for name in names))


def _check_attributes(record: Record) -> None:
    if not isinstance(record.attributes.get("finished"), bool):
        raise record.refusal("the attribute 'finished' is neither true nor false")
    record.number("best_val_accuracy")
    if record.attributes["finished"]:
        record.number("test_accuracy")
    for name in (*_FIGURES, *(f"{when}_{f.name}" for f in fields(ChipUse) for when in ("before", "after"))):
        if name in record.attributes:
            record.number(name)


def _check_weights(record: Record, network: Network) -> None:
    for k, projection in enumerate(network.projections):
        shape = network.weight_shape(projection)
        for name in ("model", "best", "code"):
            if not _is_finite(record.array(f"weights/{k}/{name}", "if" if name == "code" else "f", shape)):
                raise record.refusal(f"the dataset weights/{k}/{name} has weights that are not finite")


def _check_state(record: Record, network: Network) -> None:
    for name, quantity in record.quantities.items():
        if name.startswith("state/") and not _is_finite(quantity.values):
            raise record.refusal(f"the dataset {name} is not finite")
    prefix = "state/optimizer/"
    remembered = {name.removeprefix(prefix).rpartition(".")[0] for name in record.quantities if name.startswith(prefix)}
    for what in remembered - {""}:  # of every weight, since the first step
        for k, projection in enumerate(network.projections):
            record.array(f"{prefix}{what}.{k}", "f", network.weight_shape(projection))


def _is_finite(values: np.ndarray[Any, Any]) -> bool:
    return values.dtype.kind in "iufb" and bool(np.isfinite(values).all())


def _check_test(record: Record, n_classes: int) -> None:
    label = record.array("test/label", "i", (None,))
    predicted = record.array("test/predicted", "i", label.shape)
    if not score_name(record).isidentifier():
        raise record.refusal("the attribute 'score' names nothing")
    record.array(f"test/{score_name(record)}", "f", (*label.shape, n_classes))
    _check_range(record, "test/label", label, 0, n_classes - 1)
    _check_range(record, "test/predicted", predicted, SILENT, n_classes - 1)
    if len(record.text("class_names").split(", ")) != n_classes:
        raise record.refusal("the attribute 'class_names' does not name the classes of its settings")
    if "pictures/map" in record.quantities:
        _check_range(record, "pictures/map", record.array("pictures/map", "i", (None, None)), OUTSIDE, n_classes - 1)
        if record.array("test/features", "f", (len(label), None)).shape[1] < 2:
            raise record.refusal("the dataset test/features has no plane that the map could show")


def _check_raster(record: Record, network: Network) -> None:
    sizes = {INPUT_ROWS: _MOST_CHANNELS} | {p.name: p.size for p in network.populations if p.spiking}
    for name, size in sizes.items():
        neuron = record.array(f"pictures/raster/{name}/neuron", "i", (None,))
        time_us = record.array(f"pictures/raster/{name}/time_us", "f", neuron.shape)
        _check_range(record, f"pictures/raster/{name}/neuron", neuron, 0, size - 1)
        _check_range(record, f"pictures/raster/{name}/time_us", time_us, -math.inf, math.inf)


def _check_shown(record: Record, network: Network) -> None:
    n_samples = len(record.array("test/label", "i", (None,)))
    _check_range(record, "pictures/sample", record.array("pictures/sample", "i", (1,)), 0, n_samples - 1)
    answer = record.array("pictures/answer", "i", (1,))
    _check_range(record, "pictures/answer", answer, SILENT, network.n_outputs - 1)
    sizes = {p.name: p.size for p in network.populations}
    for name in membranes_of(record):
        path, time_us = f"pictures/membranes/{name}", record.array("pictures/membrane_time_us", "f", (None,))
        neuron = record.array(f"{path}/neuron", "i", (None,))
        _check_range(record, f"{path}/neuron", neuron, 0, sizes.get(name, 0) - 1)
        shape = (len(time_us), len(neuron))
        if 0 in shape:
            raise record.refusal(f"the dataset {path}/measured is empty")
        parts = [time_us, record.array(f"{path}/measured", "f", shape)]
        if f"{path}/modelled" in record.quantities:
            parts.append(np.nan_to_num(record.array(f"{path}/modelled", "f", shape), posinf=math.inf, neginf=math.inf))
        if not all(map(_is_finite, parts)):
            raise record.refusal(f"the membranes of {name} are not finite")


def _check_range(record: Record, name: str, values: np.ndarray[Any, Any], low: float, high: float) -> None:
    if not ((values >= low) & (values <= high)).all():  # NaN too
        raise record.refusal(f"the dataset {name} has values outside {low:g}..{high:g}")
