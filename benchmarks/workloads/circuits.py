"""Networks that are written to the synapse arrays directly, to use all of them; legal on HICANN-X.

No row has two signs, so 512 circuits cannot have 256 signed inputs (that takes 512 rows a hemisphere). Here an input is
excitatory or inhibitory, and takes one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.workloads.networks import Load
from hxloop.codes.operating_point import Wanted, codes_for
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.placing.crossbar import bus_of_circuits, drivers_per_bus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.program import NeuronCodes


@dataclass(frozen=True)
class Feedforward:
    """Inputs onto circuits, all to all.

    Attributes
    ----------
    n_neurons, n_inputs : int
        At most 512 and 256.
    rate_khz : float
        Poisson rate of every input.
    gain_mv_per_us : float
        Slope that one event at weight code 1 causes.
    duration_us : float
        Of a sample.
    n_samples : int
    t_refractory_us : float
    """

    n_neurons: int = 512
    n_inputs: int = 256
    rate_khz: float = 100.0
    gain_mv_per_us: float = 0.15
    duration_us: float = 100.0
    n_samples: int = 1000
    t_refractory_us: float = 1.0


MODERATE = Feedforward()
"""Some 28 kHz a neuron: 2.8 spikes in 100 us."""
DENSE = Feedforward(gain_mv_per_us=0.25)
"""Some 80 kHz a neuron: the 8 spikes in 100 us of the peers' workload `dense`."""

CODE_STD = {1: 21.6, -1: 18.0}
"""Spread of weight codes of excitatory and inhibitory rows: their mean is that of the peers' workload `dense`."""


def feedforward(chip: Chip, shape: Feedforward) -> Load:
    """All of ``shape.n_neurons x shape.n_inputs`` synapses in use: input ``k`` on row ``k`` of both hemispheres.

    Even inputs excite, odd ones inhibit; sizes of weights are normally distributed. With 512 neurons and 256 inputs
    every synapse of the chip is used.
    """
    spec, rng = chip.spec, generator(1, "feedforward")
    circuit = np.arange(shape.n_neurons) * (spec.n_circuits // shape.n_neurons)  # on both hemispheres
    rows = np.arange(shape.n_inputs)
    target, row = (a.ravel() for a in np.meshgrid(circuit, rows, indexing="ij"))
    sign = np.where(rows % 2 == 0, 1, -1)
    row_sign = np.zeros((spec.n_hemispheres, spec.n_rows), np.int8)
    row_sign[:, rows] = sign
    drivers = [hemisphere * spec.n_drivers + rows // 2 for hemisphere in range(spec.n_hemispheres)]
    config = ChipConfig(
        neurons=_codes(chip, circuit, shape.gain_mv_per_us, t_refractory_us=shape.t_refractory_us),
        shared=chip.boot.shared,
        synapses=_synapses(target, row, row % 2, _weights(rng, sign[row], spec.weight_code_max)),
        row_sign=row_sign,
        input_routes=_routes(np.tile(rows, len(drivers)), np.concatenate(drivers), np.tile(rows % 2, len(drivers))),
        neuron_routes=Routes.none(),
    )
    duration_ticks = round(shape.duration_us / spec.tick_us)
    count = rng.poisson(shape.rate_khz * shape.duration_us * 1e-3, (shape.n_samples, shape.n_inputs))
    sample, source = np.repeat(np.indices(count.shape).reshape(2, -1), count.ravel(), axis=1)
    inputs = SpikeBatch.from_arrays(sample, rng.integers(0, duration_ticks, len(sample)), source, shape.n_samples)
    return Load(config, inputs, duration_ticks)


RECURRENT_MS = 20.0
CONNECTIVITY = 0.2


def recurrent(chip: Chip, duration_ms: float = RECURRENT_MS) -> Load:
    """One long sample of 512 neurons, each with 20 % of them as inputs; they fire by themselves at about 10 kHz.

    What the crossbar allows: the 128 neurons that reach a bus share its 32 drivers, 4 on each, with labels of their
    own; a synapse listens to one label. So a neuron can hear any one of the 4 on the excitatory, and any one on the
    inhibitory row of a driver: it takes each driver with a probability of 0.8, one of its 4 neurons and one of its rows
    at random, which makes 102 inputs of 512. The leak potential lies above threshold and drives all of them.
    """
    spec, rng = chip.spec, generator(1, "recurrent")
    circuit = np.arange(spec.n_circuits)
    bus, per_bus = bus_of_circuits(circuit, spec), drivers_per_bus(spec)
    rank = np.empty(len(circuit), np.int64)  # among those on the same bus
    for b in range(spec.n_padi_buses):
        rank[bus == b] = np.arange(np.count_nonzero(bus == b))
    driver, label = bus * per_bus + rank % per_bus, rank // per_bus
    n_shared = int(label.max()) + 1
    target, on = np.nonzero(rng.random((len(circuit), spec.n_drivers)) < CONNECTIVITY * n_shared)
    row = 2 * on + rng.integers(0, 2, len(on))
    sign = np.where(row % 2 == 0, 1, -1)
    config = ChipConfig(
        neurons=_codes(
            chip, circuit, 0.1, v_leak_mv=780.0, tau_mem_us=36.0, t_refractory_us=32.0,
        ),
        shared=chip.boot.shared,
        synapses=_synapses(target, row, rng.integers(0, n_shared, len(on)), _weights(rng, sign, spec.weight_code_max)),
        row_sign=np.tile(np.array([1, -1], np.int8), (spec.n_hemispheres, spec.n_drivers)),
        input_routes=Routes.none(),
        neuron_routes=_routes(
            np.tile(circuit, spec.n_hemispheres),
            np.concatenate([h * spec.n_drivers + driver for h in range(spec.n_hemispheres)]),
            np.tile(label, spec.n_hemispheres),
        ),
    )  # fmt: skip
    return Load(config, SpikeBatch.empty(1), round(duration_ms * 1e3 / spec.tick_us))


def _weights(rng: np.random.Generator, sign: NDArray[np.int64], largest: int) -> NDArray[np.float64]:
    """Half of a normal distribution, excitatory or inhibitory."""
    std = np.where(sign > 0, CODE_STD[1], CODE_STD[-1])
    return np.asarray(sign * np.minimum(np.rint(np.abs(rng.normal(0.0, std))), largest), np.float64)


def _codes(
    chip: Chip,
    circuit: NDArray[np.int64],
    gain_mv_per_us: float,
    *,
    t_refractory_us: float,
    v_leak_mv: float | None = None,
    tau_mem_us: float | None = None,
) -> NeuronCodes:
    """Codes of unmerged circuits at the chip's operating point, but for what is named."""
    changes = {"v_leak_mv": v_leak_mv, "tau_mem_us": tau_mem_us}
    wanted = Wanted.at(
        chip.boot.target,
        circuit.astype(np.int16),
        t_refractory_us=t_refractory_us,
        synapse_gain_mv_per_us=gain_mv_per_us,
        **{name: value for name, value in changes.items() if value is not None},
    )
    return codes_for(wanted, chip.boot, chip.spec)


def _synapses(
    circuit: NDArray[np.int64], row: NDArray[np.int64], label: NDArray[np.int64], code: NDArray[np.float64]
) -> Synapses:
    return Synapses(circuit.astype(np.int16), row.astype(np.int16), label.astype(np.uint8), code.astype(np.int8))


def _routes(source: NDArray[np.int64], driver: NDArray[np.int64], label: NDArray[np.int64]) -> Routes:
    return Routes(source.astype(np.int32), driver.astype(np.int16), label.astype(np.uint8))
