"""First spikes inside a window, on the chip that there is: weights scaled and shifted by what probe runs measured.

A first-spike network learns from neurons that spike: one that is silent has no gradient, one that spikes before most of
its inputs has the wrong one. With weights drawn at random it depends on the chip how many do what. Here samples are run
with the drawn weights, and scale and shift of the weights onto each neuron are searched until it spikes in the share of
samples that is wanted, and its median spike is where it is wanted: each neuron of a population at another time of the
window, so that they stay different. All outputs are to spike at the same time, in nearly all samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, final

import numpy as np
from pydantic import Field, model_validator

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import TAU_SYN, Count, Fraction, NotNegative
from hxloop.kit.strict import WrongFieldError
from hxloop.network import INPUT
from hxloop.rule import Observe
from hxloop_host.beginnings.beginning import Beginning, BeginningSettings
from hxloop_host.beginnings.inflow import first_input_ticks, in_order, of_rows
from hxloop_host.beginnings.neuron_search import NeuronSearch, Seen, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Batch, Runner, Weights
    from hxloop_host.beginnings.beginning import Say

    Array = NDArray[np.float64]

Window = Annotated[list[NotNegative], Field(min_length=2, max_length=2)]
Shares = Annotated[list[Fraction], Field(min_length=2, max_length=2)]


class WindowSettings(BeginningSettings):
    """Where first spikes shall be, counted from a population's first input."""

    kind: str = Field("first_spikes", description=BeginningSettings.model_fields["kind"].description)
    samples: Count = Field(200, description="training samples in each probe run")
    probes: Annotated[int, Field(ge=1, le=1000)] = Field(24, description="most probe runs for a population")
    window: Window = Field(
        [0.3, 1.7], description="median first spikes of hidden neurons: earliest and latest, after the median first "
        "input of the population", json_schema_extra=TAU_SYN
    )  # fmt: skip
    share: Shares = Field([0.6, 1.0], description="share of samples in which a hidden neuron spikes: least and most")
    output_time: NotNegative = Field(
        1.0, description="median first spike of all outputs after their first input", json_schema_extra=TAU_SYN
    )
    output_share: Fraction = Field(0.97, description="share of samples in which an output spikes at least")
    tolerance: Annotated[float, Field(ge=1e-3, le=1e3)] = Field(
        0.1, description="how far a median may be from where it shall be", json_schema_extra=TAU_SYN
    )

    @model_validator(mode="after")
    def _check(self) -> WindowSettings:
        for name in ("window", "share"):
            if getattr(self, name)[0] > getattr(self, name)[1]:
                raise WrongFieldError(name, f"{name} begins with the smaller number")
        return self


@final
class SpikesInWindow(Beginning):
    """Scale and shift of the weights onto each neuron, by probe runs, one population after the other."""

    Settings = WindowSettings
    settings: WindowSettings
    summary = "every neuron's first spike inside a window on this chip, by probe runs"
    reference = "hxloop docs/decisions/0027-beginnings.md"

    @property
    def samples(self) -> int:
        """Samples of each probe run."""
        return self.settings.samples

    def check(self, network: Network) -> None:
        """Refuse an output that does not spike.

        Raises
        ------
        InvalidInputError
        """
        if not network.population(network.output).spiking:
            raise InvalidInputError(
                f"{network.output!r} does not spike, so it has no first spikes to begin with",
                field="beginning.kind",
                hint="use drawn or fluctuations",
            )

    def begin(self, runner: Runner, drawn: Sequence[NDArray[np.float64]], batch: Batch, say: Say) -> Weights:
        """Populations in the order of the network; what could not be reached is said."""
        network, weights, trial = runner.network, list(drawn), 0
        if not batch.n_samples:
            return weights
        ticks = {INPUT: first_input_ticks(batch.inputs, network.n_inputs)}
        for name in in_order(network):
            population = network.population(name)
            if not (population.spiking and network.onto(name)):
                continue
            if population.relay:  # they have delays, which stay as drawn
                ticks[name], trial = self._times(runner, batch, weights, name, trial), trial + 1
                continue
            per_tick = runner.spec.tick_us / population.tau_syn_us
            wanted = self._wanted(network, name, self._first_input(runner, name, ticks) * per_tick, batch)
            search = self._search(runner, name, wanted, ticks)
            runs = 0
            while runs < self.settings.probes:
                found = _changed(runner, drawn, weights, name, search.scale, search.shift)
                times = self._times(runner, batch, found, name, trial) * per_tick
                search.learn(Seen.of(times))
                runs, trial = runs + 1, trial + 1
                if search.is_done:
                    break
            weights = _changed(runner, drawn, weights, name, search.best_scale, search.best_shift)
            ticks[name] = self._times(runner, batch, weights, name, trial)
            trial += 1
            say(_told(name, Seen.of(ticks[name] * per_tick), search, runs + 1))
        return weights

    def _times(self, runner: Runner, batch: Batch, weights: Weights, name: str, trial: int) -> Array:
        recording = runner.run(batch, weights, trial=trial, observe=Observe("first", (name,)))
        return recording.first_ticks[name]

    def _first_input(self, runner: Runner, name: str, ticks: dict[str, Array]) -> float:
        """Ticks from the start of a sample to a population's first input, median over the samples; 0 without any."""
        network = runner.network
        known = [network.projections[k] for k in network.onto(name) if network.projections[k].source in ticks]
        each = [
            of_rows(network, p, ticks).min(axis=1) + (0 if p.source == INPUT else runner.spec.routing_delay_ticks)
            for p in known
        ]
        first = np.min(each, axis=0) if each else np.zeros(0)
        first = np.sort(first[np.isfinite(first)])
        return float(first[len(first) // 2]) if len(first) else 0.0

    def _wanted(self, network: Network, name: str, first: float, batch: Batch) -> Wanted:
        own, size = self.settings, network.population(name).size
        if name == network.output:
            return Wanted(np.full(size, first + own.output_time), own.tolerance, own.output_share, 1.0)
        low, high = own.window
        places = batch.generator(f"places of {name}").permutation(size)
        return Wanted(first + low + (high - low) * (places + 0.5) / size, own.tolerance, *own.share)

    def _search(self, runner: Runner, name: str, wanted: Wanted, ticks: dict[str, Array]) -> NeuronSearch:
        """Search whose first step moves the membrane of each neuron by a tenth of its threshold, about."""
        network, population = runner.network, runner.network.population(name)
        events = np.zeros(population.size)
        for k in network.onto(name):
            projection = network.projections[k]
            if projection.source in ticks:
                active = np.isfinite(of_rows(network, projection, ticks)).mean(axis=0)
                events += (network.connected(projection) * active[:, None]).sum(axis=0)
        largest = max(runner.spec.weight_code_max / network.projections[k].scale_weights for k in network.onto(name))
        step = 0.1 * population.model_threshold * np.e / np.maximum(events, 1.0)
        return NeuronSearch(wanted, np.minimum(step, largest), 2.0 * largest)


def _changed(
    runner: Runner,
    drawn: Sequence[NDArray[np.float64]],
    weights: Sequence[NDArray[np.float64]],
    name: str,
    scale: Array,
    shift: Array,
) -> Weights:
    """Weights with those onto one population scaled and shifted, within what the chip, masks and signs allow.

    Every neuron keeps its mean weight when it is scaled.
    """
    network, found = runner.network, list(weights)
    for k in network.onto(name):
        projection, given = network.projections[k], drawn[k]
        mean = given.mean(axis=0)
        low, high = network.limits(projection, runner.spec.weight_code_max)
        found[k] = np.minimum(np.maximum(mean + scale * (given - mean) + shift, low), high)
    return found


def _told(name: str, seen: Seen, search: NeuronSearch, runs: int) -> str:
    reached = np.count_nonzero(search.best == 0.0)
    text = f"beginning of {name}: {reached} of {len(search.best)} neurons as wanted after {runs} probe runs"
    median = seen.median[np.isfinite(seen.median)]
    if len(median):
        text += f", medians {median.min():.2f}..{median.max():.2f} tau_syn"
    text += f", spikes in {100 * seen.share.mean():.0f} % of samples"
    silent = np.count_nonzero(seen.share == 0.0)
    return text + (f"; {silent} could not be made to spike" if silent else "")
