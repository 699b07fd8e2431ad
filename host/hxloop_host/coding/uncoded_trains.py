"""Data that are spike trains already: they are sent to the chip as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, final

from pydantic import Field

from hxloop.errors import OutOfRangeError
from hxloop_host.coding.coding_interface import Coding, CodingSettings, InputSource
from hxloop_host.coding.many_spikes import EventClock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Inputs
    from hxloop.task import Dataset, SpikeTrains


@final
class SpikeTrainSettings(CodingSettings):
    """Samples that are spike trains, in hardware time."""

    kind: Literal["none"] = Field("none", description="how samples become input spikes: they are spike trains already")
    first_only: bool = Field(
        False, description="only the first spike of each channel and sample, for rules that know one time a channel"
    )


@final
class NoCoding(Coding):
    """Spike trains as they are: a channel is an input of the network, a time is a time on the chip."""

    Settings = SpikeTrainSettings
    takes = "spikes"
    summary = "spike trains as they are, in hardware time"

    settings: SpikeTrainSettings

    def _source(self, dataset: Dataset, network: Network, tick_us: float, duration_ticks: int) -> InputSource:
        assert dataset.trains is not None
        trains, sample_us = dataset.trains, duration_ticks * tick_us
        if trains.duration_us > sample_us * (1 + 1e-9) and trains.latest_us >= sample_us:
            raise OutOfRangeError(
                f"there are spikes up to {trains.latest_us:g} us, but a sample on the chip takes {sample_us:g} us",
                field="coding.duration",
                hint=f"{trains.duration_us / self.tau_syn_us:g} tau_syn are {trains.duration_us:g} us",
            )
        clock = EventClock.of(network, self.tau_syn_us, tick_us, duration_ticks, self.settings.jitter)
        return SpikeTrainSource(trains.first_of_each_channel() if self.settings.first_only else trains, clock)


@final
class SpikeTrainSource(InputSource):
    """Samples of spike trains."""

    def __init__(self, trains: SpikeTrains, clock: EventClock) -> None:
        self.n_samples = trains.n_samples
        self._trains, self._clock, self._single = trains, clock, trains.is_single

    def take(self, samples: NDArray[np.int64] | slice, random: np.random.Generator | None = None) -> Inputs:
        """See `InputSource.take`; with jitter, the noise is normal on all times, those of the biases included."""
        part, clock = self._trains.take(samples), self._clock
        times = part.time_us / clock.tau_syn_us
        return clock.inputs(part.sample, part.channel, times, part.n_samples, random, single=self._single)
