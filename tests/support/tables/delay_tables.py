"""Calibration tables with delays made of random numbers, without a chip."""

from dataclasses import replace

import numpy as np

from hxloop.codes.calibration_table import Calibrated, Reason
from hxloop.codes.measured_delays import OFFSET, STEP
from hxloop.seeds import generator
from hxloop.spec import HICANN_X


def with_delays(table, seed=0, failed=()):
    """The table with delays of HICANN-X; pairs in `failed` never spiked."""
    rng, (n, drivers) = generator(seed, "delays of a table"), (HICANN_X.n_columns, HICANN_X.n_drivers)
    dead = np.zeros(n, np.bool_)
    dead[list(failed)] = True

    def parameter(name, unit, per, target, achieved, lost):
        achieved = np.where(lost, np.nan, achieved)
        nothing, reason = np.full(len(achieved), np.nan), np.where(lost, Reason.never_spiked, 0).astype(np.uint8)
        return Calibrated(
            name, unit, name, per, np.full(len(achieved), target), nothing, nothing, achieved, np.full(len(lost), 0.1),
            1.8, reason,
        )  # fmt: skip

    step = parameter(STEP, "ns", "pair", 128.0, rng.normal(128.0, 0.1, n), dead)
    lost = np.repeat(dead, drivers)
    offset = parameter(OFFSET, "us", "trigger", 2.0, rng.uniform(1.2, 3.2, n * drivers), lost)
    return replace(table, parameters=table.parameters | {STEP: step, OFFSET: offset})
