"""What a chip refuses: read-outs outside its datasheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import InvalidInputError, OutOfRangeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.result import Readout
    from hxloop.spec import ChipSpec


def check_readout(
    readout: Readout, configured: NDArray[np.integer], spec: ChipSpec, duration_ticks: int, n_samples: int
) -> None:
    """Refuse a read-out that the datasheet does not allow.

    Parameters
    ----------
    readout : Readout
    configured : int [n]
        Circuits in use (`hxloop.program.NeuronCodes.circuit`).
    spec : ChipSpec
    duration_ticks : int
    n_samples : int

    Raises
    ------
    OutOfRangeError
        A circuit the chip does not have, a CADC period that is too short, or more readings than the chip's memory or
        the MADC takes.
    InvalidInputError
        A circuit that is not in use, or that is named twice.
    """
    if readout.cadc_period_ticks < spec.cadc_period_ticks:
        raise OutOfRangeError(
            f"{readout.cadc_period_ticks} is below {spec.cadc_period_ticks} ticks "
            f"({spec.cadc_period_ticks * spec.tick_us:.3g} us), the shortest period of the CADC",
            field="readout.cadc_period_ticks",
        )
    if not readout.cadc_circuits and readout.madc_circuit is None:
        return
    used = np.zeros(spec.n_circuits, np.bool_)
    used[configured] = True
    seen: set[int] = set()
    for k, circuit in enumerate(readout.cadc_circuits):
        _check_circuit(circuit, used, spec, f"readout.cadc_circuits[{k}]")
        if circuit in seen:
            raise InvalidInputError(f"circuit {circuit} is named twice", field=f"readout.cadc_circuits[{k}]")
        seen.add(circuit)
    if readout.cadc_circuits:
        _check_cadc_reads(readout, spec, duration_ticks, n_samples)
    if readout.madc_circuit is not None:
        _check_circuit(readout.madc_circuit, used, spec, "readout.madc_circuit")
        _check_madc_reads(spec, duration_ticks)


def _check_circuit(circuit: int, used: NDArray[np.bool_], spec: ChipSpec, field: str) -> None:
    if not 0 <= circuit < spec.n_circuits:
        raise OutOfRangeError(f"circuit {circuit} is outside 0..{spec.n_circuits - 1}", field=field)
    if not used[circuit]:
        raise InvalidInputError(f"circuit {circuit} is not among neurons.circuit", field=field)


def _check_cadc_reads(readout: Readout, spec: ChipSpec, duration_ticks: int, n_samples: int) -> None:
    reads = n_samples * readout.cadc_reads(duration_ticks)
    if reads > spec.cadc_max_reads:
        raise OutOfRangeError(
            f"{readout.cadc_period_ticks} ticks give {reads} reads in this run, outside 0..{spec.cadc_max_reads}",
            field="readout.cadc_period_ticks",
            hint="read less often, or run fewer or shorter samples at once",
        )


def _check_madc_reads(spec: ChipSpec, duration_ticks: int) -> None:
    reads = spec.madc_reads(duration_ticks)
    if reads > spec.madc_max_samples:
        longest_us = spec.madc_max_samples * spec.madc_period_us
        raise OutOfRangeError(
            f"a sample of {duration_ticks} ticks gives {reads} MADC readings, outside 0..{spec.madc_max_samples}",
            field="readout.madc_circuit",
            hint=f"samples with the MADC may last {longest_us:.0f} us at most",
        )
