"""Networks of the published workloads, made as an experiment makes them, and their data."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.seeds import generator
from hxloop.task import Dataset
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.settings.network_settings import PopulationNetwork
from hxloop_host.tasks.mnist import mnist16
from hxloop_host.tasks.published_files import DATA_DIR
from hxloop_host.tasks.yin_yang import yin_yang
from hxloop_host.training.assembly import encoded, prepared

if TYPE_CHECKING:
    from hxloop.chip import Chip
    from hxloop.program import ChipConfig
    from hxloop.result import Readout, RunResult
    from hxloop.rule import Codes, Inputs
    from hxloop.spikes import SpikeBatch
    from hxloop_host.network.chip_runner import ChipRunner
    from hxloop_host.settings.experiment_settings import Settings

MNIST, YIN_YANG = "mnist_256_246_10", "yin_yang_25_120_3"
MEMBRANES = "mnist_256_246_10_membranes"
"""MNIST as surrogate gradients train it: the membranes of all neurons are read every 1.7 us."""

MNIST_DURATION_TAU = 7.0
"""42 us a sample with tau_syn = 6 us, the window of the published demo."""

# Random weights that make 60 to 75 % of the hidden neurons spike, as trained ones do.
_INITIAL: dict[str, dict[str, Any]] = {
    MNIST: {"init_mean": [0.05, 0.15], "init_std": [0.25, 0.8]},
    YIN_YANG: {"init_mean": [0.2, 0.075], "init_std": [0.15, 0.15]},
    MEMBRANES: {"init_mean": [0.02, 0.0], "init_std": [0.15, 0.05]},
}
_PRESETS = {MNIST: "mnist16", YIN_YANG: "paper", MEMBRANES: "mnist16_surrogate"}


def pixels(n_samples: int) -> Dataset:
    """Random images that code like 16 x 16 MNIST: two of five pixels are lit and spike."""
    rng = generator(1, "pixels")
    value = rng.random((n_samples, 256))
    value[rng.random(value.shape) > 0.4] = np.nan
    return Dataset(value, rng.integers(0, 10, n_samples), tuple("0123456789"))


def first(data: Dataset, n_samples: int) -> Dataset:
    """First samples, from the start again where there are too few."""
    index = np.arange(n_samples) % data.n_samples
    return replace(data, features=data.features[index], label=data.label[index])


def images(n_samples: int, split: str = "test") -> tuple[Dataset, str]:
    """Images and where they come from: MNIST where its files are at hand, random pixels elsewhere."""
    if os.environ.get(DATA_DIR):
        return first(mnist16("train" if split == "train" else "test"), n_samples), "MNIST 16x16"
    return pixels(n_samples), f"random pixels ({DATA_DIR} is not set)"


@dataclass(frozen=True, eq=False)
class Load:
    """A configuration and the samples it is shown, in memory.

    Attributes
    ----------
    config : ChipConfig
    inputs : SpikeBatch
    duration_ticks : int
        Of every sample.
    """

    config: ChipConfig
    inputs: SpikeBatch
    duration_ticks: int

    def chip_time_s(self, chip: Chip) -> float:
        """Time the chip runs, in s of hardware time."""
        return self.inputs.n_samples * self.duration_ticks * chip.spec.tick_us * 1e-6

    def run(self, chip: Chip, **how: Any) -> RunResult:
        """Configure the chip and run all samples; `how` is passed on to `Chip.run`."""
        chip.configure(self.config)
        return chip.run(self.inputs, duration_ticks=self.duration_ticks, trial_seed=1, **how)


class Tap:
    """A chip that remembers what it was told and passes it on."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self.spec, self.identity, self.boot = chip.spec, chip.identity, chip.boot
        self.config: ChipConfig | None = None
        self.inputs: SpikeBatch | None = None
        self.readout: Readout | None = None

    def configure(self, config: ChipConfig) -> str:
        """As `Chip.configure`."""
        self.config = config
        return self._chip.configure(config)

    def run(
        self, inputs: SpikeBatch, *, config: ChipConfig | None = None, readout: Readout | None = None, **how: Any
    ) -> RunResult:
        """As `Chip.run`."""
        self.inputs, self.config, self.readout = inputs, config or self.config, readout
        return self._chip.run(inputs, config=config, readout=readout, **how)


@dataclass(frozen=True, eq=False)
class LoopNetwork:
    """A published network on a chip, with random weights, and samples for it.

    Attributes
    ----------
    runner : ChipRunner
    codes : list of int8 [n_sources * copies, n_target]
        Per projection.
    inputs : Inputs
    load : Load
        The same as configuration and spikes.
    readout : Readout or None
        What its rule and its loss observe beside spikes.
    data : str
        Where the samples come from.
    """

    runner: ChipRunner
    codes: Codes
    inputs: Inputs
    load: Load
    readout: Readout | None
    data: str

    @property
    def label_heads(self) -> tuple[int, ...]:
        """Circuits whose spikes are those of the label layer."""
        return tuple(self.runner.placement.circuits(self.runner.network.output).tolist())


def loop_settings(name: str) -> Settings:
    """Settings of a published network, with weights that make it as active as a trained one."""
    settings = load_settings(_PRESETS[name])
    coding = settings.coding.model_copy(update={"duration": MNIST_DURATION_TAU} if name == MNIST else {})
    initial = _INITIAL[name]
    if isinstance(settings.network, PopulationNetwork):
        each = zip(settings.network.projections, *initial.values(), strict=True)
        drawn = [p.model_copy(update=dict(zip(initial, values, strict=True))) for p, *values in each]
        initial = {"projections": tuple(drawn)}
    network = settings.network.model_copy(update=initial)
    return settings.model_copy(update={"network": network, "coding": coding})


def loop_network(name: str, chip: Chip, n_samples: int) -> LoopNetwork:
    """Place a published network (`MNIST`, `YIN_YANG` or `MEMBRANES`) on a chip, which is configured with it."""
    settings = loop_settings(name)
    data, origin = images(n_samples) if name != YIN_YANG else (first(yin_yang("train"), n_samples), "Yin-Yang")
    tap = Tap(chip)
    rule, runner = prepared(settings, tap, data.n_inputs)
    codes = runner.codes(rule.begin(runner.network, seed=1))
    inputs = encoded(settings, runner, data).take(slice(None))
    runner.record(inputs, codes, 1)
    runner.chip = chip
    assert tap.config is not None
    assert tap.inputs is not None
    return LoopNetwork(runner, codes, inputs, Load(tap.config, tap.inputs, runner.duration_ticks), tap.readout, origin)
