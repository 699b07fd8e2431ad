"""Delays of delay neurons as a calibration measured them: what a counter of a pair of circuits really comes to.

The trigger of a delay neuron is one synapse, and synapses differ more than circuits do, so the time that an event takes
to make the neuron spike is measured for every synapse that can be it: that of each pair on each driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.codes.calibration_parts import Calibrated

    Floats = NDArray[np.float64]

OFFSET: Final = "delay_offset_us"
"""Parameter: what a delay has beside its counter, per trigger; entry ``pair * n_drivers + driver``."""
STEP: Final = "delay_step_ns"
"""Parameter: what a count adds to a delay, per pair."""


@brief
@dataclass(frozen=True, eq=False)
class MeasuredDelays:
    """Delays of all pairs of circuits: ``offset + counter x step``.

    Attributes
    ----------
    offset_us : float64 [n_pairs, n_drivers]
        By the driver, of the head's hemisphere, whose even row has the trigger. The median of the pair where this
        could not be measured.
    step_us : float64 [n_pairs]
    usable : bool [n_pairs]
        Pairs that could be measured as wanted; `offset_us` and `step_us` of others may be NaN.
    """

    offset_us: Floats
    step_us: Floats
    usable: NDArray[np.bool_]


def measured_delays(parameters: Mapping[str, Calibrated]) -> MeasuredDelays | None:
    """Delays among the parameters of a table; None if it has none.

    Parameters
    ----------
    parameters : mapping of str to Calibrated
        With both `OFFSET` and `STEP` or neither; the former has as many entries for each pair.
    """
    if STEP not in parameters or OFFSET not in parameters:
        return None
    step, offset = parameters[STEP], parameters[OFFSET]
    offset_us = offset.achieved.reshape(len(step.achieved), -1).copy()
    # A trigger that is late beyond the tolerance is known as well as others; an event never comes after its spike.
    good = np.isfinite(offset_us) & (offset_us > 0)
    usable = step.success & (2 * good.sum(axis=1) > good.shape[1])
    offset_us[~good] = np.nan
    middle = np.array([np.nanmedian(row) if some else np.nan for row, some in zip(offset_us, usable, strict=True)])
    return MeasuredDelays(np.where(good, offset_us, middle[:, None]), step.achieved * 1e-3, usable)
