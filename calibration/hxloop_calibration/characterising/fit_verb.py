"""The verb `hxloop.fit_chip`: strengths that explain what was measured of one chip, or of several of a kind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.kit.brief import brief
from hxloop.kit.waiting import doing
from hxloop.naming.chip_file import ChipFile, FittedStrength
from hxloop_calibration.characterising import circuit_estimators as circuits
from hxloop_calibration.characterising import input_estimators as inputs
from hxloop_calibration.characterising import neighbours
from hxloop_calibration.characterising import noise_estimators as noise
from hxloop_calibration.characterising import synapse_estimators as synapses
from hxloop_calibration.characterising.measurements import Measurements, load_measurements
from hxloop_calibration.characterising.variances import Variance, difference, known_mean, pooled, share, usual

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Parts = tuple[Variance, Variance]

MOST_UNCERTAIN: Final = 1.5
"""Widest interval, over its value, with which a strength is taken."""


@dataclass(frozen=True)
class Estimate:
    """A strength with its interval.

    Attributes
    ----------
    name : str
    value, low, high : float
        In the strength's unit; `low` .. `high` holds it with 95 % probability.
    draws : float
        Independent draws that it is known from: circuits, rows, quadrants, chips, readings.
    how : str
        In a few words.
    """

    name: str
    value: float
    low: float
    high: float
    draws: float
    how: str

    @property
    def sure(self) -> bool:
        """Known well enough to be taken."""
        return self.value > 0 and self.high - self.low <= MOST_UNCERTAIN * self.value


@brief
@dataclass(frozen=True, eq=False)
class FittedChip:
    """What measurements say of a kind of chip.

    Attributes
    ----------
    base : str
        Chip whose strengths hold where the measurements say nothing.
    estimates : tuple of Estimate
        All that was estimated, in the order of the docs.
    kept : dict of str to str
        Strengths that keep those of the base, and why.
    chips : tuple of str
        Which chips were measured.
    """

    base: str
    estimates: tuple[Estimate, ...]
    kept: dict[str, str]
    chips: tuple[str, ...]

    @property
    def file(self) -> ChipFile:
        """As a chip that can be named wherever chips are."""
        taken: dict[str, FittedStrength | float] = {
            e.name: FittedStrength(
                value=_short(e.value), low=_short(e.low), high=_short(e.high), source=self._source(e)
            )
            for e in self.estimates
            if e.sure
        }
        return ChipFile(base=self.base, strengths=taken, kept=self.kept)

    def _source(self, e: Estimate) -> str:
        n = f"{len(self.chips)} chips" if len(self.chips) > 1 else "1 chip"
        return f"{e.how}; {n}, {e.draws:.0f} draws"

    def summary(self) -> dict[str, Any]:
        """Figures, plain values."""
        return {
            "base": self.base,
            "chips": list(self.chips),
            "strengths": {e.name: {**vars(e), "taken": e.sure} for e in self.estimates},
            "kept": self.kept,
            "chip": self.file.name,
        }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


_OF_SILICON: Final = ("_fixed", "_fixed_mv", "_fixed_pf", "_fixed_lsb")
"""Ends of the names of strengths whose draws neighbours may have in common."""
_ALONE: Final = ("synapse_fixed", "weight_dac_fixed", "madc_gain_fixed", "madc_offset_fixed_lsb")
"""But not of these: fields of synapses go with rows and circuits, bits have none, and there is one MADC."""


@dataclass(frozen=True)
class _Spread:
    """A strength that is a standard deviation."""

    name: str
    needs: tuple[str, ...]
    parts: Callable[[Measurements], Parts]
    how: str
    bend: Callable[[float], float] = float

    def estimate(self, given: Sequence[Measurements]) -> Estimate:
        found = [self.parts(m) for m in given]
        if self.name.endswith(_OF_SILICON) and self.name not in _ALONE:
            found = [(neighbours.of_chip(gross, m), other) for (gross, other), m in zip(found, given, strict=True)]
        gross, other = pooled([p[0] for p in found]), pooled([p[1] for p in found])
        value, low, high = (self.bend(x) for x in difference(gross, other))
        return Estimate(self.name, value, low, high, gross.freedom + 1 if math.isfinite(gross.freedom) else 0, self.how)


@dataclass(frozen=True)
class _Direct:
    """A strength that is found with its interval at once."""

    name: str
    needs: tuple[str, ...]
    interval: Callable[[Sequence[Measurements]], tuple[float, float, float]]
    how: str

    def estimate(self, given: Sequence[Measurements]) -> Estimate:
        return Estimate(self.name, *self.interval(given), len(given), self.how)


@dataclass(frozen=True)
class _Share:
    """A strength that is a probability."""

    name: str
    needs: tuple[str, ...]
    counts: Callable[[Measurements], tuple[int, int]]
    how: str

    def estimate(self, given: Sequence[Measurements]) -> Estimate:
        hits, of = (sum(n) for n in zip(*(self.counts(m) for m in given), strict=True))
        return Estimate(self.name, *share(hits, of), of, self.how)


@dataclass(frozen=True)
class _ThresholdMean:
    """How far thresholds lie above their target in the mean, beyond leak potentials."""

    name: str = "v_threshold_residual_mean_mv"
    needs: tuple[str, ...] = ("boot/v_threshold_mv", "boot/v_leak_mv", "boot/rise_mv")
    how: str = "mean of threshold minus leak potential after calibration"

    def estimate(self, given: Sequence[Measurements]) -> Estimate:
        found, errors, n = [], [], 0
        for m in given:
            rise = known_mean(m["boot/v_threshold_mv"]) - known_mean(m["boot/v_leak_mv"])
            rise = rise[usual(rise)]
            n += rise.size
            found.append(float(rise.mean()) - m["boot/rise_mv"][0] + noise.lifted_mv(m))
            errors.append(float(rise.var(ddof=1)) / rise.size + _SCALE_MV**2 + _WARM_MV**2)
        value, error = float(np.mean(found)), 1.96 * math.sqrt(sum(errors)) / len(found)
        return Estimate(self.name, max(0.0, value), max(0.0, value - error), max(0.0, value + error), n, self.how)


_SCALE_MV: Final = 0.3
"""Error of a difference of 300 mV by the scale: slopes of leak cells differ by a percent, of 512 circuits."""


_WARM_MV: Final = 0.5
"""What all thresholds move by, if the laboratory is 1 K from where it was at calibration (docs/chip.md)."""


def _of(state: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{state}/{name}" for name in names)


_RISE: Final = _of("noise", "rise_level_mv", "rise_fraction", "rise_samples")
_BOTH: Final = ("exc", "inh")
_GAINS: Final = tuple(f"gain_{sign}_mv_per_us" for sign in _BOTH)
_TAUS: Final = tuple(f"tau_syn_{sign}_us" for sign in _BOTH)
_REFERENCES: Final = tuple(f"reference_{sign}_mv" for sign in _BOTH)
_LARGE_SMALL: Final = _of("nominal", "tau_mem_large_us", "tau_mem_small_us", "capacitance_pf")
_VOLLEYS: Final = _of("synapses", "volley_mv", "volley_time_us", "volley_slope_mv_per_us")
_SYNAPSES: Final = _of("synapses", "amplitude_mv_per_us", "weight_code")

ESTIMATORS: Final[tuple[_Spread | _Share | _Direct | _ThresholdMean, ...]] = (
    _Spread("v_leak_fixed_mv", _of("nominal", "rest_low_mv"), circuits.rest_offset, "resting potentials"),
    _Spread("v_reset_fixed_mv", _of("nominal", "v_reset_mv"), circuits.reset_offset, "reset potentials"),
    _Spread("v_threshold_fixed_mv", _of("nominal", "v_threshold_mv"), circuits.threshold_offset, "thresholds"),
    _Spread(
        "voltage_gain_fixed", _of("nominal", "rest_low_mv", "rest_high_mv"), circuits.cell_gain,
        "resting potentials at two leak codes",
    ),
    _Share("dead_fixed", _of("noise", "stamp_us"), noise.dead_circuits, "circuits that a burst does not make spike"),
    _Spread("leak_conductance_fixed", _LARGE_SMALL, circuits.leak_conductance, "membrane time constants"),
    _Spread(
        "capacitance_fixed_pf", _LARGE_SMALL, circuits.capacitance,
        "ratio of membrane time constants with large and small capacitance",
    ),
    _Spread("tau_syn_fixed", _of("nominal", *_TAUS), circuits.tau_syn, "synaptic time constants"),
    _Spread("synaptic_input_fixed", _of("nominal", *_GAINS), circuits.synaptic_input, "gains within quadrants"),
    _Spread(
        "synaptic_reference_fixed_mv", _of("nominal", *_REFERENCES), circuits.reference,
        "shifts of resting potentials by synaptic inputs",
    ),
    _Spread("synapse_dac_fixed", _of("nominal", *_GAINS), circuits.synapse_dac, "gains of quadrants"),
    _Spread("driver_fixed", _SYNAPSES, synapses.rows, "mean responses to rows"),
    _Spread("synapse_fixed", _SYNAPSES, synapses.synapses, "responses to single synapses"),
    _Spread("weight_dac_fixed", _SYNAPSES, synapses.weight_bits, "responses to weight codes without a common bit"),
    _Share("dead_row_fixed", _SYNAPSES, synapses.dead_rows, "rows that no circuit responds to"),
    _Spread("cadc_gain_fixed", _of("nominal", "cadc_slope_lsb_per_mv"), circuits.cadc_gain, "slopes of channels"),
    _Spread(
        "cadc_offset_fixed_lsb", _of("nominal", "cadc_slope_lsb_per_mv", "cadc_zero_lsb"), circuits.cadc_offset,
        "offsets of channels",
    ),
    _Spread("madc_gain_fixed", _of("nominal", "madc_slope_lsb_per_mv"), circuits.madc_gain, "slope of the MADC"),
    _Spread(
        "madc_offset_fixed_lsb", _of("nominal", "madc_slope_lsb_per_mv", "madc_zero_lsb"), circuits.madc_offset,
        "offset of the MADC",
    ),
    _Direct("correlated_fixed", tuple(neighbours.QUANTITIES), neighbours.interval, "circuits side by side"),
    _Direct("input_compression_fixed", _VOLLEYS, lambda given: inputs.loss(given, 0), "shape of strong responses"),
    _Direct("input_headroom_fixed", _VOLLEYS, lambda given: inputs.loss(given, 1), "shape of strong responses"),
    _Spread("v_leak_residual_mv", _of("boot", "v_leak_mv"), circuits.leak_left, "resting potentials"),
    _Spread("v_reset_residual_mv", _of("boot", "v_reset_mv"), circuits.reset_left, "reset potentials"),
    _Spread("v_threshold_residual_mv", _of("boot", "v_threshold_mv"), circuits.threshold_left, "thresholds"),
    _ThresholdMean(),
    _Spread("tau_mem_residual", _of("boot", "tau_mem_us"), circuits.tau_mem_left, "membrane time constants"),
    _Spread("tau_syn_residual", _of("boot", *_TAUS), circuits.tau_syn_left, "synaptic time constants"),
    _Spread("synaptic_input_residual", _of("boot", *_GAINS), circuits.gain_left, "gains"),
    _Spread(
        "synaptic_reference_residual_mv", _of("boot", *_REFERENCES), circuits.reference_left,
        "shifts of resting potentials by synaptic inputs",
    ),
    _Direct(
        "cadc_slope_residual",
        (*_of("boot", *_GAINS, "v_leak_mv", "v_threshold_mv", "rise_mv"), "nominal/cadc_slope_lsb_per_mv"),
        circuits.slopes_left, "gains and thresholds by the slopes of channels",
    ),
    _Spread(
        "membrane_trial_mv", _of("noise", "membrane_covariance_mv2", "membrane_lag_us", "membrane_tau_us"),
        noise.membrane, "autocovariance of membranes at rest",
    ),
    _Spread("threshold_trial_mv", _RISE, noise.threshold, "widths of the rise of the share of samples with a spike"),
    _Spread("amplitude_trial", _SYNAPSES, synapses.events, "what responses to an event have in common"),
    _Spread("jitter_trial_us", _of("noise", "stamp_us"), noise.stamps, "stamps of one spike", noise.uncut_us),
    _Spread("rewrite_trial_codes", _of("noise", "rest_mv"), noise.rewrite, "resting potentials, written anew"),
    _Spread("drift_trial_mv", (*_RISE, "noise/rise_time_s"), noise.drift, "thresholds two hours apart"),
    _Spread("cadc_trial_lsb", _of("noise", "cadc_variance_lsb2"), noise.cadc, "channels that read one membrane"),
    _Spread("madc_trial_lsb", _of("noise", "madc_variance_lsb2"), noise.madc, "readings that follow one another"),
    _Share("link_loss_trial", _of("events", "sent", "lost"), synapses.lost, "events that did not arrive"),
)  # fmt: skip
"""In the order of docs/chip.md."""

_WRITTEN: Final = "needs the same cell written beside others; calibrations show what it leaves"
_WARM: Final = "a host cannot set the temperature; what it moves within hours is taken off the drift"
_MODELS: Final = "neurons with adaptation, exponential term or conductances were not measured"
_RESTED: Final = "rows rest between their events here"
_ALONE_THERE: Final = "nothing waits here: circuits of one event output spike one at a time"
NOT_MEASURED: Final = {
    "v_other_fixed_mv": _MODELS,
    "adaptation_fixed": _MODELS,
    "exponential_fixed": _MODELS,
    "coba_fixed": _MODELS,
    "correlation_amplitude_fixed": "correlation sensors were not measured",
    "correlation_tau_fixed": "correlation sensors were not measured",
    "crosstalk_neighbour_fixed": _WRITTEN,
    "crosstalk_crowding_fixed_codes": _WRITTEN,
    "temperature_trial_k": _WARM,
    **{
        f"{what}_temperature_{kind}_per_k": _WARM
        for what, unit in (("threshold", "_mv"), ("tau_mem", ""), ("tau_syn", ""))
        for kind in (f"fixed{unit}", f"mean_fixed{unit}")
    },
    "input_compression_spread_fixed": "single responses are too noisy",
    "driver_depletion_fixed": _RESTED,
    "driver_depletion_spread_fixed": _RESTED,
    "event_wait_fixed": _ALONE_THERE,
    "event_wait_trial": _ALONE_THERE,
}
"""Strengths that no measurement here tells, and why."""


@doing("estimating strengths")
def fit_chip(
    measurements: str | Path | Measurements | Sequence[str | Path | Measurements], *, base: str = "typical"
) -> FittedChip:
    """Estimate the strengths of a kind of chip from measurements of one or several.

    Parameters
    ----------
    measurements : path, Measurements, or a sequence of them
        Of chips of one kind: their circuits are taken together.
    base : str
        Named chip whose strengths hold where the measurements say nothing.

    Returns
    -------
    FittedChip

    Raises
    ------
    MissingFileError, UnreadableFileError
        No such file, or something else in it.
    InvalidInputError
        No measurements, or nothing in them that a strength follows from.

    Examples
    --------
    >>> hxloop.fit_chip(["seven.h5", "eight.h5"]).file.save("ours.toml")  # doctest: +SKIP
    """
    ChipFile(base=base)
    listed: Sequence[Any] = measurements if isinstance(measurements, list | tuple) else [measurements]
    given = [m if isinstance(m, Measurements) else load_measurements(m) for m in listed]
    if not given:
        raise InvalidInputError("no measurements", field="measurements", hint="hxloop measure makes them")
    estimates, kept = [], dict(NOT_MEASURED)
    for estimator in ESTIMATORS:
        able = [m for m in given if all(name in m for name in estimator.needs)]
        if not able:
            missing = next(name for name in estimator.needs if any(name not in m for m in given))
            kept[estimator.name] = f"{missing} was not measured"
            continue
        found = estimator.estimate(able)
        estimates.append(found)
        if not found.sure:
            kept[found.name] = f"{found.low:.3g} .. {found.high:.3g} by {found.draws:.0f} draws: too little is known"
    if not estimates:
        raise InvalidInputError(
            "nothing in these measurements tells a strength", field="measurements", hint="docs/files.md lists what does"
        )
    return FittedChip(base, tuple(estimates), kept, tuple(str(m.identity) for m in given))
