"""Channels that spike any number of times: events and biases of some samples on the clock of a chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.kit.brief import brief
from hxloop.rule import Inputs
from hxloop.spikes import SpikeBatch
from hxloop_host.coding.clock_grid import to_ticks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network


@brief
@dataclass(frozen=True, eq=False)
class EventClock:
    """What turns events into inputs.

    Attributes
    ----------
    n_features : int
        Channels before those of the biases.
    bias_times : float64 [n_biases], tau_syn
    tau_syn_us, tick_us : float, us
    duration_ticks : int
    jitter : float, tau_syn
        Std of the noise on all times, where there is a generator for it.
    """

    n_features: int
    bias_times: NDArray[np.float64]
    tau_syn_us: float
    tick_us: float
    duration_ticks: int
    jitter: float

    @classmethod
    def of(cls, network: Network, tau_syn_us: float, tick_us: float, duration_ticks: int, jitter: float) -> EventClock:
        """For a network with its biases."""
        biases = np.array(network.bias_times_us, np.float64) / tau_syn_us
        return cls(network.n_features, biases, tau_syn_us, tick_us, duration_ticks, jitter)

    def inputs(
        self,
        sample: NDArray[np.int64],
        channel: NDArray[np.int32],
        times: NDArray[np.float64],
        n_samples: int,
        random: np.random.Generator | None,
        *,
        single: bool,
    ) -> Inputs:
        """Inputs from events in any order.

        Parameters
        ----------
        sample : int64 [n]
        channel : int32 [n]
        times : float64 [n], tau_syn
        n_samples : int
        random : numpy.random.Generator or None
            Of the noise; None: there is none.
        single : bool
            No channel spikes twice in a sample.
        """
        n_biases = self.bias_times.size
        if n_biases:
            sample = np.concatenate([sample, np.repeat(np.arange(n_samples), n_biases)])
            biases = np.arange(self.n_features, self.n_features + n_biases, dtype=np.int32)
            channel = np.concatenate([channel, np.tile(biases, n_samples)])
            times = np.concatenate([times, np.tile(self.bias_times, n_samples)])
        if random is not None and self.jitter:
            times = times + random.normal(0.0, self.jitter, times.shape)
        ticks = to_ticks(times, self.tau_syn_us, self.tick_us, self.duration_ticks)
        spikes = SpikeBatch.from_arrays(sample, ticks, channel, n_samples)
        if not single:
            return Inputs(spikes)
        dense = np.full((n_samples, self.n_features + n_biases), np.inf)
        dense[sample, channel] = ticks
        return Inputs(spikes, dense)
