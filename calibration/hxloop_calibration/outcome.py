"""What a calibration comes to: everything measured again, and a reason for whatever is not as wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.calibration_table import Calibrated, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.options import Options
    from hxloop_calibration.routine_interface import Parameter, Routine, Values
    from hxloop_calibration.targets import Target

    Floats = NDArray[np.float64]

COVERAGE: Final = 2.0
"""Standard deviations of what scatters from circuit to circuit: 95 %."""
COMMON_COVERAGE: Final = 3.0
"""Of what repetition does not show. Most of it all circuits of a chip have in common: with two standard deviations, one
chip in twenty would be outside with all its circuits at once."""


class Outcome:
    """A calibration under way.

    Parameters
    ----------
    bench : Bench
    target : Target
    options : Options

    Attributes
    ----------
    before : dict of str to float64 array
        Values with the codes there were at the beginning.
    """

    def __init__(self, bench: Bench, target: Target, options: Options) -> None:
        self.bench, self.target, self.options = bench, target, options
        self.before: Values = {}

    def tolerance(self, parameter: Parameter) -> float:
        """Largest residual that counts as success."""
        return self.options.tolerance.get(parameter.name, parameter.tolerance)

    def line(self, routine: Routine) -> str:
        """What a routine came to, in one line."""
        parts = []
        for p in routine.parameters(self.bench, self.target):
            values = self.bench.known[p.name]
            good = values[np.isfinite(values)]
            text = "nothing measured" if not good.size else f"{np.median(good):.4g} +- {good.std():.2g} {p.unit}"
            parts.append(f"{p.name} {text}")
        return ", ".join(parts)


def settle(outcome: Outcome, routines: Sequence[Routine]) -> dict[str, Calibrated]:
    """Write the codes and measure everything several times over.

    A search keeps what looked best, so its last measurement flatters it. What is reported is the mean of measurements
    that took no part in it. Their scatter, pooled over the circuits, shows noise and the reproducibility of writing.

    Parameters
    ----------
    outcome : Outcome
    routines : sequence of Routine
        In order.
    """
    bench, target = outcome.bench, outcome.target
    repeats: dict[str, list[Floats]] = {}
    for _ in range(outcome.options.rewrites):
        for routine in routines:
            values = routine.measure(bench, target)
            bench.known |= values
            for name, value in values.items():
                repeats.setdefault(name, []).append(value)
    found = {}
    for routine in routines:
        codes, systematic = routine.codes(bench), routine.systematic(bench, target)
        for p in routine.parameters(bench, target):
            measured = np.stack(repeats[p.name])
            achieved = _mean(measured)
            spread = pooled_std(measured) / np.sqrt(len(measured))
            uncertainty = np.hypot(COVERAGE * spread, COMMON_COVERAGE * np.asarray(systematic.get(p.name, 0.0)))
            bench.known[p.name] = achieved
            found[p.name] = Calibrated(
                name=p.name,
                unit=p.unit,
                long_name=p.long_name,
                per=p.per,
                target=np.full(len(achieved), p.target),
                code=codes.get(p.name, np.full(len(achieved), np.nan)),
                before=outcome.before[p.name],
                achieved=achieved,
                uncertainty=np.where(np.isfinite(achieved), uncertainty, np.nan),
                tolerance=outcome.tolerance(p),
                reason=_reasons(outcome, p, achieved, judged_by_edge=routine.judged_by_edge),
            )
    return found


def _mean(measured: Floats) -> Floats:
    """Mean over the repetitions, NaN where more than half of them failed."""
    good = np.isfinite(measured)
    count = good.sum(axis=0)
    total = np.where(good, measured, 0.0).sum(axis=0)
    return np.where(2 * count >= len(measured), total / np.maximum(count, 1), np.nan)


def pooled_std(measured: Floats) -> float:
    """Standard deviation of one repetition: root of the mean variance, without the 2 % largest variances."""
    variance = np.sort(np.var(measured, axis=0, ddof=1)[np.isfinite(measured).all(axis=0)])
    kept = variance[: max(1, round(0.98 * len(variance)))]
    return float(np.sqrt(kept.mean())) if kept.size else 0.0


def _reasons(outcome: Outcome, parameter: Parameter, achieved: Floats, *, judged_by_edge: bool) -> NDArray[np.uint8]:
    bench = outcome.bench
    reason = np.full(len(achieved), Reason.ok, np.uint8)
    aim = parameter.target
    edge = bench.at_edge.get(parameter.name, np.zeros(len(achieved), np.bool_))
    far = ~(np.abs(achieved - aim) <= outcome.tolerance(parameter))
    if judged_by_edge:
        reason[edge] = Reason.code_at_edge
    else:
        reason[far] = Reason.out_of_tolerance
        reason[far & edge] = Reason.code_at_edge
    lost = ~np.isfinite(achieved)
    reason[lost] = Reason.not_measurable
    if parameter.per == "circuit":
        reason[lost & bench.silent] = Reason.never_spiked
    elif parameter.name in bench.silent_entries:
        reason[lost & bench.silent_entries[parameter.name]] = Reason.never_spiked
    return reason
