"""The run file: one self-describing record with everything a training was, is and needs to go on.

Checkpoints have the same form; ``run.h5`` is the last one, with the results of the test.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.errors import HxloopError
from hxloop.files.records import Quantity, Record
from hxloop.result import ChipUse
from hxloop.version import __version__
from hxloop_host.runs.epoch_metrics import COUNTED, PLAIN
from hxloop_host.runs.run_content import KIND, columns_attribute, read_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop_host.runs.epoch_metrics import EpochMetrics
    from hxloop_host.runs.run_content import Origin
    from hxloop_host.training.trainer import Trainer


def versions() -> str:
    """Versions that a result may depend on."""
    parts = [
        f"hxloop {__version__}",
        f"python {platform.python_version()}",
        f"numpy {importlib.metadata.version('numpy')}",
    ]
    commit = _git_commit()
    return ", ".join([*parts, f"git {commit}"] if commit else parts)


def _git_commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def to_record(
    origin: Origin,
    trainer: Trainer,
    results: Mapping[str, Any] | None = None,
    quantities: Mapping[str, Quantity] | None = None,
) -> Record:
    """State of a training as a record (copies; later epochs do not change it).

    Parameters
    ----------
    origin : Origin
    trainer : Trainer
    results : dict, optional
        More attributes; a finished run has the test results.
    quantities : dict of str to Quantity, optional
        More datasets.
    """
    attributes: dict[str, Any] = {
        **origin.attributes(),
        "columns": columns_attribute(trainer.rule.columns),
        "score": trainer.runner.readout.score_name,
        "epochs_done": trainer.epochs_done,
        "best_val_accuracy": trainer.best_accuracy,
        "finished": False,
        **clock_attributes(trainer),
        **before_attributes(trainer),
    }
    content = _weights(trainer) | _metrics(trainer)
    scalars = []
    for part, state in (("optimizer", trainer.optimizer.state()), ("rule", trainer.rule.state())):
        for name, values in state.items():
            array = np.asarray(values)
            scalars += [f"{part}/{name}"] if array.ndim == 0 else []
            content[f"state/{part}/{name}"] = Quantity(np.atleast_1d(array).copy(), "1", f"{part} state, {name}")
    attributes["scalars"] = json.dumps(scalars)
    return Record(KIND, attributes | dict(results or {}), content | dict(quantities or {}))


def clock_attributes(trainer: Trainer) -> dict[str, Any]:
    """Position of a running clock: number and chip time of the next sample; nothing without such a clock."""
    runner = trainer.runner
    return {} if runner.clock is None else {"clock_sample": runner.clock, "clock_s": runner.clock_s}


def before_attributes(trainer: Trainer) -> dict[str, Any]:
    """What the beginning ran on the chip; nothing if nothing ran."""
    use = trainer.begun_with
    return {f"before_{name}": value for name, value in vars(use).items()} if use != ChipUse() else {}


def _weights(trainer: Trainer) -> dict[str, Quantity]:
    content = {}
    network, selected = trainer.runner.network, trainer.selected()
    for k, projection in enumerate(network.projections):
        delays = network.holds_delays(projection)
        unit, what = ("us", "delays") if delays else ("1", "model weights")
        text = f"{what} of {projection.name}"
        content[f"weights/{k}/model"] = Quantity(trainer.weights[k].copy(), unit, text)
        content[f"weights/{k}/best"] = Quantity(
            trainer.best_weights[k].copy(), unit, f"{text} with the best validation accuracy"
        )
    for k, codes in enumerate(trainer.runner.codes(selected)):
        delays = network.holds_delays(network.projections[k])
        text = (
            "refractory counters of the selected delays" if delays else "weight codes of the selected weights, signed"
        )
        content[f"weights/{k}/code"] = Quantity(codes, "1", text)
    return content


def _metrics(trainer: Trainer) -> dict[str, Quantity]:
    metrics = trainer.metrics
    found = {name: ([getattr(m, name) for m in metrics], *PLAIN[name]) for name in PLAIN}
    found |= {name: ([getattr(m.use, name) for m in metrics], *COUNTED[name]) for name in COUNTED}
    found |= {c.name: ([m.named[c.name] for m in metrics], c.unit, c.text) for c in trainer.rule.columns}
    return {f"metrics/{name}": Quantity(np.array(values), unit, text) for name, (values, unit, text) in found.items()}


def restore(trainer: Trainer, record: Record) -> None:
    """Bring a new trainer into the recorded state.

    Raises
    ------
    UnreadableFileError
        Something is missing in the record, or has another shape than the trainer needs.
    """
    for k, weights in enumerate(trainer.weights):
        trainer.weights[k] = record.array(f"weights/{k}/model", "f", weights.shape).astype(np.float64)
        trainer.best_weights[k] = record.array(f"weights/{k}/best", "f", weights.shape).astype(np.float64)
    trainer.has_begun = True
    for name, value in vars(trainer.begun_with).items():
        if f"before_{name}" in record.attributes:
            setattr(trainer.begun_with, name, type(value)(record.number(f"before_{name}")))
    trainer.best_accuracy = record.number("best_val_accuracy")
    trainer.metrics = read_metrics(record)
    try:
        trainer.optimizer.load_state(_state(record, "optimizer"))
        trainer.rule.load_state(_state(record, "rule"))
    except HxloopError as error:
        raise record.refusal(f"its state does not fit: {error}") from None
    if trainer.runner.clock is not None:
        trainer.runner.clock = record.whole("clock_sample")


def _state(record: Record, part: str) -> dict[str, NDArray[np.generic]]:
    """Arrays of a part; records hold numbers as arrays of one."""
    prefix, scalars = f"state/{part}/", record.described("scalars", list[str])
    found = {}
    for whole, quantity in record.quantities.items():
        if whole.startswith(prefix):
            name, values = whole.removeprefix(prefix), quantity.values
            is_scalar = f"{part}/{name}" in scalars and values.size == 1
            found[name] = values.reshape(()) if is_scalar else values
    return found


def last_validation(metrics: list[EpochMetrics]) -> float:
    """Latest validation accuracy, NaN if there is none."""
    return next((m.val_accuracy for m in reversed(metrics) if not math.isnan(m.val_accuracy)), math.nan)
