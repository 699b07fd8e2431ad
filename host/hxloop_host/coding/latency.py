"""Latency of a leaky integrator: every feature is one spike, the earlier the larger; small ones are silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, final

import numpy as np
from pydantic import Field, model_validator

from hxloop.kit.ranges import TAU_SYN, Positive
from hxloop.kit.strict import WrongFieldError
from hxloop_host.coding.coding_interface import CodingSettings
from hxloop_host.coding.timed_features import TimedFeatures

if TYPE_CHECKING:
    from numpy.typing import NDArray


@final
class LatencySettings(CodingSettings):
    """When a leaky integrator that is driven by a value crosses its threshold."""

    kind: Literal["latency"] = Field(
        "latency", description="how samples become input spikes: the earlier the larger a value"
    )
    tau: Positive = Field(1.0, description="time constant of the integrator", json_schema_extra=TAU_SYN)
    theta: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="threshold of the integrator: values up to it are silent"
    )
    t_late: Positive = Field(3.0, description="later spikes are left out", json_schema_extra=TAU_SYN)

    @model_validator(mode="after")
    def _check(self) -> LatencySettings:
        if self.duration <= self.t_late:
            raise WrongFieldError("duration", "duration must be longer than t_late")
        return self


@final
class Latency(TimedFeatures):
    """``t = tau ln(x / (x - theta))``, no spike where ``x <= theta``.

    A leaky integrator with the constant input x is at ``x (1 - exp(-t / tau))``, which is theta at that time.
    """

    Settings = LatencySettings
    summary = "one spike a feature, the earlier the larger its value; none below a threshold"
    reference = "Cramer, Billaudelle et al., PNAS 119, e2109194119 (2022): latency of a leaky integrator"

    settings: LatencySettings

    def times(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `TimedFeatures.times`."""
        settings, times = self.settings, np.full(features.shape, np.inf)
        above = features > settings.theta  # false for NaN
        values = features[above]
        found = settings.tau * np.log(values / (values - settings.theta))
        times[above] = np.where(found <= settings.t_late, found, np.inf)
        return times
