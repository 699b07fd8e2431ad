"""Weights as the rule draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pydantic import Field

from hxloop_host.beginnings.beginning import Beginning, BeginningSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hxloop.rule import Batch, Runner, Weights
    from hxloop_host.beginnings.beginning import Say


class DrawnSettings(BeginningSettings):
    """Nothing to be set: mean and standard deviation are the network's."""

    kind: str = Field("drawn", description=BeginningSettings.model_fields["kind"].description)


@final
class Drawn(Beginning):
    """Nothing is done to the weights of the rule, and nothing runs."""

    Settings = DrawnSettings
    summary = "random weights, as the rule draws them"

    def begin(self, runner: Runner, drawn: Sequence[NDArray[np.float64]], batch: Batch, say: Say) -> Weights:
        """Return what was drawn."""
        del runner, batch, say
        return list(drawn)
