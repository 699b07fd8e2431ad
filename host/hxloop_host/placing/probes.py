"""Membranes to record while a network file runs: what the chip is asked for, and what its readings are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.result import MOST_CIRCUITS, Readout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.result import Observations
    from hxloop_host.placing.placement import Placement


@dataclass(frozen=True)
class Probes:
    """Membranes to record.

    Attributes
    ----------
    cadc : tuple of int
        Layers (1, 2, ...) all of whose neurons the CADC samples.
    madc : (int, int), optional
        Layer and neuron that the MADC samples.
    """

    cadc: tuple[int, ...] = ()
    madc: tuple[int, int] | None = None

    def readout(self, placement: Placement) -> Readout:
        """What the chip is asked for.

        Raises
        ------
        InvalidInputError
            No such layer or neuron.
        """
        circuits = [c for layer in self.cadc for c in _circuits(placement, layer, "cadc").tolist()]
        if len(circuits) > MOST_CIRCUITS:
            raise InvalidInputError(f"{len(circuits)} neurons, but the CADC samples {MOST_CIRCUITS}", field="cadc")
        madc = None
        if self.madc is not None:
            layer, neuron = self.madc
            found = _circuits(placement, layer, "madc")
            if not 0 <= neuron < len(found):
                raise InvalidInputError(f"layer {layer} has neurons 0..{len(found) - 1}, not {neuron}", field="madc")
            madc = int(found[neuron])
        return Readout(cadc_circuits=tuple(circuits), madc_circuit=madc)

    def recordings(self, placement: Placement, readout: Readout, observed: Observations) -> dict[str, NDArray[Any]]:
        """Readings by their names in the spike file."""
        found: dict[str, NDArray[Any]] = {}
        spec, first = placement.spec, 0
        for layer in self.cadc:
            last = first + len(_circuits(placement, layer, "cadc"))
            found[f"cadc_{layer}_lsb"] = observed.cadc[:, :, first:last]
            first = last
        if self.cadc:
            found["cadc_time_us"] = np.arange(observed.cadc.shape[1]) * readout.cadc_period_ticks * spec.tick_us
        if self.madc is not None:
            found["madc_lsb"] = observed.madc
            found["madc_time_us"] = np.arange(observed.madc.shape[1]) * spec.madc_period_us
        return found


def _circuits(placement: Placement, layer: int, field: str) -> NDArray[np.int16]:
    populations = placement.network.populations
    if not 1 <= layer <= len(populations):
        raise InvalidInputError(f"the layers are 1..{len(populations)}, not {layer}", field=field)
    return placement.circuits(populations[layer - 1].name)
