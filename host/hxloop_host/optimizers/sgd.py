"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from pydantic import Field

from hxloop.kit.ranges import Decay
from hxloop_host.optimizers.optimizer import Optimizer, OptimizerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class SGDSettings(OptimizerSettings):
    """Learning rate and momentum."""

    kind: str = Field("sgd", description=OptimizerSettings.model_fields["kind"].description)
    momentum: Decay = Field(0.0, description="share of the last step's velocity that is kept; 0: plain descent")
    nesterov: bool = Field(False, description="look ahead by the momentum (Nesterov)")


@final
class SGD(Optimizer):
    """Gradient descent with a velocity: ``v = momentum v + g``, and ``w -= rate v``.

    With `nesterov` the step is that of where the velocity leads: ``w -= rate (g + momentum v)``.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Comput. Math. Math. Phys. 4:1
    (1964). Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", ICML
    2013, section 2, in the variables of Bengio et al., "Advances in optimizing recurrent networks", ICASSP 2013, eq. 7;
    the velocity does not contain the rate, so that a schedule acts at once.
    """

    Settings = SGDSettings
    reference = "Polyak 1964; Sutskever et al., ICML 2013"
    summary = "gradient descent with momentum, Nesterov's too"
    memory: ClassVar[Mapping[str, float]] = {"velocity": 0.0}

    settings: SGDSettings

    def change(
        self,
        parameter: NDArray[np.float64],
        gradient: NDArray[np.float64],
        step: int,
        *memory: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Rate times velocity."""
        del parameter, step
        (velocity,), momentum = memory, self.settings.momentum
        np.add(momentum * velocity, gradient, out=velocity)
        direction = gradient + momentum * velocity if self.settings.nesterov else velocity
        return self.current_rate * direction
