"""Columns of the table of trust: a silicon and what calibrates it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop_host.studies.design.knobs import key_of

if TYPE_CHECKING:
    from hxloop_calibration.options import Method
    from hxloop_host.studies.design.kind import Base

TYPICAL, PUBLISHED, DEFAULT, RESIDUALS = "typical", "published", "default", "residuals"
COLUMNS: Final = {
    TYPICAL: "the named chip with the codes it boots with",
    PUBLISHED: "uncalibrated silicon, calibrated by the published method",
    DEFAULT: "uncalibrated silicon, calibrated by the default method",
    RESIDUALS: "the named chip with the residuals that the default method leaves",
}
"""Values of the study's list `calibration`."""
RAW: Final = "uncalibrated"
METHODS: Final[dict[str, Method]] = {PUBLISHED: "published", DEFAULT: "default"}
"""Method that calibrates the raw silicon of a column."""

LEFT_BY_DEFAULT: Final = {
    "v_leak_residual_mv": 1.1,
    "v_reset_residual_mv": 1.1,
    "v_threshold_residual_mv": 1.6,
    "v_threshold_residual_mean_mv": 0.3,
    "tau_mem_residual": 0.004,
    "tau_syn_residual": 0.012,
    "synaptic_input_residual": 0.018,
    "synaptic_reference_residual_mv": 0.09,
    "cadc_slope_residual": 0.0,
}
"""What `benchmarks.calibration` finds by truth on `uncalibrated` 101 to 104 calibrated by the default method, to which
slopes of CADC channels are known."""


def base_of_column(base: Base, column: str) -> Base:
    """What the points of a column share."""
    if column in METHODS:
        return base.on(RAW).calibrating(True, METHODS[column])
    if column == RESIDUALS:
        return base.turned({key_of(name): value for name, value in LEFT_BY_DEFAULT.items()})
    return base
