"""Membranes that a run records: read while its samples are solved, and converted a few samples later.

So no more than a few samples are ever held as potentials, and threads that solve also convert.
"""

from __future__ import annotations

from threading import local
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop_chip.chip.converters import cadc_channels, cadc_codes, madc_codes
from hxloop_chip.solver import layout as at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hxloop.program import ChipConfig
    from hxloop.result import Readout
    from hxloop_chip.chip.converters import CadcChannels
    from hxloop_chip.chip.observing import Silicon
    from hxloop_chip.wiring.neurons import Neurons

_BLOCK: Final = 2**17
"""Readings between two conversions: their potentials, 1 MB, stay near a core; with fewer, calls cost more."""


class MembraneReads:
    """Readings of a run.

    Parameters
    ----------
    readout : Readout
        Checked.
    config : ChipConfig
    neurons : Neurons
    silicon : Silicon
    trial : Trial
    n_samples : int

    Attributes
    ----------
    cadc : uint8 [n_samples, n_reads, n_circuits]
    madc : int16 [n_samples, n_readings]
        Valid when all pieces were converted.
    """

    def __init__(
        self,
        readout: Readout,
        config: ChipConfig,
        neurons: Neurons,
        silicon: Silicon,
        trial: at.Trial,
        n_samples: int,
    ) -> None:
        spec = silicon.spec
        self._silicon, self._trial, self._own = silicon, trial, local()
        self._config = config
        self._circuit = np.array(readout.cadc_circuits, np.int64)
        self._neuron = neurons.index[self._circuit]
        self._period = readout.cadc_period_ticks if readout.cadc_circuits else 0
        self._channels: dict[Neurons, CadcChannels] = {}
        self._madc_circuit = readout.madc_circuit
        self._madc_neuron = -1 if readout.madc_circuit is None else int(neurons.index[readout.madc_circuit])
        n_madc = 0 if readout.madc_circuit is None else spec.madc_reads(trial.duration)
        self.cadc = np.empty((n_samples, readout.cadc_reads(trial.duration), len(self._circuit)), np.uint8)
        self.madc = np.empty((n_samples, n_madc), np.int16)

    @property
    def any(self) -> bool:
        """Whether anything is read."""
        return self._period > 0 or self._madc_circuit is not None

    def pieces(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Samples ``first <= k < last`` in pieces to be solved and then converted."""
        readings = self.cadc[:1].size + self.madc[:1].size
        step = max(1, _BLOCK // readings) if readings else max(1, last - first)
        for k in range(first, last, step):
            yield k, min(last, k + step)

    @property
    def neurons(self) -> NDArray[np.int64]:
        """Neurons that are read."""
        read = self._neuron if self._period else np.empty(0, np.int64)
        return read if self._madc_circuit is None else np.append(read, self._madc_neuron)

    def room(self, n_samples: int, first_neuron: int) -> at.Watch:
        """Where the solver puts the potentials of a piece; the same memory for all pieces of a thread.

        Its circuit begins with the neuron of this number.
        """
        cadc = getattr(self._own, "cadc", None)
        if cadc is None or len(cadc) < n_samples:  # new memory costs as much as the conversion
            cadc = self._own.cadc = np.empty((n_samples, *self.cadc.shape[1:]))
        return at.Watch(
            neuron=self._neuron - first_neuron,
            period=self._period,
            cadc=cadc[:n_samples],
            madc_neuron=-1 if self._madc_circuit is None else self._madc_neuron - first_neuron,
            madc_period=self._silicon.spec.madc_period_ticks,
            madc=np.empty((n_samples, self.madc.shape[1])),
        )

    def convert(self, watched: at.Watch, first: int, neurons: Neurons) -> None:
        """Readings of a piece that was solved with these neurons; `first` is its first sample."""
        _, mismatch, readings = self._silicon
        last, number, key = first + len(watched.cadc), self._trial.first_sample + first, self._trial.key
        if self._period:
            self.cadc[first:last] = cadc_codes(
                watched.cadc, self._circuit, self._channels_of(neurons), readings, key, number
            )
        if self._madc_circuit is not None:
            v_mv = watched.madc + neurons.v_leak_mv[self._madc_neuron]
            self.madc[first:last] = madc_codes(
                v_mv, self._madc_circuit, mismatch, self._silicon.spec, readings, key, number
            )

    def _channels_of(self, neurons: Neurons) -> CadcChannels:
        if neurons not in self._channels:
            config, (spec, mismatch, _) = self._config, self._silicon
            rest_mv = neurons.v_leak_mv[self._neuron]
            self._channels[neurons] = cadc_channels(
                self._circuit, config.neurons, config.shared, mismatch, spec, rest_mv
            )
        return self._channels[neurons]
