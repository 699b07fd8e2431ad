"""Calibration tables for chips that are there, as if they had been measured."""

from dataclasses import replace

import numpy as np

from hxloop.codes.boot import OperatingPoint
from hxloop.codes.calibration_table import Calibrated, CalibrationTable, DriftStamp, Reason


def table_for(chip, *, failed=(), exc=1.0, inh=1.0, tau=1.0, cells=None, key="a" * 64):
    """A table with the chip's boot codes.

    `exc` and `inh` are the measured weight factors, scalars or [n_circuits]; `tau` the measured time constant over the
    nominal one; `cells` replaces cells by values; circuits in `failed` never spiked.
    """
    n = chip.spec.n_circuits
    every = np.arange(n, dtype=np.int16)
    neurons = chip.boot.of(every, every)
    if cells:
        capmem = neurons.capmem_code.copy()
        for cell, value in cells.items():
            capmem[:, cell] = value
        neurons = replace(neurons, capmem_code=capmem)
    reason = np.zeros(n, np.uint8)
    reason[list(failed)] = Reason.never_spiked

    def parameter(name, target, factor):
        achieved = target * np.broadcast_to(factor, n).astype(float)
        nan = np.full(n, np.nan)
        achieved[list(failed)] = np.nan
        return Calibrated(
            name, "1", name, "circuit", np.full(n, target), nan, nan, achieved, np.full(n, 0.01), 1.0, reason
        )

    parameters = [
        parameter("weight_scale", 0.02, exc),
        parameter("synapse_gain_exc_mv_per_us", 1.15, 1.0),
        parameter("synapse_gain_inh_mv_per_us", 1.15, np.asarray(inh) / np.asarray(exc)),
        parameter("tau_syn_exc_us", 6.0, tau),
        parameter("tau_syn_inh_us", 6.0, tau),
    ]
    return CalibrationTable(
        key=key, identity=chip.identity, operating_point=OperatingPoint(), target="{}", options="{}", neurons=neurons,
        shared=chip.boot.shared, parameters={p.name: p for p in parameters},
        drift=DriftStamp(np.zeros(n), np.zeros(n), 0.1), costs=(), began_s=0.0, ended_s=1.0, versions="test",
    )  # fmt: skip
