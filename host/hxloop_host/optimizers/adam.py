"""Adam: steps of a learning rate, along the mean gradient over its root mean square."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, final

import numpy as np
from pydantic import Field

from hxloop.kit.ranges import Decay
from hxloop_host.arithmetic.whole_power import whole_power
from hxloop_host.optimizers.optimizer import Optimizer, OptimizerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class MomentSettings(OptimizerSettings):
    """Two running means, of gradients and of their squares."""

    beta1: Decay = Field(0.9, description="decay of the mean gradient")
    beta2: Decay = Field(0.999, description="decay of the mean squared gradient")
    epsilon: Annotated[float, Field(ge=1e-30, le=1)] = Field(
        1e-8, description="added to the root of the mean squared gradient"
    )


class AdamSettings(MomentSettings):
    """Adam and its learning rate."""

    kind: str = Field("adam", description=OptimizerSettings.model_fields["kind"].description)


@final
class Adam(Optimizer):
    """Adam with the published defaults.

    References
    ----------
    Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    """

    Settings = AdamSettings
    reference = "Kingma, Ba, ICLR 2015"
    summary = "mean gradient over its root mean square"
    memory: ClassVar[Mapping[str, float]] = {"first": 0.0, "second": 0.0}

    settings: AdamSettings

    def change(
        self,
        parameter: NDArray[np.float64],
        gradient: NDArray[np.float64],
        step: int,
        *memory: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Mean gradient over its root mean square, both without the bias of their beginning."""
        del parameter
        return adam_change(self.settings, self.current_rate, gradient, step, *memory)


def adam_change(
    settings: MomentSettings,
    rate: float,
    gradient: NDArray[np.float64],
    step: int,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Step number `step` of Adam; the running means `first` and `second` are moved in place."""
    from hxloop_host.arithmetic.moments import move_moments  # compiled: not needed to read settings

    change = np.empty(gradient.shape)
    move_moments(
        np.ravel(gradient), first.reshape(-1), second.reshape(-1), settings.beta1, settings.beta2,
        1.0 - whole_power(settings.beta1, step), 1.0 - whole_power(settings.beta2, step), rate, settings.epsilon,
        change.reshape(-1),
    )  # fmt: skip
    return change
