"""Fixed-pattern mismatch: what the serial number of a chip decides, once and for ever.

Each mechanism (`hxloop_chip.silicon.mechanisms`) draws from a stream of its own, addressed by serial number and name,
in units of its spread. So the same serial is the same silicon on every machine and for every strength, and changing one
mechanism leaves the others untouched.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
from hxloop_chip.silicon.mechanisms.in_circuits.potential_spread import N_VOLTAGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes, SharedCodes
    from hxloop.spec import ChipSpec
    from hxloop_chip.silicon.circuits import Circuits
    from hxloop_chip.silicon.imperfections import Imperfections

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

N_BITS = 6


class Mismatch:
    """True deviations of one chip from its datasheet; never leaves the daemon.

    Parameters
    ----------
    spec : ChipSpec
    spreads : Imperfections
    serial : int
        Serial number, 0 .. 2**63 - 1.

    Attributes
    ----------
    voltage_offset_mv, voltage_gain : float64 [N_VOLTAGES, n_circuits]
        Normal offset and log-normal factor of the potentials.
    leak_conductance, capacitance_pf, exponential : float64 [n_circuits]
        Factor; offset in pF; factor.
    tau_syn, synaptic_input, coba : float64 [2, n_circuits]
        Factors of the excitatory (0) and inhibitory (1) input.
    synaptic_reference_mv : float64 [2, n_circuits]
        Offset of an input's reference.
    adaptation : float64 [3, n_circuits]
        Factors of time constant, a and b.
    synapse_dac : float64 [n_quadrants]
        Factor.
    driver : float64 [n_hemispheres, n_rows]
        Factor of a row; 0 of a dead one, which passes no events.
    cadc_gain, cadc_offset_lsb : float64 [n_circuits]
    madc_gain, madc_offset_lsb : float
    dead : bool [n_circuits]
    """

    def __init__(self, spec: ChipSpec, spreads: Imperfections, serial: int) -> None:
        self._spec, self._spreads = spec, spreads
        self._draws = SiliconDraws(spec, serial, spreads.correlated_fixed)
        self._bends, self._warms = spreads.acting("circuits"), spreads.acting("at_temperature")
        self._writes, self._exact_writes = spreads.acting("written"), spreads.without_noise().acting("written")
        n = spec.n_circuits
        self.voltage_offset_mv = np.zeros((N_VOLTAGES, n))
        self.voltage_gain = np.ones((N_VOLTAGES, n))
        self.leak_conductance = np.ones(n)
        self.capacitance_pf = np.zeros(n)
        self.tau_syn = np.ones((2, n))
        self.synaptic_input = np.ones((2, n))
        self.synaptic_reference_mv = np.zeros((2, n))
        self.adaptation = np.ones((3, n))
        self.exponential = np.ones(n)
        self.coba = np.ones((2, n))
        self.synapse_dac = np.ones(spec.n_quadrants)
        self.driver = np.ones((spec.n_hemispheres, spec.n_rows))
        self.cadc_gain = np.ones(n)
        self.cadc_offset_lsb = np.zeros(n)
        self.madc_gain = 1.0
        self.madc_offset_lsb = 0.0
        self.dead = np.zeros(n, np.bool_)
        for drawn in spreads.acting("drawn"):
            vars(self).update(drawn(self._draws, self))

    def deviation(self, name: str) -> Floats:
        """What a mechanism has drawn under this name, beside the attributes that every chip has."""
        return np.asarray(vars(self)[name], np.float64)

    @property
    def draws(self) -> SiliconDraws:
        """Random numbers of this serial number."""
        return self._draws

    def held(self, neurons: NeuronCodes, shared: SharedCodes, *, noisy: bool = False) -> Floats:
        """What analog cells hold after these codes were written, float64 [n, len(Cell)]; with or without noise."""
        cells = neurons.capmem_code.astype(np.float64)
        for write in self._writes if noisy else self._exact_writes:
            cells = write(cells, neurons, shared, self)
        return cells

    def bent(self, circuits: Circuits, circuit: Ints) -> Circuits:
        """Circuits after what mechanisms do beyond the transfer curves (`Mechanism.circuits`)."""
        for bend in self._bends:
            circuits = bend(circuits, circuit, self)
        return circuits

    def at_temperature(self, circuits: Circuits, circuit: Ints, kelvin: float) -> Circuits:
        """Circuits at a temperature in K above that of the nightly calibration (`Mechanism.at_temperature`)."""
        for warm in self._warms if kelvin else ():
            circuits = warm(circuits, circuit, self, kelvin)
        return circuits

    def synapse(self, hemisphere: Ints, row: Ints, column: Ints) -> Floats:
        """Factors of single synapses, log-normal with median 1; arguments and result [n]."""
        if self._spreads.synapse_fixed == 0.0:
            return np.ones(len(row))
        return np.asarray(self._synapses[hemisphere, row, column])

    @property
    def weight_dacs_are_exact(self) -> bool:
        """All bits of all weight DACs have their nominal worth."""
        return self._spreads.weight_dac_fixed == 0.0

    def weight_bits(self, hemisphere: Ints, row: Ints, column: Ints) -> Floats:
        """Worth of every bit of the weight DACs of single synapses, float64 [n, 6]; nominal 1, 2, 4, ..."""
        bit = 2.0 ** np.arange(N_BITS)
        if self.weight_dacs_are_exact:
            return np.broadcast_to(bit, (len(row), N_BITS))
        error = self._weight_dacs[hemisphere, row, column] * self._spreads.weight_dac_fixed
        return np.asarray(np.maximum(bit + np.sqrt(bit) * error, 0.0))

    def correlation_amplitude(self, hemisphere: Ints, row: Ints, column: Ints) -> Floats:
        """Factors [2, n] of causal and acausal sensors, log-normal with median 1."""
        spread = self._spreads.correlation_amplitude_fixed
        return self._sensor("correlation_amplitude", spread, hemisphere, row, column)

    def correlation_tau(self, hemisphere: Ints, row: Ints, column: Ints) -> Floats:
        """Factors [2, n] of the time constants of causal and acausal sensors."""
        return self._sensor("correlation_tau", self._spreads.correlation_tau_fixed, hemisphere, row, column)

    def digest(self) -> str:
        """SHA-256 over all deviations (of synapses: a corner); rounded to 2^-20, so no library's last bit matters."""
        digest = hashlib.sha256()
        corner = tuple(a.ravel() for a in np.indices((self._spec.n_hemispheres, 16, 16)))
        per_synapse = (self.synapse, self.weight_bits, self.correlation_amplitude, self.correlation_tau)
        arrays = [value for name, value in sorted(vars(self).items()) if not name.startswith("_")]
        for array in (*arrays, *(function(*corner) for function in per_synapse)):
            digest.update(np.rint(np.asarray(array, np.float64) * 2**20).astype("<i8").tobytes())
        return digest.hexdigest()

    @cached_property
    def _synapses(self) -> Floats:
        shape = (self._spec.n_hemispheres, self._spec.n_rows, self._spec.n_columns)
        return self._draws.factor("synapse", self._spreads.synapse_fixed, *shape, places="synapses")

    @cached_property
    def _weight_dacs(self) -> NDArray[np.float32]:
        shape = (self._spec.n_hemispheres, self._spec.n_rows, self._spec.n_columns, N_BITS)
        return self._draws.stream("weight_dac").standard_normal(shape, np.float32)

    def _sensor(self, mechanism: str, spread: float, hemisphere: Ints, row: Ints, column: Ints) -> Floats:
        if spread == 0.0:
            return np.ones((2, len(row)))
        shape = (2, self._spec.n_hemispheres, self._spec.n_rows, self._spec.n_columns)
        return np.asarray(self._draws.factor(mechanism, spread, *shape, places="synapses")[:, hemisphere, row, column])
