"""Run files of before rules were objects of their own, turned into those of today when they are read.

Then all runs were Fast & Deep: weights were one matrix a layer, the rows of its bias last, and what the rule had was
called by the name of the rule's parts.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.errors import HxloopError
from hxloop_host.learning.registry import RULES
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import Settings

if TYPE_CHECKING:
    from hxloop.files.records import Quantity, Record
    from hxloop.network import Network

LAYOUT: Final = 2
"""Layout of the run files of today."""

_RULE: Final = "fast_and_deep"
_MOMENTS: Final = ("first", "second")


def upgrade(record: Record) -> Record:
    """The same run as a record of today.

    Raises
    ------
    UnreadableFileError
        A layout of a later version, or weights that do not fit the settings.
    """
    if "layout" in record.attributes:
        if record.whole("layout") != LAYOUT:
            raise record.refusal(f"it has the layout {record.whole('layout')}, this version reads up to {LAYOUT}")
        return record
    settings = record.described("settings", Settings)
    network, layers = _network(record, settings), record.whole("layers")
    if layers != len(network.populations):
        raise record.refusal("it has another number of layers than its settings")
    rule, source = RULES.find(_RULE)
    attributes = {name: value for name, value in record.attributes.items() if name != "layers"} | {
        "layout": LAYOUT,
        "settings": settings.model_dump_json(),
        "n_features": network.n_features,
        "rule": source.model_dump_json(),
        "data": "{}",
        "columns": json.dumps([asdict(column) for column in rule.columns]),
        "score": "t_out",
        "scalars": json.dumps(["optimizer/steps", "rule/last_layer", "rule/increment"]),
    }
    quantities: dict[str, Quantity] = {}
    for name, quantity in record.quantities.items():
        quantities |= _renamed(record, network, name, quantity)
    return replace(record, attributes=attributes, quantities=quantities)


def _network(record: Record, settings: Settings) -> Network:
    rows = record.array("weights/0/model", "f", (None, None)).shape[0]
    layered: Any = settings.network
    main = rows - layered.bias_copies[0]
    n_features, rest = divmod(main, layered.copies[0])
    if main < 1 or rest:
        raise record.refusal(f"the dataset weights/0/model has {rows} rows, which does not fit its settings")
    try:
        return build_network(settings, n_features)
    except HxloopError as error:
        raise record.refusal(f"its settings describe no network: {error.message}") from None


def _renamed(record: Record, network: Network, name: str, quantity: Quantity) -> dict[str, Quantity]:
    part, _, rest = name.partition("/")
    if part == "weights":
        layer, _, kind = rest.partition("/")
        return _split(record, network, layer, quantity, lambda k: f"weights/{k}/{kind}")
    if rest.startswith("optimizer/") and rest.partition(".")[0].removeprefix("optimizer/") in _MOMENTS:
        moment, _, layer = rest.removeprefix("optimizer/").partition(".")
        return _split(record, network, layer, quantity, lambda k: f"state/optimizer/{moment}.{k}")
    if rest.startswith("bumper/"):
        return {f"state/rule/{rest.removeprefix('bumper/')}": quantity}
    return {name: quantity}


def _split(record: Record, network: Network, layer: str, quantity: Quantity, called: Any) -> dict[str, Quantity]:
    """Matrix of a layer as those of the projections onto it."""
    names = [p.name for p in network.populations]
    if not layer.isdecimal() or int(layer) >= len(names):
        raise record.refusal(f"it has weights of a layer {layer[:20]!r}, and its settings have {len(names)}")
    onto = network.onto(names[int(layer)])
    rows = [network.weight_shape(network.projections[k])[0] for k in onto]
    matrix = quantity.values
    if matrix.ndim != 2 or len(matrix) != sum(rows):
        raise record.refusal(f"the weights of layer {layer} have the shape {list(matrix.shape)}, not {sum(rows)} rows")
    parts = np.split(matrix, np.cumsum(rows)[:-1])
    return {called(k): replace(quantity, values=part) for k, part in zip(onto, parts, strict=True)}
