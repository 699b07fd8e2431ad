"""hxloop: train spiking networks in the loop on an emulated mixed-signal neuromorphic chip.

Everything a user needs is importable from here; the verbs that need more than the vocabulary (sockets, training,
plots) are loaded when they are first used.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from hxloop.version import __version__

if TYPE_CHECKING:
    from hxloop.chip import Chip, ChipIdentity
    from hxloop.codes.boot import OperatingPoint
    from hxloop.codes.calibration_table import CalibrationTable
    from hxloop.errors import HxloopError
    from hxloop.network import Network, Population, Projection
    from hxloop.program import ChipConfig, NeuronCodes, Routes, Synapses
    from hxloop.result import Readout, RunResult
    from hxloop.rule import Column, Observe, Recording, Rule, RuleSettings, Update
    from hxloop.spec import HICANN_X, TEXTBOOK, ChipSpec
    from hxloop.spikes import SpikeBatch
    from hxloop.task import Dataset, SpikeTrains, Task

_HOME = {
    "Chip": "hxloop.chip",
    "ChipIdentity": "hxloop.chip",
    "HxloopError": "hxloop.errors",
    "ChipConfig": "hxloop.program",
    "NeuronCodes": "hxloop.program",
    "Routes": "hxloop.program",
    "RunResult": "hxloop.result",
    "Readout": "hxloop.result",
    "Network": "hxloop.network",
    "Population": "hxloop.network",
    "Projection": "hxloop.network",
    "OperatingPoint": "hxloop.codes.boot",
    "Synapses": "hxloop.program",
    "Column": "hxloop.rule",
    "Observe": "hxloop.rule",
    "Recording": "hxloop.rule",
    "Rule": "hxloop.rule",
    "RuleSettings": "hxloop.rule",
    "Update": "hxloop.rule",
    "HICANN_X": "hxloop.spec",
    "TEXTBOOK": "hxloop.spec",
    "ChipSpec": "hxloop.spec",
    "SpikeBatch": "hxloop.spikes",
    "Dataset": "hxloop.task",
    "SpikeTrains": "hxloop.task",
    "Task": "hxloop.task",
    "Augmentation": "hxloop_host.augmentation.augmentation_interface",
    "AugmentationSettings": "hxloop_host.augmentation.augmentation_interface",
    "Beginning": "hxloop_host.beginnings.beginning",
    "BeginningSettings": "hxloop_host.beginnings.beginning",
    "CalibrationTable": "hxloop.codes.calibration_table",
    "calibrate": "hxloop_calibration.calibrate_verb",
    "measure": "hxloop_calibration.characterising.measure_verb",
    "fit_chip": "hxloop_calibration.characterising.fit_verb",
    "load_calibration": "hxloop.codes.calibration_table",
    "connect": "hxloop_host.link.launch",
    "launch": "hxloop_host.link.launch",
    "train": "hxloop_host.training.experiment",
    "evaluate": "hxloop_host.training.experiment",
    "load_settings": "hxloop_host.settings.experiment_settings",
    "load_run": "hxloop_host.training.experiment",
    "gradcheck": "hxloop_host.gradients.gradcheck_verb",
    "study": "hxloop_host.studies.study_verb",
}

__all__ = [
    "HICANN_X",
    "TEXTBOOK",
    "Augmentation",
    "AugmentationSettings",
    "Beginning",
    "BeginningSettings",
    "CalibrationTable",
    "Chip",
    "ChipConfig",
    "ChipIdentity",
    "ChipSpec",
    "Column",
    "Dataset",
    "HxloopError",
    "Network",
    "NeuronCodes",
    "Observe",
    "OperatingPoint",
    "Population",
    "Projection",
    "Readout",
    "Recording",
    "Routes",
    "Rule",
    "RuleSettings",
    "RunResult",
    "SpikeBatch",
    "SpikeTrains",
    "Synapses",
    "Task",
    "Update",
    "__version__",
    "calibrate",
    "connect",
    "evaluate",
    "fit_chip",
    "gradcheck",
    "launch",
    "load_calibration",
    "load_run",
    "load_settings",
    "measure",
    "study",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hxloop' has no attribute {name!r}")
    home = _HOME[name]
    if home in sys.modules:
        return getattr(sys.modules[home], name)
    from hxloop.kit.waiting import doing  # few of those who import the vocabulary wait for more

    with doing(f"loading hxloop.{name}"):
        return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
