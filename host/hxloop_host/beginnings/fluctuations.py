"""Fluctuation-driven initialisation: weights with which the inputs of this task let membranes wander to threshold.

Many weak inputs at a rate nu through N weights of mean m and standard deviation s make a membrane of mean ``N nu m e1``
and variance ``N nu (s^2 + m^2) e2``, with the integrals `e1` and `e2` of the postsynaptic potential and of
its square (Campbell's theorem). In model units, where an event of weight 1 moves the membrane at first by 1 / tau_syn,

    e1 = tau_mem,   e2 = tau_mem^2 / (2 (tau_mem + tau_syn))

(the publication's, with ``tau_mem / tau_syn`` times its potential).

References
----------
Rossbroich, Gygax, Zenke, "Fluctuation-driven initialization for spiking neural network training", Neuromorphic
Computing and Engineering 2, 044016 (2022): mean and standard deviation of weights, share alpha of recurrent ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, final

import numpy as np
from pydantic import Field

from hxloop.kit.ranges import Count
from hxloop.network import INPUT
from hxloop.rule import Observe
from hxloop_host.beginnings.beginning import Beginning, BeginningSettings
from hxloop_host.beginnings.inflow import in_order, input_counts, of_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hxloop.network import Network, Population
    from hxloop.rule import Batch, Runner, Weights
    from hxloop_host.beginnings.beginning import Say

    Array = NDArray[np.float64]


class FluctuationSettings(BeginningSettings):
    """Where membranes are, in units of the distance from rest to threshold."""

    kind: str = Field("fluctuations", description=BeginningSettings.model_fields["kind"].description)
    samples: Count = Field(200, description="training samples whose rates are measured")
    mean: Annotated[float, Field(ge=-10, le=10)] = Field(0.0, description="mean membrane, 1 at threshold")
    xi: Annotated[float, Field(ge=1e-3, le=1e3)] = Field(
        1.0, description="distance from the mean membrane to threshold, in standard deviations of the membrane"
    )
    alpha: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="share of the variance that comes from other populations; the rest comes through loops"
    )


@final
class Fluctuations(Beginning):
    """Normal weights whose variance follows from the rates that were measured, population by population."""

    Settings = FluctuationSettings
    settings: FluctuationSettings
    summary = "weights by measured input rates: membranes wander to threshold"
    reference = "Rossbroich, Gygax, Zenke, Neuromorph. Comput. Eng. 2:044016 (2022)"

    @property
    def samples(self) -> int:
        """Samples whose rates are measured."""
        return self.settings.samples

    def begin(self, runner: Runner, drawn: Sequence[NDArray[np.float64]], batch: Batch, say: Say) -> Weights:
        """Weights onto one population after the other; each is run once, to know the rates of its spikes."""
        network, weights = runner.network, list(drawn)
        counts = {INPUT: input_counts(batch.inputs, network.n_inputs)}
        said = []
        for number, name in enumerate(in_order(network)):
            population = network.population(name)
            events = self._events(network, name, counts)
            for k, found in self._onto(network, population, events, _duration_us(runner), batch, drawn).items():
                weights[k] = found
            if population.spiking and batch.n_samples:
                spikes = runner.run(batch, weights, trial=number, observe=Observe("all", (name,))).spikes[name]
                counts[name] = spikes.counts(batch.n_samples, population.size).mean(axis=0)
                said.append(f"{name} spikes {counts[name].mean():.2g} times a sample")
        say(f"beginning by fluctuations: {', '.join(said) or 'nothing spikes'}")
        return weights

    def _events(self, network: Network, name: str, counts: Mapping[str, Array]) -> dict[int, Array]:
        """Events in a sample through all weights of a projection onto each neuron, float64 [n_target].

        What comes back through a loop is not known yet: its sources count as active as the others are, on average.
        """
        found: dict[int, Array] = {}
        known = [k for k in network.onto(name) if network.projections[k].source in counts]
        every = np.concatenate([of_rows(network, network.projections[k], counts) for k in known] or [np.zeros(1)])
        for k in network.onto(name):
            projection = network.projections[k]
            rows = network.weight_shape(projection)[0]
            rates = of_rows(network, projection, counts) if k in known else np.full(rows, every.mean())
            found[k] = (network.connected(projection) * rates[:, None]).sum(axis=0)
        return found

    def _onto(
        self,
        network: Network,
        population: Population,
        events: Mapping[int, Array],
        duration_us: float,
        batch: Batch,
        drawn: Sequence[NDArray[np.float64]],
    ) -> dict[int, Array]:
        """Weights of the projections onto a population; as they were drawn where nothing comes through them."""
        own, loops = self.settings, [k for k in events if network.projections[k].source == population.name]
        shares = {True: 1.0 - own.alpha if len(loops) < len(events) else 1.0, False: own.alpha if loops else 1.0}
        tau_mem, tau_syn = population.tau_mem_us, population.tau_syn_us
        first, second = tau_mem / duration_us, tau_mem**2 / (2.0 * (tau_mem + tau_syn)) / duration_us
        threshold = population.model_threshold
        deviation = threshold * max(1.0 - own.mean, 0.0) / own.xi
        mean = own.mean * threshold / _positive(sum(events.values()) * first)
        found = {}
        for k, through in events.items():
            together = sum(value for j, value in events.items() if (j in loops) == (k in loops))
            square = shares[k in loops] * deviation**2 / _positive(together * second)
            spread = np.sqrt(np.maximum(square - mean**2, 0.0))
            if not through.any():
                continue
            projection, normal = network.projections[k], batch.generator(f"weights of projection {k}")
            standard = normal.standard_normal(network.weight_shape(projection))
            if projection.signs is None:
                weights = mean + spread * standard
            else:  # magnitudes of the same mean square; the mean of all is then what signs make it
                weights = np.sqrt(spread**2 + mean**2) * np.abs(standard)
            found[k] = np.where(through > 0.0, network.as_wired(projection, weights), drawn[k])
        return found


def _duration_us(runner: Runner) -> float:
    return runner.duration_ticks * runner.spec.tick_us


def _positive(values: Array | float) -> Array:
    """Values, with something harmless in the place of zeros."""
    found = np.asarray(values, np.float64)
    return np.where(found > 0.0, found, np.inf)
