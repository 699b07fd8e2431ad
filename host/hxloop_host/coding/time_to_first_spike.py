"""Linear time coding: every feature is one spike, the later the larger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, final

import numpy as np
from pydantic import Field, model_validator

from hxloop.kit.ranges import TAU_SYN, NotNegative, Positive
from hxloop.kit.strict import WrongFieldError
from hxloop_host.coding.coding_interface import CodingSettings
from hxloop_host.coding.timed_features import TimedFeatures

if TYPE_CHECKING:
    from numpy.typing import NDArray


@final
class TimeToFirstSpikeSettings(CodingSettings):
    """Values 0..1 to spike times."""

    kind: Literal["time_to_first_spike"] = Field(
        "time_to_first_spike", description="how samples become input spikes: the later the larger a value"
    )
    t_early: NotNegative = Field(0.15, description="time of the value 0", json_schema_extra=TAU_SYN)
    t_late: Positive = Field(2.0, description="time of the value 1", json_schema_extra=TAU_SYN)

    @model_validator(mode="after")
    def _check(self) -> TimeToFirstSpikeSettings:
        if self.t_late < self.t_early:
            raise WrongFieldError("t_late", "t_late must not be before t_early")
        if self.duration <= self.t_late:
            raise WrongFieldError("duration", "duration must be longer than t_late")
        return self


@final
class TimeToFirstSpike(TimedFeatures):
    """``t = t_early + x (t_late - t_early)``."""

    Settings = TimeToFirstSpikeSettings
    summary = "one spike a feature, the later the larger its value"
    reference = "Goeltz et al., Nature Machine Intelligence 3, 823-835 (2021): window of the Yin-Yang experiments"

    settings: TimeToFirstSpikeSettings

    def times(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `TimedFeatures.times`."""
        settings = self.settings
        times = settings.t_early + features * (settings.t_late - settings.t_early)
        times[np.isnan(times)] = np.inf
        return times
