"""The run file: one self-describing record with everything a training was, is and needs to go on.

Checkpoints have the same form; ``run.h5`` is the last one, with the results of the test.
"""

from __future__ import annotations

import importlib.metadata
import math
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.files.records import Quantity, Record
from hxloop.version import __version__
from hxloop_host.runs.run_content import KIND, read_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop_host.runs.epoch_metrics import EpochMetrics
    from hxloop_host.runs.run_content import Origin
    from hxloop_host.training.trainer import Trainer

METRICS: Final = {
    "epoch": ("1", "finished epochs"),
    "loss": ("1", "mean training loss"),
    "train_accuracy": ("1", "fraction of right answers while training"),
    "val_accuracy": ("1", "fraction of right answers on the validation set"),
    "bump_fraction": ("1", "fraction of batches that bumped the layer"),
    "silent_fraction": ("1", "fraction of (sample, neuron) pairs of the layer without a spike"),
    "gradient_steps": ("1", "batches with an optimiser step"),
    "learning_rate": ("1", "learning rate"),
    "events_in": ("1", "input events"),
    "events_out": ("1", "spikes of all neurons"),
    "events_lost": ("1", "events lost on the way in or out, and spikes outside the recording window"),
    "chip_time_s": ("s", "time the chip ran"),
    "emulation_s": ("s", "wall time the chip (emulator) took"),
    "energy_j_estimate": ("J", "estimate: datasheet power times chip time"),
    "wall_s": ("s", "wall time of the epoch"),
}
"""Unit and meaning of each entry of `EpochMetrics`."""


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
        "task": origin.task,
        "preset": origin.preset,
        "settings": origin.settings.model_dump_json(),
        "chip_identity": origin.identity.model_dump_json(),
        "seed": origin.seed,
        "versions": origin.versions,
        "calibration": origin.calibration,
        "initial": origin.initial,
        "layers": len(trainer.weights),
        "epochs_done": trainer.epochs_done,
        "best_val_accuracy": trainer.best_accuracy,
        "finished": False,
        **clock_attributes(trainer),
    }
    content = _weights(trainer) | _metrics(trainer.metrics)
    for part, state in (("optimizer", trainer.optimizer.state()), ("bumper", trainer.bumper.state())):
        for name, values in state.items():
            content[f"state/{part}/{name}"] = Quantity(np.atleast_1d(values), "1", f"{part} state, {name}")
    return Record(KIND, attributes | dict(results or {}), content | dict(quantities or {}))


def clock_attributes(trainer: Trainer) -> dict[str, Any]:
    """Position of a running clock: number and chip time of the next sample; nothing without such a clock."""
    network = trainer.network
    return {} if network.clock is None else {"clock_sample": network.clock, "clock_s": network.clock_s}


def _weights(trainer: Trainer) -> dict[str, Quantity]:
    content = {}
    selected = trainer.selected()
    for k, layer in enumerate(trainer.network.layers):
        name = layer.name
        content[f"weights/{k}/model"] = Quantity(trainer.weights[k].copy(), "1", f"model weights onto {name}")
        content[f"weights/{k}/best"] = Quantity(
            trainer.best_weights[k].copy(), "1", f"model weights onto {name} with the best validation accuracy"
        )
    for k, codes in enumerate(trainer.network.codes(selected)):
        content[f"weights/{k}/code"] = Quantity(codes, "1", "weight codes of the selected weights, signed")
    return content


def _metrics(metrics: list[EpochMetrics]) -> dict[str, Quantity]:
    return {
        f"metrics/{name}": Quantity(np.array([getattr(m, name) for m in metrics]), unit, text)
        for name, (unit, text) in METRICS.items()
    }


def restore(trainer: Trainer, record: Record) -> None:
    """Bring a new trainer into the recorded state.

    Raises
    ------
    UnreadableFileError
        Something is missing in the record, or has another shape than the weights of the trainer.
    """
    for k, weights in enumerate(trainer.weights):
        trainer.weights[k] = record.array(f"weights/{k}/model", "f", weights.shape).astype(np.float64)
        trainer.best_weights[k] = record.array(f"weights/{k}/best", "f", weights.shape).astype(np.float64)
    trainer.best_accuracy = record.number("best_val_accuracy")
    trainer.metrics = read_metrics(record)
    trainer.optimizer.load_state(_state(record, "optimizer"))
    trainer.bumper.load_state(_state(record, "bumper"))
    if trainer.network.clock is not None:
        trainer.network.clock = record.whole("clock_sample")


def _state(record: Record, part: str) -> dict[str, NDArray[np.generic]]:
    prefix = f"state/{part}/"
    found = {name: quantity.values for name, quantity in record.quantities.items() if name.startswith(prefix)}
    scalars = {"steps", "last_layer", "increment"}
    return {
        name.removeprefix(prefix): values[0] if name.removeprefix(prefix) in scalars else values
        for name, values in found.items()
    }


def last_validation(metrics: list[EpochMetrics]) -> float:
    """Latest validation accuracy, NaN if there is none."""
    return next((m.val_accuracy for m in reversed(metrics) if not math.isnan(m.val_accuracy)), math.nan)
