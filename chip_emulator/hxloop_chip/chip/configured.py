"""A configuration, ready to run: checked, wired up, with the true parameters of this silicon."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hxloop.codes import nominal
from hxloop.errors import InvalidInputError
from hxloop.program import COUNTER, WEIGHT_CODE, ChipConfig
from hxloop_chip.checks.configurations import check_config, check_weights, synapse_signs
from hxloop_chip.chip.correlation_sensors import build_sensors
from hxloop_chip.silicon.circuits import true_circuits
from hxloop_chip.silicon.mechanisms.in_synapses.driver_depletion import RECOVERY_US
from hxloop_chip.solver.depletion import make_drivers
from hxloop_chip.solver.layout import REFRACTORY
from hxloop_chip.solver.packing import most_late, pack_circuit, padded, wired_as, with_weights
from hxloop_chip.wiring.neurons import Neurons, build_neurons
from hxloop_chip.wiring.synapses import Wiring, wire_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes
    from hxloop.spec import ChipSpec
    from hxloop_chip.chip.correlation_sensors import Sensors
    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mismatch import Mismatch
    from hxloop_chip.solver import layout as at


_MOST_TEMPERATURES: Final = 64
"""Circuits kept for temperatures that may come back: in steps of 0.1 K, those within 3 K of the calibration's."""
_MOST_NEURONS: Final = 2**15
"""The most in all of them, a few hundred megabytes; but four circuits at least."""


@dataclass(frozen=True, eq=False)
class Configured:
    """A configuration, ready to run.

    Attributes
    ----------
    config : ChipConfig
    sha256 : str
    sign : int8 [n_synapses]
        Sign of the row of each synapse.
    neurons : Neurons
    wiring : Wiring
    circuit : Circuit
        For the solver, without tables, which depend on the temperature; all neurons are recorded.
    sensors : callable
        Correlation sensors, made when they are first read.
    warmed : callable
        Neurons, and the circuit without weights, at a temperature in K above that of the nightly calibration.
    """

    config: ChipConfig
    sha256: str
    sign: NDArray[np.int8]
    neurons: Neurons
    wiring: Wiring
    circuit: at.Circuit
    sensors: Callable[[], Sensors]
    warmed: Callable[[float], tuple[Neurons, at.Circuit]]

    def at_temperature(self, kelvin: float, recorded: NDArray[np.bool_] | None = None) -> tuple[Neurons, at.Circuit]:
        """Neurons and circuit at a temperature in K above that of the nightly calibration.

        Parameters
        ----------
        kelvin : float
        recorded : bool [n_neurons], optional
            Neurons whose spikes are recorded; by default all.
        """
        neurons, bare = self.warmed(kelvin)
        circuit = wired_as(bare, self.circuit)
        if self.config.delayed.size:
            late = self.neurons.late
            neurons, wide = _timed(neurons, late), padded(late, 0.0)
            parameters = _with_delays(circuit.parameters, wide)
            circuit = circuit._replace(parameters=parameters, late=wide, most_late=most_late(late))
        return neurons, circuit if recorded is None else circuit._replace(recorded=padded(recorded, False))

    def reweighted(self, config: ChipConfig, sha256: str, spec: ChipSpec) -> Configured | None:
        """The same with the weights of `config`, and its delays; None if it differs in more than these.

        Raises
        ------
        InvalidInputError
            A weight or a delay that the chip cannot have.
        """
        digests = config.digests
        new = {name: digests[name] for name in (WEIGHT_CODE, COUNTER)}
        if self.config.digests | new != digests:
            return None
        same_times = self.config.digests[COUNTER] == new[COUNTER]
        if not same_times and not np.array_equal(analog_codes(self.config).refractory_counter,
                                                 analog_codes(config).refractory_counter):  # fmt: skip
            return None
        check_weights(config, self.sign, spec)
        made = replace(self, config=config, sha256=sha256, circuit=self._weighted(config))
        if same_times:
            return made
        check_config(config, spec)
        late = self.neurons.late.copy()
        where = self.neurons.entry[config.delayed]
        scale = config.shared.clock_scale[config.delayed.astype(np.int64) // spec.n_columns,
                                          config.neurons.refractory_clock[where]]  # fmt: skip
        us = nominal.refractory_us(config.neurons.refractory_counter[where], scale)
        late[self.neurons.index[config.delayed]] = us / spec.tick_us
        return replace(made, neurons=_timed(self.neurons, late))

    def _weighted(self, config: ChipConfig) -> at.Circuit:
        exc, inh = self.wiring.current_steps(config.synapses.weight_code)
        return with_weights(self.circuit, exc, inh, self.wiring.source_id, self.wiring.source_range)

    def columns(self, neurons: tuple[int, ...] | None) -> Columns:
        """Columns of dense arrays: the heads asked for, or all of this configuration.

        Raises
        ------
        InvalidInputError
            A circuit is no head of this configuration, or comes twice.
        """
        if neurons is None:
            return _columns(self.neurons, None)
        self.recorded(neurons)
        if len(set(neurons)) < len(neurons):
            k = next(k for k, neuron in enumerate(neurons) if neuron in neurons[:k])
            raise InvalidInputError(f"circuit {neurons[k]} comes twice", field=f"neurons[{k}]")
        return _columns(self.neurons, neurons)

    def recorded(self, neurons: tuple[int, ...]) -> NDArray[np.bool_]:
        """Neurons among these heads, bool [n_neurons].

        Raises
        ------
        InvalidInputError
            A circuit is no head of this configuration.
        """
        heads = self.neurons.heads
        asked = np.array([max(-1, min(neuron, 2**31)) for neuron in neurons], np.int64)  # any other number is unknown
        neuron = self.neurons.index[np.where((asked >= 0) & (asked < self.neurons.index.size), asked, 0)]
        unknown = np.append(heads, -2)[neuron] != asked  # of a circuit that is not in use, the neuron is -1
        if unknown.any():
            k = int(unknown.argmax())
            raise InvalidInputError(f"circuit {neurons[k]} is not a configured head", field=f"neurons[{k}]")
        found = np.zeros(len(heads), np.bool_)
        found[neuron] = True
        return found


def analog_codes(config: ChipConfig) -> NeuronCodes:
    """What is written to the analog memory: as long as a delay is, is said by a counter, which is none of it."""
    codes = config.neurons
    if not config.delayed.size:
        return codes
    counter = codes.refractory_counter.copy()
    counter[np.isin(codes.head, config.delayed)] = 0
    return replace(codes, refractory_counter=counter)


def _timed(neurons: Neurons, late: NDArray[np.float64]) -> Neurons:
    """The same with other delays."""
    return replace(neurons, parameters=_with_delays(neurons.parameters, late), late=late)


def _with_delays(parameters: NDArray[np.float64], late: NDArray[np.float64]) -> NDArray[np.float64]:
    """Parameters [N_PARAMETERS, n] with the delays, where there are some, in the place of refractory periods."""
    found = parameters.copy()
    found[REFRACTORY] = np.where(late > 0.0, late, found[REFRACTORY])
    return found


class Columns(NamedTuple):
    """Columns of a dense array of first spikes.

    Attributes
    ----------
    heads : int64 [n_columns]
        Whose they are.
    of_neuron : int64 [n_neurons]
        Column of each neuron, -1 for none.
    """

    heads: NDArray[np.int64]
    of_neuron: NDArray[np.int64]


@lru_cache(maxsize=16)
def _columns(neurons: Neurons, asked: tuple[int, ...] | None) -> Columns:
    heads = neurons.heads if asked is None else np.array(asked, np.int64)
    column = np.full(neurons.index.size, -1, np.int64)
    column[heads] = np.arange(len(heads))
    return Columns(heads, column[neurons.heads])


def make_configured(
    config: ChipConfig,
    sha256: str,
    held: NDArray[np.float64],
    mismatch: Mismatch,
    imperfections: Imperfections,
    spec: ChipSpec,
) -> Configured:
    """Build a checked configuration anew.

    Parameters
    ----------
    config : ChipConfig
        Has passed `check_config`.
    sha256 : str
    held : float64 [n, len(Cell)]
        What the analog cells of its circuits hold.
    mismatch : Mismatch
    imperfections : Imperfections
    spec : ChipSpec
    """
    circuits = true_circuits(config.neurons, config.shared, mismatch, spec, held)
    neurons = build_neurons(config.neurons, circuits, imperfections, spec, config.delayed)
    wiring = wire_up(config, neurons, mismatch, spec)
    sensors = cache(partial(build_sensors, config, wiring.reached, mismatch, spec))
    spent = mismatch.deviation("driver_depletion") if imperfections.driver_depletion_fixed else np.empty(0)
    drivers = make_drivers(wiring.driver_first, wiring.driver, spent, RECOVERY_US / spec.tick_us)

    def packed(neurons: Neurons, *, tabulated: bool) -> at.Circuit:
        return pack_circuit(
            neurons.parameters,
            neuron_id=neurons.heads.astype(np.uint64),
            neuron_source=wiring.neuron_source,
            neuron_reach=np.append(wiring.source_reach, 0)[wiring.neuron_source],
            switches=neurons.switches,
            model=neurons.model,
            compression=neurons.compression,
            drivers=drivers,
            delay=spec.routing_delay_ticks,
            late=neurons.late,
            apart=imperfections.temperature_trial_k > 0.0,
            tabulated=tabulated,
        )

    @lru_cache(maxsize=max(4, min(_MOST_TEMPERATURES, _MOST_NEURONS // max(1, neurons.n_neurons))))
    def warmed(kelvin: float) -> tuple[Neurons, at.Circuit]:
        found = neurons
        if kelvin:
            warm = mismatch.at_temperature(circuits, config.neurons.circuit.astype(np.int64), kelvin)
            found = build_neurons(config.neurons, warm, imperfections, spec, config.delayed)
        return found, packed(found, tabulated=True)

    bare = packed(neurons, tabulated=False)
    made = Configured(config, sha256, synapse_signs(config, spec), neurons, wiring, bare, sensors, warmed)
    return replace(made, circuit=made._weighted(config))
