"""What is written to the circuits of a placed network so that its neurons have the parameters of their populations."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np

from hxloop.codes.boot import OperatingPoint
from hxloop.codes.capmem import Cell
from hxloop.codes.operating_point import Wanted, codes_for
from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop.program import NeuronCodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop.codes.boot import BootSettings
    from hxloop.network import Population
    from hxloop.spec import ChipSpec
    from hxloop_host.placing.allocation import Allocation


def check_parameters(allocation: Allocation, spec: ChipSpec) -> None:
    """Refuse parameters of a population that the datasheet does not have.

    Raises
    ------
    OutOfRangeError
        One is outside its range.
    InvalidInputError
        A population that does not spike has an exponential term: nothing would ever reset its membrane.
    """
    population, merged = allocation.population, allocation.circuits.shape[1]
    for name in OperatingPoint.model_fields:
        low, high = getattr(spec, name)
        value = getattr(population, name) * (_joined(allocation) if name == "synapse_gain_mv_per_us" else 1)
        if not low <= value <= high:
            raise OutOfRangeError(
                f"{value:g} is outside {low:g}..{high:g} of {spec.name}"
                + (f" ({merged} circuits per neuron)" if merged > 1 and name == "synapse_gain_mv_per_us" else ""),
                field=f"{population.name}.{name}",
            )
    if not population.spiking and population.model is not None and population.model.exponential_na:
        raise InvalidInputError(
            "an exponential term needs spikes that reset the membrane, and this population has none",
            field=f"{population.name}.model.exponential_na",
        )


def circuit_codes(allocations: Sequence[Allocation], spec: ChipSpec, boot: BootSettings) -> NeuronCodes:
    """Codes of all circuits, population by population.

    Raises
    ------
    OutOfRangeError
        A parameter needs a code outside its range.
    InvalidInputError
        The threshold of spiking neurons is not above their reset.
    """
    parts = [_codes(allocation, spec, boot) for allocation in allocations]
    return NeuronCodes(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(NeuronCodes)))


def _codes(allocation: Allocation, spec: ChipSpec, boot: BootSettings) -> NeuronCodes:
    population, merged = allocation.population, allocation.circuits.shape[1]

    wanted = Wanted.at(
        population.point,
        allocation.circuits.ravel(),
        np.repeat(allocation.circuits[:, 0], merged),
        synapse_gain_mv_per_us=population.synapse_gain_mv_per_us * _joined(allocation),
    )
    try:
        codes = codes_for(wanted, boot, spec)
        if population.model is not None:
            codes = population.model.apply(
                codes, spec, v_leak_mv=population.v_leak_mv, v_threshold_mv=population.v_threshold_mv, merged=merged
            )
    except OutOfRangeError as error:
        raise OutOfRangeError(error.message, field=f"{population.name}.{error.field}", hint=error.hint) from None
    if not population.spiking:
        return _without_spikes(codes, spec)
    _check_threshold(population, codes)
    return codes


def _joined(allocation: Allocation) -> int:
    """Circuits whose capacitances add up in a neuron: those of a delay neuron stay apart."""
    return 1 if allocation.population.relay else int(allocation.circuits.shape[1])


def _without_spikes(codes: NeuronCodes, spec: ChipSpec) -> NeuronCodes:
    """Threshold out of reach: at the largest code (nominally 1.9 V; the chip's supply for the membrane is 1.2 V)."""
    cells = codes.capmem_code.copy()
    cells[:, Cell.v_threshold] = spec.capmem_code_max
    return replace(codes, capmem_code=cells)


def _check_threshold(population: Population, codes: NeuronCodes) -> None:
    """As the chip does, but by the name of the population."""
    if (codes.capmem_code[:, Cell.v_threshold] <= codes.capmem_code[:, Cell.v_reset]).any():
        raise InvalidInputError(
            f"{population.v_threshold_mv:g} mV is not above the reset potential, {population.v_reset_mv:g} mV: the "
            "neurons would spike without end",
            field=f"{population.name}.v_threshold_mv",
        )
