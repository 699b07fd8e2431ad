"""AdamW: Adam, and weights that shrink beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pydantic import Field

from hxloop.kit.ranges import Fraction
from hxloop_host.optimizers.adam import MomentSettings, adam_change
from hxloop_host.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class AdamWSettings(MomentSettings):
    """Adam's, and how fast weights shrink."""

    kind: str = Field("adamw", description=MomentSettings.model_fields["kind"].description)
    weight_decay: Fraction = Field(0.01, description="share of a weight that a learning rate of 1 takes away per step")


@final
class AdamW(Optimizer):
    """Adam with decoupled weight decay: the pull to 0 does not pass through Adam's quotient.

    ``w -= rate (m / (sqrt(v) + epsilon) + weight_decay w)``, with the weights before the step.

    References
    ----------
    Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2. There the decay follows the
    schedule but not the base rate; as in most programs it follows both here.
    """

    Settings = AdamWSettings
    reference = "Loshchilov, Hutter, ICLR 2019"
    summary = "Adam with decoupled weight decay"
    memory: ClassVar[Mapping[str, float]] = {"first": 0.0, "second": 0.0}

    settings: AdamWSettings

    def change(
        self,
        parameter: NDArray[np.float64],
        gradient: NDArray[np.float64],
        step: int,
        *memory: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Adam's step, and a share of the weight itself."""
        rate = self.current_rate
        return adam_change(self.settings, rate, gradient, step, *memory) + rate * self.settings.weight_decay * parameter
