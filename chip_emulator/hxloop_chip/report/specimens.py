"""The chips a report is about, and the small experiment its traces come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.operating_point import nominal_boot
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.spikes import SpikeBatch
from hxloop_chip.silicon.boot_codes import boot_settings
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.silicon.presets import named_chip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop.codes.boot import BootSettings
    from hxloop.spec import ChipSpec

LABEL: Final = 5


@dataclass(frozen=True, eq=False)
class Bench:
    """One chip on the bench: its silicon, what it boots with, and nominal codes for the same silicon.

    Attributes
    ----------
    serial : int
    spec : ChipSpec
    mismatch : Mismatch
    boot : BootSettings
    nominal : BootSettings
        What the same silicon would boot with if it had not been calibrated.
    """

    serial: int
    spec: ChipSpec
    mismatch: Mismatch
    boot: BootSettings
    nominal: BootSettings


def put_on_bench(chip: str, serial: int) -> Bench:
    """Silicon and boot settings of a chip, without the solver.

    Raises
    ------
    InvalidInputError
        No such chip.
    """
    named = named_chip(chip)
    mismatch = Mismatch(named.spec, named.imperfections, serial)
    boot = boot_settings(named, mismatch, serial)
    return Bench(serial, named.spec, mismatch, boot, nominal_boot(named.spec))


def with_changes(chip: str, **strengths: float) -> str:
    """Name of a chip with other strengths; ``all`` stands for every imperfection and has to come first."""
    changes = ",".join(f"{name}={value!r}" for name, value in strengths.items())
    return f"{chip[:-1]},{changes}]" if chip.endswith("]") else f"{chip}[{changes}]"


def one_input(spec: ChipSpec, boot: BootSettings, circuits: Sequence[int], weight_code: int) -> ChipConfig:
    """Neurons of one circuit each, in the first hemisphere and at the boot codes; channel 0 excites all of them.

    Parameters
    ----------
    spec : ChipSpec
    boot : BootSettings
    circuits : sequence of int
        Below `ChipSpec.n_columns`.
    weight_code : int
    """
    circuit = np.array(circuits, np.int16)
    row_sign = np.zeros((spec.n_hemispheres, spec.n_rows), np.int8)
    row_sign[0, 0] = 1
    label = np.full(len(circuit), LABEL, np.uint8)
    codes = np.full(len(circuit), weight_code, np.int8)
    return ChipConfig(
        neurons=boot.of(circuit, circuit),
        shared=boot.shared,
        synapses=Synapses(
            circuit,
            np.zeros(len(circuit), np.int16),
            label,
            codes.astype(np.float64) if spec.continuous_weights else codes,
        ),
        row_sign=row_sign,
        input_routes=Routes(np.zeros(1, np.int32), np.zeros(1, np.int16), label[:1]),
        neuron_routes=Routes.none(),
    )


def same_inputs(tick: Sequence[int], n_samples: int) -> SpikeBatch:
    """Events of channel 0 at these ticks, the same in every sample."""
    sample = np.repeat(np.arange(n_samples), len(tick))
    return SpikeBatch.from_arrays(sample, np.tile(tick, n_samples), np.zeros(len(sample), np.int32), n_samples)
