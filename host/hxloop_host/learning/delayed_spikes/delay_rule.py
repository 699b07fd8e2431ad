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
from hxloop.kit.ranges import Fraction, NotNegative
from hxloop.rule import Column, Observe, Rule, RuleSettings, Update
from hxloop_host.spike_times.backward import check_first_spikes, first_times, weight_gradients
from hxloop_host.spike_times.closed_form import warm_up
from hxloop_host.spike_times.weight_bumper import WeightBumper, silent_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Batch, Runner, State, Weights

    Array = NDArray[np.float64]


class DelaySettings(RuleSettings):
    """Gradients at measured first spikes, what is trained, and what is done about neurons that do not spike."""

    kind: str = "delays"
    limits: list[Fraction] = Field(
        description="per population other than delay neurons: share of missing spikes above which the weights onto it "
        "are bumped"
    )
    bump: NotNegative = Field(0.0005, description="first increase of the model weights")
    doubling: bool = Field(True, description="double it as long as the same population is bumped again")
    targeted: bool = Field(True, description="bump only the neurons that missed a spike")
    max_dw_norm: NotNegative = Field(
        0.2, description="single weight gradients above: the sample is dropped for the weights of a neuron; 0: never"
    )
    train_weights: bool = Field(True, description="false: weights stay as they began")
    train_delays: bool = Field(True, description="false: delays stay as they began")


@final
class Delays(Rule):
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
    exact = True
    takes_delays = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "bump_fraction", "fraction of batches that bumped the layer", per="batch", each="population", total="sum",
            short="bumped",
        ),
        Column(
            "silent_fraction", "fraction of (sample, neuron) pairs of the layer without a spike", each="population",
            total="last", short="silent outputs",
        ),
        Column("delay", "mean delay in force", unit="us", per="batch"),
        Column("delay_spread", "standard deviation of the delays in force", unit="us", per="batch"),
    )  # fmt: skip

    def __init__(self, settings: RuleSettings | None = None, **values: object) -> None:
        super().__init__(settings, **values)
        own = self.settings
        self.bumper = WeightBumper(own.limits, own.bump, doubling=own.doubling, targeted=own.targeted)

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse networks that first spikes do not describe; those without delay neurons are as good as others.

        Raises
        ------
        InvalidInputError
            As `check_first_spikes`; other limits than populations, or an output of delay neurons.
        """
        check_first_spikes(network, readout)
        names = _with_weights(network)
        if len(self.settings.limits) != len(names):
            raise InvalidInputError(
                f"limits needs one entry for each of the {len(names)} populations ({', '.join(names)})",
                field="rule.limits",
            )
        if network.output not in names:
            raise InvalidInputError(
                f"{network.output!r} are delay neurons, which learn nothing of classes", field="network.output"
            )

    def observe(self, network: Network) -> Observe:
        """First spikes of all neurons."""
        del network
        return Observe("first")

    def prepare(self) -> None:
        """Compile the kernels."""
        warm_up()

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """One run of the chip; then a gradient, or a bump where too many neurons are silent."""
        network, readout = runner.network, runner.readout
        recording = runner.run(batch, weights)
        times, names = first_times(recording), _with_weights(network)
        layers = [times[name] for name in names]
        scores = readout.scores(recording)
        loss, grad_scores = readout.value_and_gradient(scores, batch.label)
        bumped, silent, gradients = self.bumper.check(layers), layers, None
        if bumped is None:
            grad_out = readout.derivative(recording, grad_scores)
            gradients = weight_gradients(recording, grad_out, runner.strength, self.settings.max_dw_norm)
            if grad_out.any() and not any(g.any() for g in gradients):
                # As in Fast & Deep: outputs that spike where the model never does are silent in it, so they are bumped.
                bumped = names.index(network.output)
                silent, gradients = [np.full_like(t, np.inf) for t in layers], None
            else:
                gradients = [self._trained(network, k, gradient) for k, gradient in enumerate(gradients)]
        new = None if bumped is None else self._bumped(network, weights, bumped, silent)
        bump = [float(bumped is not None and p.name == names[bumped]) for p in network.populations]
        delays_us = [
            recording.weights[k][network.connected(p)]
            for k, p in enumerate(network.projections)
            if network.holds_delays(p)
        ]
        joined = np.concatenate(delays_us) if delays_us else np.zeros(1)
        shown: dict[str, float | Array] = {
            "bump_fraction": np.array(bump),
            "silent_fraction": np.array([silent_share(times[p.name]) for p in network.populations]),
            "delay": float(joined.mean()),
            "delay_spread": float(joined.std()),
        }
        return Update(loss, readout.predict(scores), gradients, new, shown)

    def _trained(self, network: Network, number: int, gradient: Array) -> Array:
        """The gradient of a projection, 0 where it is not to be trained."""
        delays = network.holds_delays(network.projections[number])
        wanted = self.settings.train_delays if delays else self.settings.train_weights
        return gradient if wanted else np.zeros_like(gradient)

    def _bumped(self, network: Network, weights: Weights, number: int, silent: list[Array]) -> Weights:
        onto = network.onto(_with_weights(network)[number])
        new = [matrix.copy() if k in onto else matrix for k, matrix in enumerate(weights)]
        self.bumper.apply([new[k] for k in onto], number, silent)
        return new

    def state(self) -> State:
        """What the next bump depends on."""
        return self.bumper.state()

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned; errors as in `WeightBumper.load_state`."""
        self.bumper.load_state(state)

    def standstill(self, diagnostics: Mapping[str, float | tuple[float, ...]]) -> str | None:
        """Silence that nothing is done about."""
        silent = diagnostics["silent_fraction"]
        if isinstance(silent, tuple) and silent[-1] == 1.0:
            return (
                "no output spiked, and no weight was raised for that: nothing will be learned (set rule.bump above 0 "
                "and rule.limits below 1, or begin with a larger network.init_mean)"
            )
        return (
            "are rule.train_weights, rule.train_delays off, or optimizer.learning_rate or rule.max_dw_norm too small?"
        )


def _with_weights(network: Network) -> list[str]:
    """Populations other than delay neurons, in the order of the network."""
    return [p.name for p in network.populations if not p.relay]
