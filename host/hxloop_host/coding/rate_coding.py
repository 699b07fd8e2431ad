"""Rates: every feature is a train of spikes, the more the larger its value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, final

import numpy as np
from pydantic import Field

from hxloop.kit.ranges import CountOrZero, Positive
from hxloop.seeds import generator
from hxloop_host.coding.coding_interface import Coding, CodingSettings, InputSource
from hxloop_host.coding.many_spikes import EventClock
from hxloop_host.coding.timed_features import refuse_outside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Inputs
    from hxloop.task import Dataset


@final
class RateSettings(CodingSettings):
    """Values 0..1 to rates."""

    kind: Literal["rate"] = Field("rate", description="how samples become input spikes: the more the larger a value")
    rate_khz: Annotated[Positive, Field(le=1e4)] = Field(200.0, description="rate of the value 1, in hardware time")
    inverted: bool = Field(
        False, description="1 - x in place of x, for features of which small ones matter, like ink; NaN stays silent"
    )
    process: Literal["poisson", "regular"] = Field(
        "poisson", description="poisson: random times, new ones in every batch of a training. regular: even times"
    )
    seed: CountOrZero = Field(0, description="poisson: of the times of samples that are not trained on")


@final
class Rate(Coding):
    """Trains of the rate ``x rate_khz``: Poisson processes, or spikes at ``(k + 1/2) / (x rate_khz)``, k = 0, 1, ..."""

    Settings = RateSettings
    summary = "a train of spikes a feature, its rate proportional to the value; Poisson or regular"

    settings: RateSettings

    def _source(self, dataset: Dataset, network: Network, tick_us: float, duration_ticks: int) -> InputSource:
        refuse_outside(dataset.features)
        clock = EventClock.of(network, self.tau_syn_us, tick_us, duration_ticks, self.settings.jitter)
        features = 1.0 - dataset.features if self.settings.inverted else dataset.features
        return RateSource(self.settings, features, clock)


@final
class RateSource(InputSource):
    """Samples of features as trains."""

    def __init__(self, settings: RateSettings, features: NDArray[np.float64], clock: EventClock) -> None:
        self.n_samples = len(features)
        self._settings, self._features, self._clock = settings, features, clock
        self._most = settings.rate_khz * 1e-3 * clock.tick_us * clock.duration_ticks
        """Expected spikes of the value 1."""

    def take(self, samples: NDArray[np.int64] | slice, random: np.random.Generator | None = None) -> Inputs:
        """See `InputSource.take`."""
        numbers = np.arange(self.n_samples)[samples]
        expected = self._most * np.nan_to_num(self._features[samples])
        if self._settings.process == "regular":
            counts, when = _regular(expected)
        elif random is None:
            counts, when = self._fixed(numbers, expected)
        else:
            counts, when = _poisson(expected, random)
        sample, channel = np.divmod(np.repeat(np.arange(counts.size), counts), max(1, expected.shape[1]))
        clock = self._clock
        # Whole ticks 0 .. duration - 1, each as likely as another.
        times = np.floor(when * clock.duration_ticks) * (clock.tick_us / clock.tau_syn_us)
        return clock.inputs(sample, channel.astype(np.int32), times, len(numbers), random, single=False)

    def _fixed(
        self, numbers: NDArray[np.int64], expected: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Trains that belong to a sample, in whatever company it is taken."""
        parts = [
            _poisson(row, generator(self._settings.seed, "rate", int(number)))
            for number, row in zip(numbers, expected, strict=True)
        ]
        none = np.empty(0)
        return (
            np.concatenate([none.astype(np.int64), *(counts for counts, _ in parts)]),
            np.concatenate([none, *(when for _, when in parts)]),
        )


def _poisson(
    expected: NDArray[np.float64], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers of spikes, and their times as parts of the sample."""
    counts = random.poisson(expected).ravel()
    return counts, random.random(int(counts.sum()))


def _regular(expected: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """As `_poisson`, at even distances."""
    mean = expected.ravel()
    counts = np.ceil(np.maximum(mean - 0.5, 0.0)).astype(np.int64)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    return counts, (np.arange(len(first)) - first + 0.5) / np.repeat(mean, counts)
