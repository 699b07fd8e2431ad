"""Wiring and input events of the measurements: every circuit listens to the same rows of its hemisphere.

An even row is excitatory, the odd one beside it inhibitory; the rows of a driver listen to different labels, so that
one input channel drives all excitatory rows of a group and another all inhibitory ones. The drivers of a group are
spread over all buses, because the amplitude of an event is common to all drivers of a bus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.program import Routes, Synapses
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.spec import ChipSpec

    Ints = NDArray[np.int64]

EXC, INH = 0, 1
"""Signs, as rows of all arrays [2, n]: excitatory and inhibitory."""

N_GROUPS: Final = 2
"""Groups of rows that can be driven by themselves; their difference shows what single synapses contribute."""


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Synapses of all circuits on the rows of the measurements.

    Attributes
    ----------
    spec : ChipSpec
    rows : int
        Rows of each sign in a group.
    """

    spec: ChipSpec
    rows: int = 32

    @property
    def most(self) -> int:
        """Largest sum of weight codes of one sign."""
        return N_GROUPS * self.rows * self.spec.weight_code_max

    def channel(self, group: int, sign: int) -> int:
        """Input channel that drives the rows of this group and sign."""
        return 2 * group + sign

    def channels(self, sign: int) -> list[int]:
        """Input channels that drive all rows of this sign."""
        return [self.channel(group, sign) for group in range(N_GROUPS)]

    @property
    def drivers(self) -> Ints:
        """int64 [N_GROUPS, rows]: drivers of each group in a hemisphere, the same share on every bus."""
        spec = self.spec
        per_bus = spec.n_drivers // spec.n_padi_buses
        share = self.rows // spec.n_padi_buses
        first = np.arange(spec.n_padi_buses)[:, None] * per_bus + np.arange(share)
        return np.stack([(first + group * share).ravel() for group in range(N_GROUPS)])

    def row_sign(self) -> NDArray[np.int8]:
        """int8 [n_hemispheres, n_rows]."""
        sign = np.zeros((self.spec.n_hemispheres, self.spec.n_rows), np.int8)
        sign[:, 0::2], sign[:, 1::2] = 1, -1
        return sign

    def routes(self) -> Routes:
        """From the channels to the drivers of all hemispheres."""
        source, driver, label = [], [], []
        for group, own in enumerate(self.drivers):
            everywhere = (np.arange(self.spec.n_hemispheres)[:, None] * self.spec.n_drivers + own).ravel()
            for sign in (EXC, INH):
                source.append(np.full(len(everywhere), self.channel(group, sign)))
                driver.append(everywhere)
                label.append(np.full(len(everywhere), sign))
        return Routes(
            np.concatenate(source).astype(np.int32),
            np.concatenate(driver).astype(np.int16),
            np.concatenate(label).astype(np.uint8),
        )

    def synapses(self, codes: Ints) -> Synapses:
        """Synapses of all circuits.

        Parameters
        ----------
        codes : int64 [N_GROUPS, 2, n_circuits]
            Sum of the weight codes of all rows of a group and sign, at least 0; spread over the rows as evenly as can
            be. Circuits are those of the chip, in order.

        Returns
        -------
        Synapses
            Ordered by group, sign, row of the group and circuit.
        """
        n = codes.shape[2]
        k = np.arange(self.rows)[:, None]
        each, rest = np.divmod(codes, self.rows)
        code = np.minimum(each[:, :, None] + (k < rest[:, :, None]), self.spec.weight_code_max)
        sign = np.array([1, -1])[:, None, None]
        row = (2 * self.drivers[:, None, :] + np.arange(2)[None, :, None])[..., None]
        shape = (N_GROUPS, 2, self.rows, n)
        label = np.arange(2)[None, :, None, None]
        return Synapses(
            np.broadcast_to(np.arange(n), shape).ravel().astype(np.int16),
            np.broadcast_to(row, shape).ravel().astype(np.int16),
            np.broadcast_to(label, shape).ravel().astype(np.uint8),
            (sign * code).ravel().astype(np.int8),
        )

    def uniform(self, exc: float, inh: float) -> Ints:
        """Sums for `synapses`, the same for all circuits; each sum is divided among the groups."""
        codes = np.zeros((N_GROUPS, 2, self.spec.n_circuits), np.int64)
        codes[:, EXC], codes[:, INH] = round(exc / N_GROUPS), round(inh / N_GROUPS)
        return codes


def events(channels: Sequence[int], ticks: NDArray[np.int64], n_samples: int) -> SpikeBatch:
    """One event per channel and sample.

    Parameters
    ----------
    channels : sequence of int
    ticks : int64 [n_samples, len(channels)], or what broadcasts to it
    n_samples : int
    """
    shape = (n_samples, len(channels))
    sample = np.broadcast_to(np.arange(n_samples)[:, None], shape)
    return SpikeBatch.from_arrays(
        sample.ravel(), np.broadcast_to(ticks, shape).ravel(), np.broadcast_to(channels, shape).ravel(), n_samples
    )
