"""Populations: neurons with equal parameters."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, Final

from hxloop.codes.boot import OperatingPoint
from hxloop.codes.relay_point import RELAY, RELAY_CIRCUITS
from hxloop.errors import InvalidInputError
from hxloop.kit import arguments

if TYPE_CHECKING:
    from hxloop.codes.neuron_model import NeuronModel

INPUT: Final = "input"
"""Name of the external input as the source of a projection."""

_POINT: Final = OperatingPoint()


@dataclass(frozen=True)
class Population:
    """Neurons with equal parameters, by default those of the published operating point.

    Attributes
    ----------
    name : str
        Unique name; not ``input``.
    size : int
        Number of neurons.
    tau_mem_us, tau_syn_us, t_refractory_us : float
        Time constants and refractory period in us of hardware time.
    v_leak_mv, v_reset_mv, v_threshold_mv : float
        Potentials in mV.
    synapse_gain_mv_per_us : float
        Slope of the *neuron's* membrane that one event at weight code 1 causes. The mapping gives each circuit of a
        neuron merged from k circuits k times as much, because its current then counts 1/k. By default (NaN) the network
        chooses what makes model weights mean what they should.
    circuits_per_neuron : int, optional
        Circuits merged into one neuron (1, 2, 4, 8, ...); by default as few as its rows need.
    model : NeuronModel, optional
        Terms beyond leaky integrate-and-fire: adaptation, exponential term, conductance-based inputs.
    spiking : bool
        False: a leaky integrator that never spikes, read out by its membrane. Its `v_threshold_mv` is then no
        threshold but the potential that stands for `model_threshold`.
    model_threshold : float
        Threshold above leak in units of model weight.
    relay : bool
        Delay neurons: each spikes so long after an event as the projection onto it says (`Network.holds_delays`).
        Their parameters are those of `hxloop.codes.relay_point`, whatever else is given.

    Raises
    ------
    InvalidInputError, OutOfRangeError
        A name that no population can have, or a value that is none; it is named ``population.parameter``.
    """

    name: str
    size: int
    tau_mem_us: float = _POINT.tau_mem_us
    tau_syn_us: float = _POINT.tau_syn_us
    t_refractory_us: float = _POINT.t_refractory_us
    v_leak_mv: float = _POINT.v_leak_mv
    v_reset_mv: float = _POINT.v_reset_mv
    v_threshold_mv: float = _POINT.v_threshold_mv
    synapse_gain_mv_per_us: float = nan
    circuits_per_neuron: int | None = None
    model: NeuronModel | None = None
    spiking: bool = True
    model_threshold: float = 1.0
    relay: bool = False

    def __post_init__(self) -> None:
        if arguments.switch(self.relay, f"{self.name}.relay"):
            self._become_relay()
        if not arguments.text(self.name, "population.name") or self.name == INPUT:
            raise InvalidInputError(f"a population cannot be called {self.name!r}", field="population.name")
        object.__setattr__(self, "size", arguments.whole_number(self.size, f"{self.name}.size", lowest=1))
        for name in OperatingPoint.model_fields:
            value = getattr(self, name)
            if not (name == "synapse_gain_mv_per_us" and isinstance(value, float) and isnan(value)):
                object.__setattr__(self, name, arguments.real_number(value, f"{self.name}.{name}"))
        threshold = arguments.real_number(self.model_threshold, f"{self.name}.model_threshold", lowest=1e-9)
        object.__setattr__(self, "model_threshold", threshold)
        object.__setattr__(self, "spiking", arguments.switch(self.spiking, f"{self.name}.spiking"))
        field = f"{self.name}.circuits_per_neuron"
        merged = arguments.optional(arguments.whole_number, self.circuits_per_neuron, field)
        if merged is not None and (merged < 1 or merged & (merged - 1)):
            raise InvalidInputError(f"circuits merge in powers of two (1, 2, 4, 8, ...), got {merged}", field=field)
        object.__setattr__(self, "circuits_per_neuron", merged)

    def _become_relay(self) -> None:
        if self.model is not None or not self.spiking:
            what = "terms beyond leaky integrate-and-fire" if self.spiking else "spiking = false"
            raise InvalidInputError(f"delay neurons have no {what}", field=f"{self.name}.relay")
        for name, value in RELAY.model_dump().items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "circuits_per_neuron", RELAY_CIRCUITS)

    @property
    def point(self) -> OperatingPoint:
        """Operating point of its neurons."""
        return OperatingPoint.of(self)
