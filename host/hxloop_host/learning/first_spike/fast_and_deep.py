"""Fast & Deep: exact gradients of first spike times, at the times that the chip measured.

Weights onto silent neurons are raised instead, in batches that need it: without spikes there is no gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import Fraction, NotNegative
from hxloop.rule import Column, Observe, Rule, RuleSettings, Update
from hxloop.seeds import generator
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


class FastAndDeepSettings(RuleSettings):
    """Gradients at measured first spikes, and what is done about neurons that do not spike."""

    kind: str = "fast_and_deep"
    limits: list[Fraction] = Field(
        description="per population: share of missing spikes above which the weights onto it are bumped"
    )
    bump: NotNegative = Field(0.0005, description="first increase of the model weights")
    doubling: bool = Field(True, description="double it as long as the same population is bumped again")
    targeted: bool = Field(True, description="bump only the neurons that missed a spike")
    max_dw_norm: NotNegative = Field(0.2, description="single weight gradients above: the sample is dropped; 0: never")


@final
class FastAndDeep(Rule):
    """First-spike learning in feed-forward networks of equal neurons.

    References
    ----------
    Goeltz, Kriener et al., Nature Machine Intelligence 3, 823-835 (2021).
    """

    Settings = FastAndDeepSettings
    settings: FastAndDeepSettings
    reference = "Goeltz, Kriener et al., Nat. Mach. Intell. 3:823 (2021)"
    summary = "exact gradients of first spike times, at measured times"
    observes = "first spikes of all neurons"
    exact = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "bump_fraction", "fraction of batches that bumped the layer", per="batch", each="population", total="sum",
            short="bumped",
        ),
        Column(
            "silent_fraction", "fraction of (sample, neuron) pairs of the layer without a spike", each="population",
            total="last", short="silent outputs",
        ),
    )  # fmt: skip

    def __init__(self, settings: RuleSettings | None = None, **values: object) -> None:
        super().__init__(settings, **values)
        own = self.settings
        self.bumper = WeightBumper(own.limits, own.bump, doubling=own.doubling, targeted=own.targeted)

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse networks that first spikes do not describe.

        Raises
        ------
        InvalidInputError
            Populations that do not spike, with other time constants than the first or ratios other than 1 and 2, loops,
            other limits than populations, or a readout of something else than first spikes.
        """
        check_first_spikes(network, readout)
        names = [p.name for p in network.populations]
        if len(self.settings.limits) != len(names):
            raise InvalidInputError(
                f"limits needs one entry for each of the {len(names)} populations ({', '.join(names)})",
                field="rule.limits",
            )

    def observe(self, network: Network) -> Observe:
        """First spikes of all neurons."""
        del network
        return Observe("first")

    def prepare(self) -> None:
        """Compile the kernels."""
        warm_up()

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
        network, readout = runner.network, runner.readout
        recording = runner.run(batch, weights)
        t_out = list(first_times(recording).values())
        scores = readout.scores(recording)
        loss, grad_scores = readout.value_and_gradient(scores, batch.label)
        bumped, silent = self.bumper.check(t_out), t_out
        gradients: Weights | None = None
        if bumped is None:
            grad_out = readout.derivative(recording, grad_scores)
            gradients = weight_gradients(recording, grad_out, runner.strength, self.settings.max_dw_norm)
            if grad_out.any() and not any(g.any() for g in gradients):
                # The label layer spikes where the nominal model never does, in every sample: neither gradient nor
                # silence would ever move a weight again. In the model its neurons are silent, so they are bumped.
                bumped = [p.name for p in network.populations].index(network.output)
                silent, gradients = [np.full_like(t, np.inf) for t in t_out], None
        bump = np.zeros(len(t_out))
        new = None
        if bumped is not None:
            bump[bumped] = 1.0
            new = self._bumped(network, weights, bumped, silent)
        return Update(
            loss,
            readout.predict(scores),
            gradients,
            new,
            {"bump_fraction": bump, "silent_fraction": np.array([silent_share(t) for t in t_out])},
        )

    def _bumped(self, network: Network, weights: Weights, number: int, silent: list[Array]) -> Weights:
        onto = network.onto(network.populations[number].name)
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
        return "is optimizer.learning_rate or rule.max_dw_norm too small?"
