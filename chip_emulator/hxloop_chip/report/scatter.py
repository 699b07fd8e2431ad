"""How much the time of a spike changes from trial to trial, and which mechanism is to blame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.report.specimens import one_input, same_inputs, with_changes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_chip.silicon.imperfections import Imperfections

    Floats = NDArray[np.float64]

N_CIRCUITS: Final = 64
N_TRIALS: Final = 200
WEIGHT_CODE: Final = 45
INPUT_US: Final = (1.0, 3.0, 5.0, 7.0, 9.0)
DURATION_US: Final = 24.0
MECHANISMS: Final = ("membrane_trial_mv", "threshold_trial_mv", "amplitude_trial", "jitter_trial_us")


@dataclass(frozen=True, eq=False)
class Scatter:
    """First spikes of some circuits in repeated trials of the same input.

    Attributes
    ----------
    deviation_us : float64 [n]
        Spike time minus the mean of its circuit, all circuits that always spike.
    circuit_std_us : float64 [n_circuits]
    std_us : float
        Root of the mean variance of the circuits.
    n_always : int
        Circuits that spiked in every trial.
    alone_us : dict of str to float
        `std_us` with one mechanism only.
    """

    deviation_us: Floats
    circuit_std_us: Floats
    std_us: float
    n_always: int
    alone_us: dict[str, float]


def trial_scatter(chip: str, serial: int, imperfections: Imperfections) -> Scatter:
    """Run the trials, with all temporal noise and with each mechanism alone.

    Parameters
    ----------
    chip : str
    serial : int
    imperfections : Imperfections
        Of the chip.
    """
    ticks = _first_spikes(chip, serial)
    always = ticks[:, np.isfinite(ticks).all(axis=0)]
    deviation = always - always.mean(axis=0)
    off = {name: 0.0 for name in type(imperfections).model_fields if "_trial" in name}
    alone = {}
    for name in MECHANISMS:
        strength = getattr(imperfections, name)
        if strength:
            one = _first_spikes(with_changes(chip, **{**off, name: strength}), serial)
            alone[name] = _rms_std(one[:, np.isfinite(one).all(axis=0)])
    return Scatter(deviation.ravel(), always.std(axis=0, ddof=1), _rms_std(always), always.shape[1], alone)


def _rms_std(times_us: Floats) -> float:
    return float(np.sqrt(times_us.var(axis=0, ddof=1).mean())) if times_us.size else float("nan")


def _first_spikes(name: str, serial: int) -> Floats:
    """float64 [N_TRIALS, N_CIRCUITS]: first spike in us, NaN for none. Samples of a run are independent trials."""
    chip = EmulatedChip(name, serial)
    tick_us = chip.spec.tick_us
    chip.configure(one_input(chip.spec, chip.boot, range(N_CIRCUITS), WEIGHT_CODE))
    inputs = same_inputs([round(t / tick_us) for t in INPUT_US], N_TRIALS)
    spikes = chip.run(inputs, duration_ticks=round(DURATION_US / tick_us), record="first_spikes").spikes
    times = np.full((N_TRIALS, N_CIRCUITS), np.nan)
    times[spikes.sample, spikes.source] = spikes.tick * tick_us
    return times
