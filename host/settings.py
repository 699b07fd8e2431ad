"""Settings of an experiment: every number a training depends on, as a strict model of a TOML file."""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hxloop.errors import InvalidInputError
from hxloop.toml import load_preset, load_toml

if TYPE_CHECKING:
    from pathlib import Path

PRESETS: Final = ("quick", "paper", "small", "mnist16")

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
LATEST_S: Final = 1e9
"""Latest chip time, 30 years: sample numbers are far from the largest that a run may have."""
ChipTime = Annotated[float, Field(ge=0, le=LATEST_S, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]

DISCRETE_BITS: Final = 6
"""Most bits of a weight's magnitude that discrete codes can tell apart (HICANN-X: 0..63)."""


class Section(BaseModel):
    """A table of the file: no unknown keys, no conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NetworkSettings(Section):
    """Layers, the label layer last. Lists have one entry per layer."""

    sizes: Annotated[list[Count], Field(min_length=1)] = Field(description="neurons")
    copies: list[Count] = Field(description="signed rows driven by every afferent neuron or input")
    bias_copies: list[CountOrZero] = Field(description="signed rows driven by the layer's bias spike, 0: no bias")
    bias_times: list[NotNegative] = Field(description="time of the layer's bias spike in tau_syn")
    init_mean: list[Finite] = Field(description="mean of the initial model weights")
    init_std: list[NotNegative] = Field(description="standard deviation of the initial model weights")


class CodingSettings(Section):
    """Values 0..1 to spike times."""

    t_early: NotNegative = Field(0.15, description="time of the value 0 in tau_syn")
    t_late: Positive = Field(2.0, description="time of the value 1 in tau_syn")
    duration: Positive = Field(5.0, description="length of a sample in tau_syn")
    jitter: NotNegative = Field(0.0, description="std of Gaussian noise on the times of training inputs, in tau_syn")


class NeuronSettings(Section):
    """Operating point of all neurons in physical units, and how the model sees it."""

    tau_mem_us: Positive = 6.0
    tau_syn_us: Positive = 6.0
    t_refractory_us: NotNegative = Field(32.0, description="as long as a sample: each neuron spikes at most once")
    v_leak_mv: Finite = 420.0
    v_reset_mv: Finite = 420.0
    v_threshold_mv: Finite = 735.0
    model_threshold: Positive = Field(description="threshold in units of model weight, C = tau_syn = 1")
    scale_weights: Positive = Field(30.0, description="weight codes per unit of model weight")
    weight_bits: Annotated[int, Field(ge=0, le=8)] = Field(
        DISCRETE_BITS,
        description="bits of a weight's magnitude beside its sign, evenly spaced: k 63 / (2^bits - 1), k = 0, 1, ..., "
        "rounded to a code; 7, 8 and 0 (float) need a chip with continuous weights",
    )

    @model_validator(mode="after")
    def _check(self) -> NeuronSettings:
        if self.v_threshold_mv <= self.v_leak_mv:
            raise ValueError("v_threshold_mv must be above v_leak_mv")
        if self.tau_ratio not in {1, 2} or abs(self.tau_mem_us / self.tau_syn_us - self.tau_ratio) > 1e-9:
            raise ValueError("first-spike learning needs tau_mem_us equal to, or twice, tau_syn_us")
        return self

    @property
    def tau_ratio(self) -> int:
        """The time constants' ratio ``tau_mem / tau_syn``: 1 or 2."""
        return round(self.tau_mem_us / self.tau_syn_us)

    @property
    def synapse_gain_mv_per_us(self) -> float:
        """Slope at weight code 1 that makes the membrane between leak and threshold the model's 0..model_threshold."""
        mv_per_model_unit = (self.v_threshold_mv - self.v_leak_mv) / self.model_threshold
        return mv_per_model_unit / (self.scale_weights * self.tau_syn_us)


class LossSettings(Section):
    """What the label layer's spike times are compared with; see `host.losses`."""

    kind: Literal["shift_invariant_mse", "softmax_times", "target_times_mse"]
    delta: NotNegative = Field(
        0.3, description="shift_invariant_mse: how much later wrong labels should spike, tau_syn"
    )
    xi: Positive = Field(0.2, description="softmax_times: width of the comparison in tau_syn")
    alpha: NotNegative = Field(0.005, description="softmax_times: weight of the pull to early times")
    beta: Positive = Field(1.0, description="softmax_times: time scale of that pull in tau_syn")
    t_correct: Positive = Field(1.6, description="target_times_mse: target of the label neuron in tau_syn")
    t_wrong: Positive = Field(1.9, description="target_times_mse: target of the others in tau_syn")


class SilenceSettings(Section):
    """What is done about neurons that do not spike; see `host.optimizers.WeightBumper`."""

    limits: list[Fraction] = Field(description="per layer: share of missing spikes above which weights are bumped")
    bump: NotNegative = Field(0.0005, description="first increase of the model weights")
    doubling: bool = Field(True, description="double it as long as the same layer is bumped again")
    targeted: bool = Field(True, description="bump only the neurons that missed a spike")


class OptimizerSettings(Section):
    """Adam and its learning rate."""

    learning_rate: Positive
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    epsilon: Positive = 1e-8
    max_dw_norm: NotNegative = Field(0.2, description="single weight gradients above: the sample is dropped; 0: never")
    schedule: Literal["step", "cosine", "constant"] = "step"
    step_epochs: Count = Field(20, description="step: epochs between two decays")
    gamma: Positive = Field(0.95, description="step: factor of a decay")
    floor: Fraction = Field(0.0, description="cosine: share of the learning rate left at the end")


class TrainingSettings(Section):
    """The loop."""

    epochs: Count
    batch_size: Count = 40
    batch_split: Count = Field(1, description="parts in which a batch is sent to the chip; results do not depend on it")
    evaluate_every: Count = Field(1, description="epochs between two evaluations on the validation set")
    checkpoint_every: Count = Field(1, description="epochs between two checkpoints")
    keep_checkpoints: Annotated[int, Field(ge=2)] = 3
    select: Literal["last", "best"] = Field("last", description="weights kept at the end: last, or best on validation")
    clock: Literal["trials", "running"] = Field(
        "trials",
        description="trials: each batch and test is a trial of its own. running: all are one continuous trial, that of "
        "calibration, so that what drifts goes on drifting",
    )
    begin_s: ChipTime = Field(0.0, description="running: chip time of the first sample in s")


class DataSettings(Section):
    """How many samples of each set are used, the first ones; 0 for all."""

    train: CountOrZero = 0
    validation: CountOrZero = 0
    test: CountOrZero = 0


class Settings(Section):
    """A whole experiment."""

    network: NetworkSettings
    neuron: NeuronSettings
    loss: LossSettings
    silence: SilenceSettings
    optimizer: OptimizerSettings
    training: TrainingSettings
    coding: CodingSettings = CodingSettings()
    data: DataSettings = DataSettings()

    @model_validator(mode="after")
    def _check(self) -> Settings:
        layers = len(self.network.sizes)
        for section, name in (
            *((self.network, key) for key in ("copies", "bias_copies", "bias_times", "init_mean", "init_std")),
            (self.silence, "limits"),
        ):
            if len(getattr(section, name)) != layers:
                raise ValueError(f"{name} needs one entry for each of the {layers} layers in network.sizes")
        if self.coding.t_late >= self.coding.duration:
            raise ValueError("coding.duration must be longer than coding.t_late")
        return self

    def with_epochs(self, epochs: int | None) -> Settings:
        """Return the same experiment with another number of epochs (None: unchanged)."""
        if epochs is None:
            return self
        if epochs < 1:
            raise InvalidInputError(f"at least one epoch is needed, got {epochs}", field="epochs")
        return self.model_copy(update={"training": self.training.model_copy(update={"epochs": epochs})})


def load_settings(preset: str | Path | Settings) -> Settings:
    """Settings of a preset (one of `PRESETS`) or of a TOML file; settings are returned as they are.

    Raises
    ------
    MissingFileError
        No such file.
    UnknownKeyError
        A key nobody knows; the nearest one is suggested.
    InvalidInputError
        Neither a preset nor a TOML file, or a value out of range.
    """
    return preset if isinstance(preset, Settings) else load_preset(preset, Settings, PRESETS, _shipped)


def preset_name(preset: str | Path | Settings) -> str:
    """What to call settings: the preset, the path of the file, or ``custom``."""
    return "custom" if isinstance(preset, Settings) else str(preset)


def _shipped(preset: str) -> Settings:
    resource = importlib.resources.files("host") / "presets" / f"{preset}.toml"
    with importlib.resources.as_file(resource) as path:
        return load_toml(path, Settings)
