"""Delays and weights together: exact gradients of first spike times, at the times that the chip measured.

A spike that leaves a delay neuron later arrives later by as much, so the derivative by a delay is that by the arrival
time, summed over what the delay neuron drives. Spikes of delay neurons are measured like all others: how late each one
really is, and by how much it varies, is in the times at which gradients are taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.rule import Column, Update
from hxloop_host.spike_times.backward import weight_gradients
from hxloop_host.spike_times.first_spike_rule import FirstSpikeRule
from hxloop_host.spike_times.silence_settings import SilenceSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Batch, Runner, Weights

    Array = NDArray[np.float64]


class DelaySettings(SilenceSettings):
    """Gradients at measured first spikes, what is trained, and what is done about neurons that do not spike."""

    kind: str = "delays"
    train_weights: bool = Field(True, description="false: weights stay as they began")
    train_delays: bool = Field(True, description="false: delays stay as they began")


@final
class Delays(FirstSpikeRule):
    """First-spike learning of weights and delays in feed-forward networks of equal neurons and delay neurons.

    References
    ----------
    Goeltz, Weber, Kriener et al., "DelGrad", Nature Communications 16 (2025).
    """

    Settings = DelaySettings
    settings: DelaySettings
    reference = "Goeltz, Weber, Kriener et al., Nat. Commun. 16 (2025)"
    summary = "exact gradients of first spike times by weights and delays, at measured times"
    observes = "first spikes of all neurons, delay neurons too"
    takes_delays = True
    columns: ClassVar[tuple[Column, ...]] = (
        *FirstSpikeRule.columns,
        Column("delay", "mean delay in force", unit="us", per="batch"),
        Column("delay_spread", "standard deviation of the delays in force", unit="us", per="batch"),
    )
    unless_silent = (
        "are rule.train_weights, rule.train_delays off, or optimizer.learning_rate or rule.max_dw_norm too small?"
    )

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse networks that first spikes do not describe; those without delay neurons are as good as others.

        Raises
        ------
        InvalidInputError
            As `FirstSpikeRule.check`, or an output of delay neurons.
        """
        super().check(network, readout)
        if network.population(network.output).relay:
            raise InvalidInputError(
                f"{network.output!r} are delay neurons, which learn nothing of classes", field="network.output"
            )

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """One run of the chip; then a gradient, or a bump where too many neurons are silent."""
        network, recording = runner.network, runner.run(batch, weights)
        seen = runner.readout.answered(recording, batch.label)

        def gradients() -> Weights:
            return weight_gradients(
                recording, seen.derivative, runner.strength, self.settings.max_dw_norm, self.settings.soften
            )

        found, new, shown = self._learned(recording, weights, seen, batch.label, gradients)
        if found is not None:
            found = [self._trained(network, k, gradient) for k, gradient in enumerate(found)]
        delays_us = [
            recording.weights[k][network.connected(p)]
            for k, p in enumerate(network.projections)
            if network.holds_delays(p)
        ]
        joined = np.concatenate(delays_us) if delays_us else np.zeros(1)
        shown |= {"delay": float(joined.mean()), "delay_spread": float(joined.std())}
        return Update(seen.loss, seen.answers, found, new, shown)

    def _trained(self, network: Network, number: int, gradient: Array) -> Array:
        """The gradient of a projection, 0 where it is not to be trained."""
        delays = network.holds_delays(network.projections[number])
        wanted = self.settings.train_delays if delays else self.settings.train_weights
        return gradient if wanted else np.zeros_like(gradient)
