"""Statistics of a population, beside the published bounds of calibration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_chip.report.population import Parameter

    Floats = NDArray[np.float64]

BOUNDS: Final = {
    "v_leak": 0.30,
    "v_reset": 0.20,
    "v_threshold": 0.35,
    "tau_mem": 0.45,
    "tau_syn_exc": 0.20,
    "tau_syn_inh": 0.20,
}
"""Published: std calibrated / std uncalibrated, 5 % trimmed at each end (calix, tests/hw/py/test_neuron.py)."""

CADC_BOUND_LSB: Final = 3.0
"""Published: std of calibrated CADC channels (calix, test_cadc)."""


@dataclass(frozen=True)
class Summary:
    """Statistics of a `Parameter`.

    Attributes
    ----------
    name, unit, meaning : str
    target : float
    mean, std, low, high : float
        Over all values of all chips; 5 % and 95 % quantiles.
    n_values, n_chips : int
    std_before : float or None
        Standard deviation of the same silicon with nominal codes.
    ratio, largest_ratio : float or None
        Trimmed standard deviation of a chip over that before calibration: mean and largest of all chips.
    bound : float or None
        Published bound of the ratio.
    """

    name: str
    unit: str
    meaning: str
    target: float
    mean: float
    std: float
    low: float
    high: float
    n_values: int
    n_chips: int
    std_before: float | None
    ratio: float | None
    largest_ratio: float | None
    bound: float | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def summarise(parameter: Parameter) -> Summary:
    """Numbers of one parameter."""
    values = np.concatenate(parameter.values)
    pairs = zip(parameter.values, parameter.before, strict=bool(parameter.before))
    ratios = [trimmed_std(after) / trimmed_std(before) for after, before in pairs if trimmed_std(before) > 0]
    low, high = np.quantile(values, [0.05, 0.95])
    return Summary(
        name=parameter.name,
        unit=parameter.unit,
        meaning=parameter.meaning,
        target=parameter.target,
        mean=float(values.mean()),
        std=float(values.std()),
        low=float(low),
        high=float(high),
        n_values=values.size,
        n_chips=len(parameter.values),
        std_before=float(np.concatenate(parameter.before).std()) if parameter.before else None,
        ratio=float(np.mean(ratios)) if ratios else None,
        largest_ratio=max(ratios) if ratios else None,
        bound=BOUNDS.get(parameter.name) if ratios else None,
    )


def trimmed_std(values: Floats) -> float:
    """Standard deviation without the lowest and the highest 5 %, as calix has it."""
    low, high = np.quantile(values, [0.05, 0.95])
    return float(np.std(values[(values >= low) & (values <= high)]))
