"""What a rule gets to see: a batch of samples, what is to be observed of its runs, and what was recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.kit import arguments
from hxloop.kit.brief import brief
from hxloop.network import INPUT
from hxloop.seeds import derive_seed, generator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hxloop.network import Network, Projection
    from hxloop.spikes import SpikeBatch

Weights = list["NDArray[np.float64]"]
Codes = list["NDArray[np.int8] | NDArray[np.float64]"]
State = dict[str, "NDArray[np.generic]"]

CADC_PERIOD_US = 1.7
"""Shortest time between two readings of a membrane (Cramer, Billaudelle et al., PNAS 119:e2109194119, 2022)."""
_KINDS_OF_SPIKES: Final = ("none", "first", "all")  # from the least to the most


@dataclass(frozen=True)
class Observe:
    """What must come back from every run of the chip.

    Attributes
    ----------
    spikes : {"first", "all", "none"}
        First spike of each neuron and sample, all of them, or none.
    populations : tuple of str, optional
        Populations whose spikes are recorded, by default all; those of others never take the link to the host.
    membranes : tuple of str
        Populations whose membranes the CADC samples.
    membrane_period_us : float
        Time between two readings; a chip may be slower, never faster than its datasheet says.
    counters : bool
        Read the spike counters of all neurons.
    correlation : bool
        Read the correlation sensors of all synapses.

    Raises
    ------
    InvalidInputError
        An attribute of another kind, or spikes that are none of these.
    OutOfRangeError
        A period that is not positive.
    """

    spikes: Literal["first", "all", "none"] = "first"
    populations: tuple[str, ...] | None = None
    membranes: tuple[str, ...] = ()
    membrane_period_us: float = CADC_PERIOD_US
    counters: bool = False
    correlation: bool = False

    def __post_init__(self) -> None:
        arguments.one_of(self.spikes, "observe.spikes", _KINDS_OF_SPIKES)
        period_us = arguments.real_number(self.membrane_period_us, "observe.membrane_period_us")
        if not 0.0 < period_us < math.inf:
            raise OutOfRangeError(f"must be positive and finite, got {period_us:g}", field="observe.membrane_period_us")
        plain = {
            "populations": arguments.optional(arguments.texts, self.populations, "observe.populations"),
            "membranes": arguments.texts(self.membranes, "observe.membranes"),
            "membrane_period_us": period_us,
            "counters": arguments.switch(self.counters, "observe.counters"),
            "correlation": arguments.switch(self.correlation, "observe.correlation"),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def __or__(self, other: Observe) -> Observe:
        """What both ask for."""
        spikes = max(self.spikes, other.spikes, key=_KINDS_OF_SPIKES.index)
        recording = [part.populations for part in (self, other) if part.spikes != "none"]
        named: tuple[str, ...] | None = None
        if recording and None not in recording:
            named = tuple(dict.fromkeys(name for names in recording if names for name in names))
        periods = [part.membrane_period_us for part in (self, other) if part.membranes]
        return Observe(
            spikes,
            named,
            tuple(dict.fromkeys((*self.membranes, *other.membranes))),
            min(periods, default=CADC_PERIOD_US),
            self.counters or other.counters,
            self.correlation or other.correlation,
        )


@brief
@dataclass(frozen=True, eq=False)
class Inputs:
    """Input spikes of some samples, on the clock of the chip.

    Attributes
    ----------
    spikes : SpikeBatch
        Events; the source is the input channel, biases last.
    ticks : float64 [n_samples, n_channels], optional
        Where no channel spikes more than once in a sample: ticks of the spikes, inf where none.
    """

    spikes: SpikeBatch
    ticks: NDArray[np.float64] | None = None

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.spikes.n_samples

    def part(self, first: int, last: int) -> Inputs:
        """Samples ``first <= k < last``."""
        return Inputs(self.spikes.part(first, last), None if self.ticks is None else self.ticks[first:last])


@brief
@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of one step.

    Attributes
    ----------
    inputs : Inputs
    label : int64 [n_samples]
        Right classes.
    epoch, number : int
        Epoch and batch, counted from 0.
    seed : int
        Root of the training's random numbers.
    """

    inputs: Inputs
    label: NDArray[np.int64]
    epoch: int
    number: int
    seed: int

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.label)

    def generator(self, name: str) -> np.random.Generator:
        """Random numbers of this batch that have this name: the same whenever it is asked for, also after a resume."""
        return generator(self.seed, name, self.epoch, self.number)

    def trial_seed(self, trial: int = 0) -> int:
        """Name of the chip's temporal noise in the run of that number within the step."""
        address: tuple[int, ...] = (self.epoch, self.number, *((trial,) if trial else ()))
        return derive_seed(self.seed, "train", *address)


@brief
@dataclass(frozen=True, eq=False)
class Spikes:
    """All spikes of a population, sorted by sample and time.

    Attributes
    ----------
    sample : int64 [n]
    neuron : int32 [n]
    tick : int64 [n]
    """

    sample: NDArray[np.int64]
    neuron: NDArray[np.int32]
    tick: NDArray[np.int64]

    def counts(self, n_samples: int, size: int) -> NDArray[np.int64]:
        """int64 [n_samples, size]: spikes of each neuron of a population of this size in each sample."""
        place = self.sample * size + self.neuron
        return np.bincount(place, minlength=n_samples * size).reshape(n_samples, size)


@brief
@dataclass(frozen=True, eq=False)
class Recording:
    """What the chip did in one run, and what it ran with. What was not observed is empty.

    Attributes
    ----------
    network : Network
    inputs : Inputs
        As the chip got them.
    codes : list of int8 (float64 on chips with continuous weights) [n_sources * copies, n_target]
        Weight codes of each projection.
    weights : list of float64 [n_sources * copies, n_target]
        Model weights that these codes stand for: what gradients must be taken at.
    tick_us : float
        Clock tick in us.
    delay_ticks : int
        Time from a neuron's spike to its arrival at the synapses it drives.
    duration_ticks : int
        Length of a sample.
    first_ticks : dict of str to float64 [n_samples, size]
        Per population, ticks of the first spikes, inf where none.
    spikes : dict of str to Spikes
        Per population.
    membranes : dict of str to float32 [n_samples, n_reads, size]
        Per population, readings in model units: 0 at what a neuron reads first, on average over the samples of the run
        (channels differ in their offsets), `Population.model_threshold` as far above it as the datasheet of the CADC
        says.
    membrane_times_us : float64 [n_reads]
        Times of the readings.
    counts : dict of str to int64 [n_samples, size]
        Per population, spike counters; they stop at 255.
    correlation : list of float64 [2, n_sources * copies, n_target]
        Per projection, what causal and acausal sensors added up over the samples of the run, in LSB: how far readings
        fell from the nominal baseline (the sum of a signed synapse's two rows); 0 where nothing is connected.
    """

    network: Network
    inputs: Inputs
    codes: Codes
    weights: Weights
    tick_us: float
    delay_ticks: int
    duration_ticks: int
    first_ticks: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    spikes: Mapping[str, Spikes] = field(default_factory=dict)
    membranes: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    membrane_times_us: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    counts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    correlation: Sequence[NDArray[np.float64]] = ()

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.inputs.n_samples

    def first_times_us(self, population: str) -> NDArray[np.float64]:
        """float64 [n_samples, size]: times of the first spikes in us, inf where none."""
        return self.first_ticks[population] * self.tick_us

    def arrival_ticks(self, projection: Projection) -> NDArray[np.float64]:
        """When the first spike of each source reaches the synapses of a projection.

        Returns
        -------
        float64 [n_samples, n_sources * copies]
            Ticks, inf where none does.

        Raises
        ------
        InvalidInputError
            Inputs that may spike several times in a sample.
        ArrayError
            First spikes of the source were not recorded.
        """
        first, last = self.network.sources(projection)
        if projection.source == INPUT:
            if self.inputs.ticks is None:
                raise InvalidInputError(
                    "the rule needs inputs that spike at most once in a sample",
                    field="coding.kind",
                    hint="use time_to_first_spike or latency, or another rule",
                )
            ticks = self.inputs.ticks[:, first:last]
        elif projection.source in self.first_ticks:
            ticks = self.first_ticks[projection.source][:, first:last] + self.delay_ticks
        else:
            raise ArrayError(f"no first spikes of {projection.source!r} were recorded", field="recording")
        return ticks if projection.copies == 1 else np.repeat(ticks, projection.copies, axis=1)

    def silent_fraction(self) -> dict[str, float]:
        """Per population whose first spikes were recorded, the share of (sample, neuron) pairs without a spike."""
        return {name: float(np.mean(~np.isfinite(ticks))) for name, ticks in self.first_ticks.items()}
