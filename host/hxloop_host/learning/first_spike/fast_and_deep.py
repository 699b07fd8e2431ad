"""Fast & Deep: exact gradients of first spike times, at the times that the chip measured.

Without spikes there is no gradient. Weights onto silent neurons are raised instead, in batches that need it (``bump``),
or beside the gradients of all others in every batch (``lift``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np
from pydantic import Field

from hxloop.kit.ranges import Fraction
from hxloop.rule import Update
from hxloop.seeds import generator
from hxloop_host.spike_times.backward import weight_gradients
from hxloop_host.spike_times.first_spike_rule import FirstSpikeRule
from hxloop_host.spike_times.model_noise import noisy
from hxloop_host.spike_times.silence_settings import SilenceSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Batch, Runner, Weights

    Array = NDArray[np.float64]


class FastAndDeepSettings(SilenceSettings):
    """Gradients at measured first spikes, and what is done about neurons that do not spike."""

    kind: str = "fast_and_deep"
    model_noise: Fraction = Field(
        0.0, description="spread of the thresholds and synapses of the backward model, drawn anew for every batch"
    )


@final
class FastAndDeep(FirstSpikeRule):
    """First-spike learning in feed-forward networks of equal neurons.

    References
    ----------
    Goeltz, Kriener et al., Nature Machine Intelligence 3, 823-835 (2021).
    """

    Settings = FastAndDeepSettings
    settings: FastAndDeepSettings
    reference = "Goeltz, Kriener et al., Nat. Mach. Intell. 3:823 (2021)"
    summary = "exact gradients of first spike times, at measured times"

    def begin(self, network: Network, seed: int) -> Weights:
        """Normal weights; all rows onto a population are one draw."""
        weights: dict[int, Array] = {}
        for k, population in enumerate(network.populations):
            onto = network.onto(population.name)
            rows = [network.weight_shape(network.projections[n])[0] for n in onto]
            mean, std = (
                np.repeat([getattr(network.projections[n], name) for n in onto], rows)[:, None]
                for name in ("init_mean", "init_std")
            )
            drawn = generator(seed, "weights", k).normal(mean, std, (sum(rows), population.size))
            for n, part in zip(onto, np.split(drawn, np.cumsum(rows)[:-1]), strict=True):
                weights[n] = network.as_wired(network.projections[n], part)
        return [weights[k] for k in range(len(network.projections))]

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """One run of the chip; then a gradient, or a bump where too many neurons are silent."""
        recording = runner.run(batch, weights)
        seen = runner.readout.answered(recording, batch.label)
        strength = noisy(runner.strength, runner.network, self.settings.model_noise, batch)

        def gradients() -> Weights:
            own = self.settings
            return weight_gradients(recording, seen.derivative, strength, own.max_dw_norm, own.soften)

        found, new, shown = self._learned(recording, weights, seen, batch.label, gradients)
        return Update(seen.loss, seen.answers, found, new, shown)
