"""Random numbers for mechanisms, addressed by chip or trial, mechanism and place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hxloop.kit.exponential import exp_of
from hxloop.seeds import derive_seed, generator
from hxloop_chip.silicon.mechanisms.in_circuits.correlated_mismatch import die_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch
    from hxloop_chip.silicon.mechanisms.in_circuits.correlated_mismatch import Places

    Floats = NDArray[np.float64]

_STREAM_CHOSEN: Final = 0


class SiliconDraws(NamedTuple):
    """What a serial number decides. Each mechanism has a stream of its own, in units of its strength.

    Attributes
    ----------
    spec : ChipSpec
    serial : int
    correlated : float
        Share of the variance that neighbours have in common, 0..1.
    """

    spec: ChipSpec
    serial: int
    correlated: float = 0.0

    def stream(self, mechanism: str) -> np.random.Generator:
        """Random numbers of one mechanism, from their beginning."""
        return generator(self.serial, "mismatch", mechanism)

    def offset(self, mechanism: str, spread: float, *shape: int, places: Places = "circuits") -> Floats:
        """Normal with mean 0.

        Parameters
        ----------
        mechanism : str
        spread : float
        *shape : int
        places : str
            What the last axes are: it tells neighbours. If the last axis is not that of all circuits, there are none
            unless `places` says otherwise.
        """
        if spread == 0.0:
            return np.zeros(shape)
        deviation = self.stream(mechanism).standard_normal(shape)
        if self.correlated and (places != "circuits" or shape[-1] == self.spec.n_circuits):
            field = die_field(generator(self.serial, "die", mechanism), places, shape, self.spec)
            deviation = np.sqrt(1.0 - self.correlated) * deviation + np.sqrt(self.correlated) * field
        return spread * deviation

    def factor(self, mechanism: str, spread: float, *shape: int, places: Places = "circuits") -> Floats:
        """Log-normal with median 1; arguments as for `offset`."""
        return np.asarray(exp_of(self.offset(mechanism, spread, *shape, places=places)), np.float64)


class TrialDraws(NamedTuple):
    """What a trial on a chip decides, sample by sample.

    Attributes
    ----------
    key : uint64
        Of chip and trial.
    first_sample : int
        Number, within the trial, of sample 0 at hand.
    """

    key: np.uint64
    first_sample: int

    def stream(self, mechanism: str, sample: int) -> np.random.Generator:
        """Random numbers of a mechanism for one of the samples at hand, from their beginning."""
        return generator(int(self.key), "mechanism", mechanism, self.first_sample + sample)

    def chosen(self, mechanism: str, events: SpikeBatch, probability: float) -> NDArray[np.bool_]:
        """Events, each chosen with the same probability by itself; addressed by sample, tick and source."""
        from hxloop_chip.silicon.mechanisms.on_links.lossy_links import received

        key = np.uint64(derive_seed(int(self.key), "mechanism", mechanism))
        return ~received(
            events.offsets, events.tick, events.source, probability, _STREAM_CHOSEN, key, self.first_sample
        )

    def add_normals(self, readings: Floats, sigma: float, channel: NDArray[np.int64], stream: int) -> None:
        """Add noise to readings [n_samples, n_reads, n_channels]; it is addressed by sample, read and channel."""
        from hxloop_chip.solver.edges.readout_kernel import add_read_noise

        add_read_noise(readings, sigma, channel.astype(np.uint64), self.key, stream, self.first_sample)
