"""What a chip boots with: the codes of a calibration and the operating point it was made for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from hxloop.kit.brief import brief
from hxloop.kit.strict import Strict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes, SharedCodes


class OperatingPoint(Strict):
    """Physical values that a calibration aims at, the same for all circuits.

    The default is the published operating point for spiking networks: leak and reset 80, threshold 150 CADC LSB, all
    time constants 6 us.

    References
    ----------
    calix, nightly calibration "spiking2"; Goeltz et al., Nat. Mach. Intell. 3:823 (2021), generate_calibration.py.
    """

    v_leak_mv: float = Field(420.0, description="leak potential")
    v_reset_mv: float = Field(420.0, description="reset potential")
    v_threshold_mv: float = Field(735.0, description="threshold")
    tau_mem_us: float = Field(6.0, description="membrane time constant")
    tau_syn_us: float = Field(6.0, description="synaptic time constants")
    t_refractory_us: float = Field(16.0, description="refractory period")
    synapse_gain_mv_per_us: float = Field(1.15, description="slope of the membrane by one event at weight code 1")

    @classmethod
    def of(cls, source: object) -> OperatingPoint:
        """That of anything that has its values by name: a population, settings of neurons."""
        return cls(**{name: getattr(source, name) for name in cls.model_fields})


@brief
@dataclass(frozen=True, eq=False)
class BootSettings:
    """Codes a chip boots with; other operating points are reached from here along the nominal curves.

    Attributes
    ----------
    target : OperatingPoint
        What the codes were calibrated for.
    neurons : NeuronCodes
        One entry per circuit of the chip, or a single one that holds for all.
    shared : SharedCodes
    """

    target: OperatingPoint
    neurons: NeuronCodes
    shared: SharedCodes

    def of(self, circuit: NDArray[np.int16], head: NDArray[np.int16]) -> NeuronCodes:
        """Codes of these circuits, merged as `head` says."""
        index = circuit.astype(np.int64) if len(self.neurons.circuit) > 1 else np.zeros(len(circuit), np.int64)
        return replace(self.neurons.take(index), circuit=circuit, head=head)
