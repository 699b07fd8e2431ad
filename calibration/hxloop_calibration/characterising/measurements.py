"""What was measured of one chip to characterise it, as a record; a laboratory can fill it from its own recordings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from hxloop.chip import ChipIdentity
from hxloop.errors import InvalidInputError, UnknownKeyError
from hxloop.files.records import Quantity, Record, read_record, write_record
from hxloop.kit import arguments
from hxloop.kit.arguments import shown
from hxloop.kit.brief import brief
from hxloop.kit.suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

KIND: Final = "measurements"
_LARGEST: Final = 1e9
"""No measurement comes near in its unit; squares and sums of such values are finite."""


class Entry(NamedTuple):
    """A dataset: its unit, what it is, and what its axes count."""

    unit: str
    long_name: str
    axes: tuple[str, ...]


_REPEATS: Final = ("writing", "circuit")
_OF_CIRCUITS: Final = {
    "tau_mem_us": ("us", "membrane time constant"),
    "tau_syn_exc_us": ("us", "excitatory synaptic time constant"),
    "tau_syn_inh_us": ("us", "inhibitory synaptic time constant"),
    "gain_exc_mv_per_us": ("mV/us", "slope that one excitatory event causes per weight code, mean over many synapses"),
    "gain_inh_mv_per_us": ("mV/us", "slope that one inhibitory event causes per weight code, mean over many synapses"),
    "reference_exc_mv": ("mV", "offset of the excitatory input's reference"),
    "reference_inh_mv": ("mV", "offset of the inhibitory input's reference"),
    "v_reset_mv": ("mV", "reset potential"),
    "v_threshold_mv": ("mV", "threshold"),
}
STATES: Final = {"nominal": "all circuits with the same, nominal codes", "boot": "codes of the chip's calibration"}

DATASETS: Final[dict[str, Entry]] = {
    **{
        f"{state}/{name}": Entry(unit, f"{text}; {codes}", _REPEATS)
        for state, codes in STATES.items()
        for name, (unit, text) in _OF_CIRCUITS.items()
    },
    "nominal/rest_low_mv": Entry("mV", "resting potential without synaptic inputs, low leak code", _REPEATS),
    "nominal/rest_high_mv": Entry("mV", "resting potential without synaptic inputs, high leak code", _REPEATS),
    "nominal/rest_code": Entry("1", "low and high leak code", ("level",)),
    "nominal/gain_wanted_mv_per_us": Entry("mV/us", "gain of a circuit without mismatch", ("one",)),
    "nominal/tau_mem_large_us": Entry("us", "membrane time constant, large capacitance", _REPEATS),
    "nominal/tau_mem_small_us": Entry("us", "membrane time constant, small capacitance, same leak codes", _REPEATS),
    "nominal/capacitance_pf": Entry("pF", "large and small nominal capacitance", ("level",)),
    "nominal/cadc_slope_lsb_per_mv": Entry("LSB/mV", "slope of CADC channels, digital offsets 0", _REPEATS),
    "nominal/cadc_zero_lsb": Entry("LSB", "reading of CADC channels extrapolated to 0 mV", _REPEATS),
    "nominal/madc_slope_lsb_per_mv": Entry("LSB/mV", "slope of the MADC", ("writing",)),
    "nominal/madc_zero_lsb": Entry("LSB", "reading of the MADC extrapolated to 0 mV", ("writing",)),
    "boot/v_leak_mv": Entry("mV", f"resting potential; {STATES['boot']}", _REPEATS),
    "boot/code": Entry("1", "codes of the analog cells", ("circuit", "cell")),
    "boot/rise_mv": Entry("mV", "threshold minus leak potential that the calibration aimed at", ("one",)),
    "noise/rest_mv": Entry(
        "mV",
        "resting potential, codes written anew each time, two halves of the readings",
        ("writing", "half", "circuit"),
    ),
    "noise/cadc_variance_lsb2": Entry("LSB^2", "variance of readings of one and the same potential", ("circuit",)),
    "noise/madc_variance_lsb2": Entry("LSB^2", "variance of readings of one and the same potential", ("trace",)),
    "noise/membrane_covariance_mv2": Entry("mV^2", "autocovariance of membranes at rest", ("lag", "circuit")),
    "noise/membrane_lag_us": Entry("us", "its lags, each longer than 0.6 us", ("lag",)),
    "noise/membrane_tau_us": Entry("us", "membrane time constants there", ("circuit",)),
    "noise/stamp_us": Entry(
        "us",
        "stamp of a spike that a steep slope causes, of one circuit of an event output at a time; NaN: none",
        ("sample", "circuit"),
    ),
    "noise/rise_level_mv": Entry("mV", "resting potentials, rising through the threshold", ("level", "circuit")),
    "noise/rise_fraction": Entry(
        "1", "share of samples of 1 us in which the circuit spikes", ("time", "writing", "level", "circuit")
    ),
    "noise/rise_samples": Entry("1", "samples at each level", ("one",)),
    "noise/rise_time_s": Entry("s", "chip time of the curves", ("time",)),
    "synapses/amplitude_mv_per_us": Entry(
        "mV/us", "slope that one event of a single synapse causes", ("weight", "sample", "row", "circuit")
    ),
    "synapses/weight_code": Entry("1", "weight codes", ("weight",)),
    "synapses/averaged": Entry("1", "synapses of which a gain is the mean", ("one",)),
    "synapses/volley_mv": Entry(
        "mV", "response to excitatory events, mean over samples", ("writing", "weight", "time", "circuit")
    ),
    "synapses/volley_time_us": Entry("us", "times after the events, evenly apart", ("time",)),
    "synapses/volley_slope_mv_per_us": Entry("mV/us", "nominal slopes that the events cause", ("weight",)),
    "events/sent": Entry("1", "events sent over the link, too few to overload anything", ("one",)),
    "events/lost": Entry("1", "those of them that did not arrive", ("one",)),
}
"""All that a file may hold. A circuit that cannot be measured is NaN."""


@brief
@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured of one chip. Nothing has to be there: what is missing is not fitted.

    Attributes
    ----------
    identity : ChipIdentity
        The chip.
    arrays : dict of str to float array
        Of `DATASETS`, by name.
    note : str
        Where they come from, in the words of whoever made them.
    """

    identity: ChipIdentity
    arrays: Mapping[str, NDArray[Any]]
    note: str = ""
    source: str = field(default="the measurements", repr=False)

    def __post_init__(self) -> None:
        lengths: dict[str, int] = {}
        for name, values in self.arrays.items():
            self._check(name, np.asarray(values), lengths)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> Floats:
        return np.asarray(self.arrays[name], np.float64)

    def _check(self, name: str, values: NDArray[Any], lengths: dict[str, int]) -> None:
        if name not in DATASETS:
            raise UnknownKeyError(
                f"{self.source}: no dataset is called {shown(name)}",
                field=name,
                hint=suggestion(name, DATASETS, otherwise="docs/files.md lists them"),
            )
        axes = DATASETS[name].axes
        if values.dtype.kind not in "fiu" or values.ndim != len(axes) or 0 in values.shape:
            wanted = f"[{', '.join(axes)}]"
            raise InvalidInputError(
                f"{self.source}: {name} is {values.dtype} {list(values.shape)}, not numbers {wanted}", field=name
            )
        if (np.abs(values[np.isfinite(values)]) > _LARGEST).any() or np.isinf(values).any():
            raise InvalidInputError(f"{self.source}: {name} has values beyond {_LARGEST:g}", field=name)
        if "circuit" in axes:
            n = values.shape[axes.index("circuit")]
            if lengths.setdefault("circuit", n) != n:
                raise InvalidInputError(
                    f"{self.source}: {name} has {n} circuits, others have {lengths['circuit']}",
                    field=name,
                    hint="write NaN for circuits that were not measured",
                )

    def save(self, path: str | Path) -> None:
        """Write them, whole or not at all.

        Raises
        ------
        InvalidInputError
            No path.
        RecordError
            The file cannot be written.
        """
        attributes = {"chip_identity": self.identity.model_dump_json(), "note": self.note}
        quantities = {
            name: Quantity(np.asarray(values), DATASETS[name].unit, DATASETS[name].long_name)
            for name, values in self.arrays.items()
        }
        write_record(arguments.path(path, "path"), Record(KIND, attributes, quantities))


def load_measurements(path: str | Path) -> Measurements:
    """Read measurements.

    Raises
    ------
    MissingFileError
        No such file.
    UnreadableFileError
        Damaged, or something else.
    InvalidInputError, UnknownKeyError
        A dataset nobody knows, or with another shape than it should have.
    """
    file = arguments.path(path, "measurements", "a file of measurements (str or Path)")
    record = read_record(file, KIND, field="measurements", written_by="hxloop measure")
    return Measurements(
        record.described("chip_identity", ChipIdentity),
        {name: quantity.values for name, quantity in record.quantities.items()},
        record.text("note"),
        source=record.source,
    )
