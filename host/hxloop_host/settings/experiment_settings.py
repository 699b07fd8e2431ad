"""Settings of an experiment: every number a training depends on, as a strict model of a TOML file."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from hxloop.files.toml import load_preset, load_toml
from hxloop.kit.arguments import whole_number
from hxloop.kit.ranges import Count, CountOrZero, NotNegative, Positive, Signed
from hxloop.kit.strict import Strict, WrongFieldError
from hxloop.readout import Readout, ReadoutSettings
from hxloop.rule import Rule, RuleSettings
from hxloop.text import one_line
from hxloop_host.augmentation.augmentation_interface import Augmentation, AugmentationSettings
from hxloop_host.augmentation.augmentations import AUGMENTATIONS
from hxloop_host.beginnings.beginning import Beginning, BeginningSettings
from hxloop_host.beginnings.beginning_registry import BEGINNINGS
from hxloop_host.beginnings.drawn import DrawnSettings
from hxloop_host.coding.coding_interface import Coding, CodingSettings
from hxloop_host.coding.codings import CODINGS, DEFAULT, settings_of_kind
from hxloop_host.learning.registry import RULES
from hxloop_host.optimizers.optimizer import Optimizer, OptimizerSettings
from hxloop_host.optimizers.optimizer_registry import OPTIMIZERS
from hxloop_host.readouts.first_spikes import without_keys_of_others
from hxloop_host.readouts.readout_registry import READOUTS
from hxloop_host.settings.given_network import settings_of
from hxloop_host.settings.kind_sections import KindSection
from hxloop_host.settings.network_settings import NetworkForm, NetworkSettings
from hxloop_host.settings.virtual_chip_settings import VirtualChipSettings

if TYPE_CHECKING:
    from hxloop.network import Network

_SHIPPED: Final = importlib.resources.files("hxloop_host") / "presets"

PRESETS: Final = tuple(sorted(Path(entry.name).stem for entry in _SHIPPED.iterdir() if entry.name.endswith(".toml")))
"""Names of the settings that are built in: the files of the folder."""

EPOCHS_MAX: Final = 999_999
"""Most epochs: the names of checkpoints have six digits."""
LATEST_S: Final = 1e9
"""Latest chip time, 30 years: sample numbers are far from the largest that a run may have."""
MOST_STEPS: Final = 20
"""Most steps of augmentation."""
DISCRETE_BITS: Final = 6
"""Most bits of a weight's magnitude that discrete codes can tell apart (HICANN-X: 0..63)."""

OPTIMIZER_SECTION: Final = KindSection[Optimizer]("optimizer", OPTIMIZERS, OptimizerSettings, default="adam")
"""Section ``[optimizer]``; a file that names no kind means Adam, as all did once."""

CODING_SECTION: Final = KindSection[Coding]("coding", CODINGS, CodingSettings, default=DEFAULT)
"""Section ``[coding]``; a file that names no kind means one spike a feature, as all did once."""

BEGINNING_SECTION: Final = KindSection[Beginning]("beginning", BEGINNINGS, BeginningSettings, default="drawn")
"""Section ``[beginning]``; a file without it means weights as the rule draws them, as all did once."""

AUGMENTATION_SECTION: Final = KindSection[Augmentation]("augmentation", AUGMENTATIONS, AugmentationSettings)
"""A table ``[[augmentation]]``."""

LOSS_SECTION: Final = KindSection[Readout]("loss", READOUTS, ReadoutSettings, older=without_keys_of_others)
"""Section ``[loss]``: what is read out of a recording, and its loss."""
RULE_SECTION: Final = KindSection[Rule]("rule", RULES, RuleSettings)

ChipTime = Annotated[float, Field(ge=0, le=LATEST_S)]


class NeuronSettings(Strict):
    """Operating point of all neurons in physical units, and how the model sees it."""

    tau_mem_us: Positive = Field(6.0, description="membrane time constant")
    tau_syn_us: Positive = Field(6.0, description="synaptic time constants")
    t_refractory_us: NotNegative = Field(
        32.0, description="refractory period; as long as a sample: each neuron spikes at most once"
    )
    v_leak_mv: Signed = Field(420.0, description="leak potential")
    v_reset_mv: Signed = Field(420.0, description="reset potential")
    v_threshold_mv: Signed = Field(735.0, description="spike threshold")
    model_threshold: Positive = Field(description="threshold in units of model weight, C = tau_syn = 1")
    scale_weights: Positive = Field(30.0, description="weight codes per unit of model weight")
    weight_bits: Annotated[int, Field(ge=0, le=8)] = Field(
        DISCRETE_BITS,
        description="bits of a weight's magnitude beside its sign, evenly spaced: k 63 / (2^bits - 1), k = 0, 1, ..., "
        "rounded to a code; 7, 8 and 0 (float) need a chip with continuous weights",
    )

    @model_validator(mode="after")
    def _check(self) -> NeuronSettings:
        for name in ("v_leak_mv", "v_reset_mv"):
            if self.v_threshold_mv <= getattr(self, name):
                raise WrongFieldError("v_threshold_mv", f"v_threshold_mv must be above {name}")
        return self

    @property
    def synapse_gain_mv_per_us(self) -> float:
        """Slope at weight code 1 that makes the membrane between leak and threshold the model's 0..model_threshold."""
        mv_per_model_unit = (self.v_threshold_mv - self.v_leak_mv) / self.model_threshold
        return mv_per_model_unit / (self.scale_weights * self.tau_syn_us)


class TrainingSettings(Strict):
    """The loop."""

    epochs: Annotated[int, Field(ge=1, le=EPOCHS_MAX)] = Field(description="passes over the training set")
    batch_size: Count = Field(40, description="samples between two steps of the optimizer")
    batch_split: Count = Field(
        1, description="parts at least in which a batch goes to the chip; results do not depend on it"
    )
    evaluate_every: Count = Field(1, description="epochs between two evaluations on the validation set")
    checkpoint_every: Count = Field(1, description="epochs between two checkpoints")
    keep_checkpoints: Annotated[int, Field(ge=2, le=EPOCHS_MAX)] = Field(3, description="latest checkpoints kept")
    select: Literal["last", "best"] = Field("last", description="weights kept at the end: last, or best on validation")
    clock: Literal["trials", "running"] = Field(
        "trials",
        description="trials: each batch and test is a trial of its own. running: all are one continuous trial, that of "
        "calibration, so that what drifts goes on drifting",
    )
    begin_s: ChipTime = Field(0.0, description="running: chip time of the first sample")


class DataSettings(Strict):
    """How many samples of each set are used, the first ones; 0 for all."""

    train: CountOrZero = Field(0, description="first samples of the training set that are used, 0: all")
    validation: CountOrZero = Field(0, description="the same of the validation set")
    test: CountOrZero = Field(0, description="the same of the test set")


Steps = Annotated[list[Annotated[AugmentationSettings, AUGMENTATION_SECTION]], Field(max_length=MOST_STEPS)]


class Settings(Strict):
    """A whole experiment."""

    network: Annotated[NetworkSettings, NetworkForm()]
    neuron: NeuronSettings
    loss: Annotated[ReadoutSettings, LOSS_SECTION]
    rule: Annotated[RuleSettings, RULE_SECTION]
    optimizer: Annotated[OptimizerSettings, OPTIMIZER_SECTION]
    training: TrainingSettings
    coding: Annotated[CodingSettings, CODING_SECTION] = Field(default_factory=settings_of_kind(DEFAULT))
    data: DataSettings = DataSettings()
    augmentation: Steps = Field(default_factory=list)
    virtual_chips: VirtualChipSettings | None = None
    beginning: Annotated[BeginningSettings, BEGINNING_SECTION] = Field(default_factory=DrawnSettings)

    @model_validator(mode="before")
    @classmethod
    def _older(cls, values: Any) -> Any:
        """Files of before rules had a section: what is Fast & Deep's was called ``silence``, or the optimiser's."""
        if not isinstance(values, dict) or "rule" in values or not isinstance(values.get("silence"), dict):
            return values
        values, rule = dict(values), {"kind": "fast_and_deep", **values["silence"]}
        del values["silence"]
        if isinstance(values.get("optimizer"), dict) and "max_dw_norm" in values["optimizer"]:
            values["optimizer"] = dict(values["optimizer"])
            rule["max_dw_norm"] = values["optimizer"].pop("max_dw_norm")
        return values | {"rule": rule}

    @model_validator(mode="after")
    def _check(self) -> Settings:
        duration = self.coding.duration
        try:
            self.network.check(duration, self.neuron.tau_syn_us)
        except WrongFieldError as error:
            raise WrongFieldError(f"network.{error.field}", str(error)) from None
        try:
            self.loss.check_duration(duration)
        except WrongFieldError as error:
            raise WrongFieldError(f"loss.{error.field}", str(error)) from None
        return self

    @model_serializer(mode="wrap")
    def _without_no_steps(self, values_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Values; what is not there is not written, as before it could be there (names of points hash it).

        The same for the beginning that all trainings had once.
        """
        values: dict[str, Any] = values_of(self)
        for name in ("augmentation", "virtual_chips"):
            if not values.get(name):
                values.pop(name, None)
        if self.beginning == DrawnSettings():
            values.pop("beginning", None)
        return values

    @property
    def duration_us(self) -> float:
        """Length of a sample in us."""
        return self.coding.duration * self.neuron.tau_syn_us

    def with_network(self, network: Network) -> Settings:
        """Return the same experiment with a network made in Python.

        Raises
        ------
        InvalidInputError
            What settings cannot say, see `given_network.settings_of`, and what does not go with the other settings.
        """
        return Settings(**(self.model_dump() | {"network": settings_of(network).model_dump()}))

    def with_rule(self, rule: RuleSettings) -> Settings:
        """Return the same experiment with another rule."""
        return self.model_copy(update={"rule": rule})

    def with_beginning(self, beginning: BeginningSettings) -> Settings:
        """Return the same experiment with another beginning."""
        return self.model_copy(update={"beginning": beginning})

    def with_augmentation(self, *steps: AugmentationSettings) -> Settings:
        """Return the same experiment with these steps of augmentation, one after the other."""
        return Settings(**(self.model_dump() | {"augmentation": [step.model_dump() for step in steps]}))

    def with_virtual_chips(self, statistics: VirtualChipSettings | None) -> Settings:
        """Return the same experiment with another virtual chip for each batch (None: unchanged)."""
        return self if statistics is None else self.model_copy(update={"virtual_chips": statistics})

    def with_epochs(self, epochs: int | None) -> Settings:
        """Return the same experiment with another number of epochs (None: unchanged)."""
        if epochs is None:
            return self
        number = whole_number(epochs, "epochs", lowest=1, highest=EPOCHS_MAX)
        return self.model_copy(update={"training": self.training.model_copy(update={"epochs": number})})


def load_settings(preset: str | Path | Settings) -> Settings:
    """Settings of a preset (one of `PRESETS`) or of a TOML file; settings are checked and returned.

    Raises
    ------
    MissingFileError
        No such file.
    UnknownKeyError
        A key nobody knows; the nearest one is suggested.
    InvalidInputError
        Neither a preset nor a TOML file, or a value out of range.
    """
    if isinstance(preset, Settings):
        return Settings(**preset.model_dump())  # copies of pydantic models with other values are not checked
    return load_preset(preset, Settings, PRESETS, _shipped)


def preset_file(preset: str) -> str:
    """Where the file of a preset lies, to be copied and changed."""
    return str(_SHIPPED / f"{preset}.toml")


def preset_name(preset: str | Path | Settings) -> str:
    """What to call settings: the preset, the path of the file, or ``custom``."""
    return "custom" if isinstance(preset, Settings) else one_line(preset)


def _shipped(preset: str) -> Settings:
    with importlib.resources.as_file(_SHIPPED / f"{preset}.toml") as path:
        return load_toml(path, Settings)
