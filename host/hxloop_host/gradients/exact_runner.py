"""A network in continuous time without a chip: what a rule would see of neurons that obey their equations exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs, Observe, Recording, Spikes
from hxloop.spec import TEXTBOOK
from hxloop.spikes import SpikeBatch
from hxloop_host.gradients import kernels
from hxloop_host.readouts.first_spikes import ShiftInvariantMSE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.readout import Readout
    from hxloop.rule import Batch, Strength
    from hxloop.spec import ChipSpec

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

FINE: Final = 2**28
"""Ticks of the exact reference in one of the chip: 3e-11 us each, and 2**53 of them are 0.27 s (assumed: enough)."""
_COUNTER_MAX: Final = 255
_FIRST_CAPACITY: Final = 1024


class Synapses(NamedTuple):
    """What each source drives, as compressed rows: the input channels first, then all neurons.

    Source k has the synapses ``pointers[k]:pointers[k + 1]`` onto neuron `target`, each with the jump of the current
    `drive` in model units per us, `delay` ticks after the spike of its source.
    """

    pointers: Whole
    target: Whole
    drive: Array
    delay: Whole


class _Solved(NamedTuple):
    """Spikes of all samples by (sample, neuron, tick), and membranes float64 [n_samples, n_reads, n_neurons]."""

    sample: Whole
    neuron: Whole
    tick: Whole
    membranes: Array


class ExactRunner:
    """A network of leaky integrate-and-fire neurons solved event by event; satisfies `hxloop.rule.Runner`.

    Currents jump with events and decay exponentially, and spike times are roots of the closed solution between events:
    there are no time steps, no weight codes, no limits and no noise. Ticks are so short that times are continuous for
    whatever is made of a `Recording`; weights are what was given, 0 where nothing is connected; membranes are float64.
    Spikes reach their targets after the chip's routing delay, and are stamped with the first tick that is not before
    them, as on the chip.

    Parameters
    ----------
    network : Network
        Of leaky integrate-and-fire neurons, leaky integrators, and relays that pass an event on after a delay; any time
        constants, potentials, refractory periods and projections.
    readout : Readout
    duration_us : float
        Length of a sample.
    observe : Observe
        What the rule asks for; what the readout needs is added.
    spec : ChipSpec
        Datasheet whose clock, routing delay and reading period hold.
    ticks : int
        Ticks of this runner in one of the chip; with 1 spikes have the stamps of the chip.

    Attributes
    ----------
    spec : ChipSpec
        With the short tick.
    strength : None
        Neurons are as they should be.
    duration_ticks : int
    ticks : int
    delay_ticks : int
        From a spike to the synapses that it drives.

    Raises
    ------
    InvalidInputError
        Terms beyond leaky integrate-and-fire, or a reset that is not below the threshold.

    References
    ----------
    R. Brette, "Exact simulation of integrate-and-fire models with synaptic conductances", Neural Computation 18:2004
    (2006), for the event-driven scheme; closed solution and turning points are written out in `gradients.kernels`.
    """

    def __init__(
        self,
        network: Network,
        readout: Readout,
        *,
        duration_us: float,
        observe: Observe = Observe("none"),  # noqa: B008  it is frozen
        spec: ChipSpec = TEXTBOOK,
        ticks: int = FINE,
    ) -> None:
        self.network, self.readout, self.strength = network, readout, None
        self.observe = observe | readout.observe(network)
        self.spec = spec.model_copy(
            update={
                "tick_us": spec.tick_us / ticks,
                "routing_delay_ticks": spec.routing_delay_ticks * ticks,
                "cadc_period_ticks": spec.cadc_period_ticks * ticks,
                "max_run_ticks": spec.max_run_ticks * ticks,
            }
        )
        self.duration_ticks = round(duration_us / self.spec.tick_us)
        self.delay_ticks = self.spec.routing_delay_ticks
        begin = np.cumsum([0, *(p.size for p in network.populations)])
        self._part = {p.name: slice(*begin[k : k + 2].tolist()) for k, p in enumerate(network.populations)}
        self._table = np.concatenate([_parameters(p) for p in network.populations])
        self.ticks, self._given = ticks, spec

    strength: Strength | None

    @property
    def coarse(self) -> ExactRunner:
        """The same on the clock of the chip."""
        duration_us = self.duration_ticks * self.spec.tick_us
        return ExactRunner(
            self.network, self.readout, duration_us=duration_us, observe=self.observe, spec=self._given, ticks=1
        )

    def run(
        self, batch: Batch, weights: Sequence[Array], *, trial: int = 0, observe: Observe | None = None
    ) -> Recording:
        """Run the samples of a batch; see `hxloop.rule.Runner.run`. There is no noise: trials are alike.

        Raises
        ------
        InvalidInputError
            The correlation sensors are asked for: there are none.
        """
        del trial
        return self.record(batch.inputs, weights, observe=observe)

    def record(self, inputs: Inputs, weights: Sequence[Array], *, observe: Observe | None = None) -> Recording:
        """Run samples with given model weights, which are neither rounded nor clipped."""
        wanted = self.observe if observe is None else Observe("none") | observe
        if wanted.correlation:
            raise InvalidInputError(
                "the exact reference has no correlation sensors", field="observe.correlation", hint="use a chip"
            )
        wired = [
            np.where(self.network.connected(p), w, 0.0) for p, w in zip(self.network.projections, weights, strict=True)
        ]
        period = self._period(wanted)
        reads = np.arange(0, self.duration_ticks, period) if wanted.membranes else np.empty(0, np.int64)
        return self._recording(inputs, wired, wanted, self._solve(inputs, self.synapses(wired), reads), reads)

    def synapses(self, weights: Sequence[Array]) -> Synapses:
        """All synapses of weight matrices, those of a source one behind the other."""
        n_inputs, network = self.network.n_inputs, self.network
        columns: list[tuple[Whole, Whole, Array, Whole]] = []
        for projection, matrix in zip(network.projections, weights, strict=True):
            row, column = np.nonzero(network.connected(projection))
            source = network.sources(projection)[0] + row // projection.copies
            delay = 0
            if projection.source != INPUT:
                source += n_inputs + self._part[projection.source].start
                delay = self.delay_ticks
            onto = network.population(projection.target)
            scale = 1.0 if onto.relay else _drive(onto, projection.scale_weights)
            columns.append(
                (
                    source,
                    column + self._part[projection.target].start,
                    scale * matrix[row, column],
                    np.full(len(row), delay, np.int64),
                )
            )
        source, target, drive, delays = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        order = np.argsort(source, kind="stable")
        counts = np.bincount(source, minlength=n_inputs + len(self._table))
        pointers = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Synapses(pointers, target[order], drive[order], delays[order])

    def _period(self, observe: Observe) -> int:
        """Ticks between two readings: whole ticks of the chip, as it reads."""
        asked = round(observe.membrane_period_us / (self.spec.tick_us * self.ticks)) * self.ticks
        return max(asked, self.spec.cadc_period_ticks)

    def _solve(self, inputs: Inputs, synapses: Synapses, reads: Whole) -> _Solved:
        offsets, capacity = inputs.spikes.offsets, _FIRST_CAPACITY
        n_inputs, n_neurons = self.network.n_inputs, len(self._table)
        own = synapses.delay[synapses.pointers[n_inputs] :]
        shortest = max(1, int(own.min())) if own.size else self.duration_ticks
        timing = np.array([self.duration_ticks, shortest, n_inputs, self.spec.tick_us])
        membranes = np.zeros((inputs.n_samples, len(reads), n_neurons))
        samples, neurons, ticks = [], [], []
        for k in range(inputs.n_samples):
            part = slice(int(offsets[k]), int(offsets[k + 1]))
            source = inputs.spikes.source[part].astype(np.int64)
            while True:
                found, stamps = np.empty((2, capacity)), np.empty(capacity, np.int64)
                n = kernels.run_sample(
                    inputs.spikes.tick[part], source, *synapses, self._table, timing, reads, found, stamps, membranes[k]
                )
                if n != kernels.FULL:
                    break
                capacity *= 4
            inside = stamps[:n] < self.duration_ticks
            samples.append(np.full(int(inside.sum()), k, np.int64))
            neurons.append(found[0, :n][inside].astype(np.int64))
            ticks.append(stamps[:n][inside])
        return _Solved(_joined(samples), _joined(neurons), _joined(ticks), membranes)

    def _recording(
        self, inputs: Inputs, weights: list[Array], observe: Observe, solved: _Solved, reads: Whole
    ) -> Recording:
        network, n_samples = self.network, inputs.n_samples
        spikes = {p.name: self._spikes(solved, p.name) for p in network.populations if p.spiking}
        names = [n for n in spikes if observe.populations is None or n in observe.populations]
        found = Recording(
            network,
            inputs,
            [w * p.scale_weights for w, p in zip(weights, network.projections, strict=True)],
            weights,
            self.spec.tick_us,
            self.delay_ticks,
            self.duration_ticks,
        )
        if observe.spikes != "none":
            first = {name: _first(spikes[name], n_samples, network.population(name).size) for name in names}
            found = replace(found, first_ticks=first)
        if observe.spikes == "all":
            found = replace(found, spikes={name: spikes[name] for name in names})
        if observe.membranes:
            traces = {name: solved.membranes[:, :, self._part[name]] for name in observe.membranes}
            # Membranes stay float64: what single precision leaves of a difference is no derivative.
            found = replace(found, membranes=traces, membrane_times_us=reads * self.spec.tick_us)  # type: ignore[arg-type]
        if observe.counters:
            sizes = {name: network.population(name).size for name in spikes}
            counts = {name: np.minimum(s.counts(n_samples, sizes[name]), _COUNTER_MAX) for name, s in spikes.items()}
            found = replace(found, counts=counts)
        return found

    def _spikes(self, solved: _Solved, name: str) -> Spikes:
        part = self._part[name]
        mine = (solved.neuron >= part.start) & (solved.neuron < part.stop)
        sample, neuron, tick = solved.sample[mine], solved.neuron[mine] - part.start, solved.tick[mine]
        order = np.lexsort((neuron, tick, sample))
        return Spikes(sample[order], neuron[order].astype(np.int32), tick[order])


def warm_up() -> None:
    """Compile the kernel, or load it: one sample of one neuron."""
    network = Network(1, (Population("one", 1),), (Projection(INPUT, "one"), Projection("one", "one")))
    inputs = Inputs(SpikeBatch(np.array([0, 1]), np.zeros(1, np.int64), np.zeros(1, np.int32)))
    runner = ExactRunner(network, ShiftInvariantMSE(), duration_us=10.0)
    runner.record(inputs, [np.ones((1, 1))] * 2, observe=Observe("all", membranes=("one",)))


def _parameters(population: Population) -> Array:
    """float64 [size, N_PARAMETERS] of equal neurons, potentials in model units above leak."""
    p = population
    if p.relay:
        return np.tile([p.tau_mem_us, p.tau_syn_us, 0.0, -np.inf, 0.0], (p.size, 1))
    if p.model is not None:
        raise InvalidInputError(
            f"{p.name!r} has terms beyond leaky integrate-and-fire, which the exact reference does not solve",
            field=f"network.{p.name}.model",
            hint="check the rule with plain neurons",
        )
    per_mv = _per_mv(p)
    reset = (p.v_reset_mv - p.v_leak_mv) * per_mv
    if p.spiking and reset >= p.model_threshold:
        raise InvalidInputError(
            f"{p.v_reset_mv:g} mV is not below the threshold of {p.name!r}", field=f"network.{p.name}.v_reset_mv"
        )
    threshold = p.model_threshold if p.spiking else np.inf
    return np.tile([p.tau_mem_us, p.tau_syn_us, reset, threshold, p.t_refractory_us], (p.size, 1))


def _per_mv(population: Population) -> float:
    """Model units of a millivolt."""
    return population.model_threshold / (population.v_threshold_mv - population.v_leak_mv)


def _drive(population: Population, scale_weights: float) -> float:
    """Jump of the current in model units per us, of a model weight of 1."""
    return population.synapse_gain_mv_per_us * scale_weights * _per_mv(population)


def _joined(parts: list[Whole]) -> Whole:
    return np.concatenate([*parts, np.empty(0, np.int64)])


def _first(spikes: Spikes, n_samples: int, size: int) -> Array:
    """float64 [n_samples, size]: ticks of first spikes, inf where none."""
    found = np.full((n_samples, size), np.inf)
    np.minimum.at(found, (spikes.sample, spikes.neuron), spikes.tick.astype(np.float64))
    return found
