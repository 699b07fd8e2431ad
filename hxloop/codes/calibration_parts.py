"""Parts of a calibration table: parameters with residuals and reasons, costs, and the stamp against drift."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Reason(IntEnum):
    """Why an entry of a table is not as wanted; `TEXTS` says it in words."""

    ok = 0
    out_of_tolerance = 1
    code_at_edge = 2
    never_spiked = 3
    not_measurable = 4


TEXTS: Final[dict[Reason, str]] = {
    Reason.ok: "as wanted",
    Reason.out_of_tolerance: "the value found is further from its target than the tolerance",
    Reason.code_at_edge: "the target needs a code outside its range",
    Reason.never_spiked: "the circuit never spikes",
    Reason.not_measurable: "the readings do not show the quantity (saturated, or no response)",
}


@brief
@dataclass(frozen=True, eq=False)
class Calibrated:
    """One parameter of all circuits (or quadrants, ...), each array [n].

    Attributes
    ----------
    name : str
        With its unit as suffix, for example ``v_leak_mv``.
    unit : str
    long_name : str
    per : str
        What the entries are: ``circuit``, ``quadrant``, ``pair`` or ``trigger`` (`hxloop.codes.measured_delays`).
    target : float64 [n]
    code : float64 [n]
        Code that was written; NaN for what is measured only.
    before : float64 [n]
        Value measured with the codes the chip had at the beginning; NaN: not measured, or not measurable.
    achieved : float64 [n]
        Value measured at the end, mean over several writings of the codes.
    uncertainty : float64 [n]
        The true value lies within `achieved` +- this with 95 % probability, for all that the chip shows.
    tolerance : float
        Largest residual that counts as success.
    reason : uint8 [n]
        `Reason`.
    """

    name: str
    unit: str
    long_name: str
    per: str
    target: Floats
    code: Floats
    before: Floats
    achieved: Floats
    uncertainty: Floats
    tolerance: float
    reason: NDArray[np.uint8]

    @property
    def residual(self) -> Floats:
        """Value found minus target."""
        return self.achieved - self.target

    @property
    def success(self) -> NDArray[np.bool_]:
        """Entries without a reason to complain, bool [n]."""
        return np.asarray(self.reason == Reason.ok)

    def summary(self) -> dict[str, Any]:
        """Median and spread of what was found, and how many entries failed for which reason."""
        found = self.achieved[np.isfinite(self.achieved)]
        residual = self.residual[np.isfinite(self.residual)]
        before = self.before[np.isfinite(self.before)]
        return {
            "unit": self.unit,
            "target": float(np.median(self.target)),
            "median": float(np.median(found)) if found.size else None,
            "std": float(np.std(residual)) if residual.size else None,
            "std_before": float(np.std(before)) if before.size else None,
            "success_fraction": float(self.success.mean()),
            "failures": {r.name: int((self.reason == r).sum()) for r in Reason if r and (self.reason == r).any()},
        }


ARRAYS: Final = {
    "target": "value aimed at",
    "code": "code written, NaN: none",
    "before": "value with the codes before calibration, NaN: not measured",
    "achieved": "value measured at the end",
    "uncertainty": "half width of the 95 % interval of the value",
}
"""Arrays of `Calibrated` that are stored as they are."""


@dataclass(frozen=True)
class Cost:
    """What a part of a calibration costs on silicon.

    Attributes
    ----------
    routine : str
    configurations : int
        Times that analog parameters were written.
    runs, samples : int
    settle_s : float
        Time the analog memory took to settle after writing.
    run_s : float
        Time the chip ran.
    round_trips_s : float
        Time for talking to the chip.
    """

    routine: str
    configurations: int
    runs: int
    samples: int
    settle_s: float
    run_s: float
    round_trips_s: float

    @property
    def chip_time_s(self) -> float:
        """All of it."""
        return self.settle_s + self.run_s + self.round_trips_s


@brief
@dataclass(frozen=True, eq=False)
class DriftStamp:
    """How all circuits answered one standard stimulus when the calibration ended.

    Attributes
    ----------
    spike_time_us : float64 [n_circuits]
        Mean time of the first spike after the stimulus, NaN for circuits that stayed silent.
    scatter_us : float64 [n_circuits]
        Standard error of it.
    limit_us : float
        The table has expired when the root mean square of the changes, less what scatter explains, is above this.
    """

    spike_time_us: Floats
    scatter_us: Floats
    limit_us: float
