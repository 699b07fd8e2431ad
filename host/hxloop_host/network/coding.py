"""Values into spikes: every feature is one spike, the later the larger.

Every time that is drawn or computed passes through `TimeCoding.on_grid`, which keeps it within its sample: what would
come before its beginning or after its end is mirrored there. Noise is so as strong at the ends as elsewhere; cut off,
it would pile up many spikes on one tick, which a chip's buses then lose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from hxloop.errors import ArrayError, OutOfRangeError
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray


@final
@dataclass(frozen=True)
class TimeCoding:
    """Linear time coding with an optional bias spike.

    Parameters
    ----------
    t_early, t_late : float, tau_syn
        Times of the feature values 0 and 1.
    bias_time : float or None, tau_syn
        Time of one more input that spikes in every sample; None for no such input.

    References
    ----------
    Goeltz et al., Nature Machine Intelligence 3, 823-835 (2021): window and bias of the Yin-Yang experiments.
    """

    t_early: float = 0.15
    t_late: float = 2.0
    bias_time: float | None = 0.9

    def __post_init__(self) -> None:
        for name in ("t_early", "t_late", "bias_time"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise OutOfRangeError(f"must be finite and not negative, got {value}", field=name)
        if self.t_late < self.t_early:
            raise OutOfRangeError(f"must not be before t_early = {self.t_early}, got {self.t_late}", field="t_late")

    def n_inputs(self, n_features: int) -> int:
        """Number of input channels for so many features."""
        return n_features + (self.bias_time is not None)

    def times(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Spike times of features.

        Parameters
        ----------
        features : float64 [n_samples, n_features]
            Values 0..1; NaN for no spike.

        Returns
        -------
        float64 [n_samples, n_inputs], tau_syn
            Times, ``inf`` where no spike; the bias is the last column.

        Raises
        ------
        ArrayError
            Not two-dimensional.
        OutOfRangeError
            A value outside 0..1.
        """
        values = np.asarray(features, np.float64)
        if values.ndim != 2:
            raise ArrayError(f"must have shape [n_samples, n_features], got {values.shape}", field="features")
        outside = (values < 0.0) | (values > 1.0)  # false for NaN
        if outside.any():
            sample, feature = np.argwhere(outside)[0].tolist()
            raise OutOfRangeError(f"{values[sample, feature]:g} is outside 0..1", field=f"features[{sample},{feature}]")
        times = self.t_early + values * (self.t_late - self.t_early)
        times[np.isnan(times)] = np.inf
        if self.bias_time is None:
            return times
        return np.hstack([times, np.full((len(times), 1), self.bias_time)])

    @staticmethod
    def on_grid(
        times: NDArray[np.float64], tau_syn_us: float, tick_us: float, duration_ticks: int
    ) -> NDArray[np.float64]:
        """Times as the chip gets them: rounded to its clock, and within the sample.

        Parameters
        ----------
        times : float64 [n_samples, n_inputs], tau_syn
            Times, not finite where no spike; outside of the sample they are mirrored at its beginning or end.
        tau_syn_us, tick_us : float, us
            Synaptic time constant and clock tick.
        duration_ticks : int
            Length of the sample.

        Returns
        -------
        float64 [n_samples, n_inputs], tau_syn
            The times the backward pass must use.
        """
        ticks = _mirrored(_ticks(times, tau_syn_us, tick_us), duration_ticks - 1)
        return ticks * (tick_us / tau_syn_us)

    @staticmethod
    def spikes(times: NDArray[np.float64], tau_syn_us: float, tick_us: float) -> SpikeBatch:
        """Spikes to send to the chip.

        Parameters
        ----------
        times : float64 [n_samples, n_inputs], tau_syn
            Times, not finite where no spike.
        tau_syn_us, tick_us : float, us
            Synaptic time constant and clock tick.

        Returns
        -------
        SpikeBatch
            Its sources are the columns of `times`.

        Raises
        ------
        OutOfRangeError
            A negative time.
        """
        ticks = _ticks(times, tau_syn_us, tick_us)
        if ticks.min(initial=0.0) < 0:
            raise OutOfRangeError(f"must not be negative, got {np.nanmin(times)} tau_syn", field="times")
        n_inputs = max(1, ticks.shape[1])
        # Time and source as one number, exact in float64 (times of hours), sort a sample's spikes in one go.
        keys = ticks * n_inputs + np.arange(ticks.shape[1])
        keys.sort(axis=1)
        spiked = np.isfinite(keys)
        tick, source = np.divmod(keys[spiked].astype(np.int64), n_inputs)
        offsets = np.concatenate([[0], np.cumsum(spiked.sum(axis=1))]).astype(np.int64)
        return SpikeBatch(offsets, tick, source.astype(np.int32))


def _ticks(times: NDArray[np.float64], tau_syn_us: float, tick_us: float) -> NDArray[np.float64]:
    """Nearest whole ticks as floats, ``inf`` where no spike."""
    given = np.where(np.isfinite(times), times, np.inf)
    given *= tau_syn_us / tick_us
    return np.asarray(np.rint(given, out=given))


def _mirrored(ticks: NDArray[np.float64], last: int) -> NDArray[np.float64]:
    """Whole ticks (or inf) within 0..`last`: others are mirrored at tick 0 and behind the last, as often as needed."""
    outside = np.isfinite(ticks) & ((ticks < 0) | (ticks > last))
    if outside.any():
        # Whole numbers: exact, and a tick inside of the sample is not touched.
        there_and_back = 2 * last + 1
        within = np.abs(ticks[outside]) % there_and_back
        ticks[outside] = np.minimum(within, there_and_back - within)
    return ticks
