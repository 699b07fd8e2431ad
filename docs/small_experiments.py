"""Small experiments on emulated chips for the pictures of docs/chip.md."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, Switch
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.result import Readout
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.converters import madc_ticks
from hxloop_chip.silicon.presets import TYPICAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hxloop_chip.chip.emulated_chip import EmulatedChip

    Floats = NDArray[np.float64]

EXCITE, INHIBIT = 0, 1
Events = list[tuple[float, int]]
"""Time in us and channel."""


def only(knob: str, base: str = "uncalibrated", **others: float) -> str:
    """Name of a chip with one imperfection, as strong as on `typical` unless `others` says otherwise."""
    strengths = {knob: getattr(TYPICAL, knob), **others}
    return f"{base}[all=0,{','.join(f'{name}={value!r}' for name, value in strengths.items())}]"


def configured(
    chip: EmulatedChip,
    circuits: Sequence[int],
    *,
    code: int = 45,
    switches: Switch = Switch(0),  # noqa: B008 (a constant)
    cells: Mapping[Cell, int] | None = None,
    rows: Sequence[int] = (0,),
    **fields: Any,
) -> EmulatedChip:
    """Write neurons side by side at the boot codes, changed by `cells` and `fields`.

    Channel EXCITE drives row 0 and INHIBIT row 1 of both hemispheres; with other (even) `rows`, channel k drives
    ``rows[k]`` instead.
    """
    spec = chip.spec
    circuit = np.array(circuits, np.int16)
    neurons = chip.boot.of(circuit, circuit)
    capmem = neurons.capmem_code.copy()
    for cell, value in (cells or {}).items():
        capmem[:, cell] = value
    n = len(circuit)
    changed = {name: np.full(n, value, getattr(neurons, name).dtype) for name, value in fields.items()}
    neurons = replace(neurons, capmem_code=capmem, switches=np.full(n, int(switches), np.uint8), **changed)
    used = [*rows, 1] if tuple(rows) == (0,) else list(rows)
    sign = np.zeros((spec.n_hemispheres, spec.n_rows), np.int8)
    sign[:, ::2], sign[:, 1] = 1, -1
    channel = np.repeat(np.arange(len(used)), 2)
    driver = np.array([(r // 2) + h * spec.n_drivers for r in used for h in (0, 1)], np.int16)
    row = np.repeat(np.array(used, np.int16), n)
    weight = np.where(row == 1, -code, code).astype(np.int8)
    chip.configure(
        ChipConfig(
            neurons=neurons,
            shared=chip.boot.shared,
            synapses=Synapses(np.tile(circuit, len(used)), row, (5 + row % 2).astype(np.uint8), weight),
            row_sign=sign,
            input_routes=Routes(channel.astype(np.int32), driver, (5 + np.array(used)[channel] % 2).astype(np.uint8)),
            neuron_routes=Routes.none(),
        )
    )
    return chip


def batch(chip: EmulatedChip, *trains: Events) -> SpikeBatch:
    """One sample per train."""
    flat = [(k, round(t / chip.spec.tick_us), c) for k, train in enumerate(trains) for t, c in train]
    columns = np.array(flat, np.int64).reshape(len(flat), 3)
    return SpikeBatch.from_arrays(columns[:, 0], columns[:, 1], columns[:, 2], len(trains))


def membrane(
    chip: EmulatedChip, circuit: int, trains: Sequence[Events], duration_us: float, **options: int
) -> tuple[Floats, Floats]:
    """MADC traces of one configured circuit: times [n] in us and readings [n_samples, n] in mV."""
    duration = round(duration_us / chip.spec.tick_us)
    result = chip.run(batch(chip, *trains), duration_ticks=duration, readout=Readout(madc_circuit=circuit), **options)
    valid = slice(chip.spec.madc_invalid_samples, None)
    time_us = madc_ticks(chip.spec, duration)[valid] * chip.spec.tick_us
    return time_us, nominal.madc_mv(result.observations.madc[:, valid])


def first_spikes(
    chip: EmulatedChip, circuits: Sequence[int], trains: Sequence[Events], duration_us: float, **options: int
) -> Floats:
    """First spikes [n_samples, n_circuits] in us, NaN for none."""
    duration = round(duration_us / chip.spec.tick_us)
    spikes = chip.run(batch(chip, *trains), duration_ticks=duration, record="first_spikes", **options).spikes
    times = np.full((len(trains), chip.spec.n_circuits), np.nan)
    times[spikes.sample, spikes.source] = spikes.tick * chip.spec.tick_us
    return times[:, list(circuits)]
