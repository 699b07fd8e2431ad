"""Features as one spike each: what all codings by time have in common."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.errors import OutOfRangeError
from hxloop.rule import Inputs
from hxloop_host.coding.clock_grid import sorted_keys, spikes_of_keys, to_ticks
from hxloop_host.coding.coding_interface import Coding, InputSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.task import Dataset


_MOST_KEPT: Final = 2**20
"""Spikes of a data set (samples x channels) that are kept once they are made: 16 MiB."""


class TimedFeatures(Coding):
    """Coding in which every feature is one spike, or none; bias channels spike at their times."""

    @abstractmethod
    def times(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Spike times of features.

        Parameters
        ----------
        features : float64 [n_samples, n_features]
            Values 0..1; NaN for no spike.

        Returns
        -------
        float64 [n_samples, n_features], tau_syn
            ``inf`` where no spike.
        """

    def _source(self, dataset: Dataset, network: Network, tick_us: float, duration_ticks: int) -> InputSource:
        refuse_outside(dataset.features)
        return TimedFeatureSource(self, dataset.features, network, tick_us, duration_ticks)


def refuse_outside(features: NDArray[np.float64]) -> None:
    """Refuse features outside 0..1; NaN is none.

    Raises
    ------
    OutOfRangeError
        The first of them is named.
    """
    outside = (features < 0.0) | (features > 1.0)  # false for NaN
    if outside.any():
        sample, feature = np.argwhere(outside)[0].tolist()
        raise OutOfRangeError(f"{features[sample, feature]:g} is outside 0..1", field=f"features[{sample},{feature}]")


@final
class TimedFeatureSource(InputSource):
    """Samples of features, one spike a feature and bias."""

    def __init__(
        self,
        coding: TimedFeatures,
        features: NDArray[np.float64],
        network: Network,
        tick_us: float,
        duration_ticks: int,
    ) -> None:
        self.n_samples = len(features)
        self._coding, self._features = coding, features
        self._bias_times = np.array(network.bias_times_us, np.float64) / coding.tau_syn_us
        self._tick_us, self._duration_ticks = tick_us, duration_ticks
        self.takes_random = coding.settings.jitter > 0.0

    def take(self, samples: NDArray[np.int64] | slice, random: np.random.Generator | None = None) -> Inputs:
        """See `InputSource.take`; with jitter, the noise is normal on all times, those of the biases included."""
        if self._known is not None:
            ticks, keys = self._known
            return Inputs(spikes_of_keys(keys[samples]), ticks[samples])
        ticks = self._ticks(samples, random if self.takes_random else None)
        return Inputs(spikes_of_keys(sorted_keys(ticks)), ticks)

    def _ticks(self, samples: NDArray[np.int64] | slice, random: np.random.Generator | None) -> NDArray[np.float64]:
        coding = self._coding
        coded = coding.times(self._features[samples])
        times = np.empty((len(coded), coded.shape[1] + self._bias_times.size))
        times[:, : coded.shape[1]], times[:, coded.shape[1] :] = coded, self._bias_times
        if random is not None:
            times += random.normal(0.0, coding.settings.jitter, times.shape)
        return to_ticks(times, coding.tau_syn_us, self._tick_us, self._duration_ticks)

    @cached_property
    def _known(self) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
        """Ticks and sorted keys of all samples, where they are always the same and not too many to be kept."""
        n_channels = self._features.shape[1] + self._bias_times.size
        if self.takes_random or self.n_samples * n_channels > _MOST_KEPT:
            return None
        ticks = self._ticks(slice(None), None)
        keys = sorted_keys(ticks)  # before: another type of array would be another kernel
        ticks.flags.writeable = False  # parts of it are given away
        return ticks, keys
