"""Small calibration tables made of random numbers, without a chip."""

import numpy as np

from hxloop.chip import ChipIdentity
from hxloop.codes.boot import OperatingPoint
from hxloop.codes.calibration_table import Calibrated, CalibrationTable, Cost, DriftStamp, Reason
from hxloop.codes.operating_point import nominal_boot
from hxloop.seeds import generator
from hxloop.spec import HICANN_X

SPEC = HICANN_X


def small_table(seed=0, key="0" * 64, failed=()):
    """A table of all circuits with two parameters per circuit and one per quadrant.

    `failed` has (parameter, entry, reason).
    """
    rng = generator(seed, "table")
    boot = nominal_boot(SPEC)
    every = np.arange(SPEC.n_circuits, dtype=np.int16)

    def parameter(name, unit, per, target):
        n = SPEC.n_circuits if per == "circuit" else SPEC.n_quadrants
        achieved = target + rng.normal(0, 1, n)
        reason = np.zeros(n, np.uint8)
        for which, k, why in failed:
            if which == name:
                reason[k] = why
                if why in {Reason.never_spiked, Reason.not_measurable}:
                    achieved[k] = np.nan
        before = target + rng.normal(0, 20, n)
        code = rng.integers(0, 1023, n).astype(float)
        return Calibrated(
            name, unit, f"what {name} is", per, np.full(n, target), code, before, achieved, np.full(n, 2.0), 9.0, reason
        )

    parameters = [
        parameter("v_leak_mv", "mV", "circuit", 420.0),
        parameter("v_threshold_mv", "mV", "circuit", 735.0),
        parameter("quadrant_gain_mv_per_us", "mV/us", "quadrant", 1.15),
    ]
    return CalibrationTable(
        key=key,
        identity=ChipIdentity(chip="uncalibrated", serial=7, spec=SPEC.name, model="4"),
        operating_point=OperatingPoint(),
        target="{}",
        options="{}",
        neurons=boot.of(every, every),
        shared=boot.shared,
        parameters={p.name: p for p in parameters},
        drift=DriftStamp(rng.uniform(3, 5, SPEC.n_circuits), np.full(SPEC.n_circuits, 0.02), 0.1),
        costs=(Cost("leak", 4, 4, 64, 0.08, 0.002, 0.0006), Cost("threshold", 40, 40, 700, 0.8, 0.002, 0.006)),
        began_s=0.0,
        ended_s=1.5,
        versions="test",
    )
