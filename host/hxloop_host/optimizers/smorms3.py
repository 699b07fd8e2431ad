"""SMORMS3: steps as large as the gradient is sure of its sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, final

import numpy as np
from pydantic import Field

from hxloop_host.optimizers.optimizer import Optimizer, OptimizerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class SMORMS3Settings(OptimizerSettings):
    """Largest learning rate."""

    kind: str = Field("smorms3", description=OptimizerSettings.model_fields["kind"].description)
    epsilon: Annotated[float, Field(ge=1e-30, le=1)] = Field(
        1e-16, description="added to the mean squared gradient and to its root"
    )


@final
class SMORMS3(Optimizer):
    """Squared mean over mean square of the gradient sets the rate, up to `learning_rate`, and how long it remembers.

    ``r = 1 / (age + 1)``, ``m += r (g - m)``, ``v += r (g^2 - v)``, ``x = m^2 / (v + epsilon)``,
    ``w -= g min(rate, x) / (sqrt(v) + epsilon)``, ``age = 1 + age (1 - x)``, from ``age = 1``, ``m = v = 0``.

    References
    ----------
    Funk, "RMSprop loses to SMORMS3 - beware the epsilon!", sifter.org/~simon/journal/20150420.html (2015).
    """

    Settings = SMORMS3Settings
    reference = "Funk 2015"
    summary = "rate and memory of each weight from the noise of its gradient"
    memory: ClassVar[Mapping[str, float]] = {"age": 1.0, "mean": 0.0, "square": 0.0}

    settings: SMORMS3Settings

    def change(
        self,
        parameter: NDArray[np.float64],
        gradient: NDArray[np.float64],
        step: int,
        *memory: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Gradient over its root mean square, times the rate it deserves."""
        del parameter, step
        (age, mean, square), epsilon = memory, self.settings.epsilon
        share = 1.0 / (age + 1.0)
        np.add((1.0 - share) * mean, share * gradient, out=mean)
        np.add((1.0 - share) * square, share * gradient * gradient, out=square)
        sure = mean * mean / (square + epsilon)
        np.add(1.0, age * (1.0 - sure), out=age)
        change: NDArray[np.float64] = gradient * np.minimum(self.current_rate, sure) / (np.sqrt(square) + epsilon)
        return change
