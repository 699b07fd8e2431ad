"""What a calibration aims at, and which aims no chip can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from hxloop.codes import nominal
from hxloop.codes.boot import OperatingPoint
from hxloop.codes.operating_point import Wanted, codes_for, nominal_boot
from hxloop.codes.relay_point import RELAY
from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop.files.toml import load_preset
from hxloop.kit.strict import Strict

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hxloop.codes.boot import BootSettings
    from hxloop.program import NeuronCodes
    from hxloop.spec import ChipSpec

Positive = Annotated[float, Field(gt=0, le=1e6)]
Potential = Annotated[float, Field(gt=0, le=1200, description="mV, up to the supply")]


class CadcTarget(Strict):
    """Two potentials and what the CADC should read at them; between, it is linear."""

    low_mv: Potential = 150.0
    low_lsb: Positive = 20.0
    high_mv: Potential = 1050.0
    high_lsb: Positive = 220.0

    @property
    def mv_per_lsb(self) -> float:
        """Slope of the line."""
        return (self.high_mv - self.low_mv) / (self.high_lsb - self.low_lsb)

    def lsb(self, v_mv: float) -> float:
        """What should be read at a potential."""
        return self.low_lsb + (v_mv - self.low_mv) * (self.high_lsb - self.low_lsb) / (self.high_mv - self.low_mv)

    def mv(self, lsb: NDArray[np.float64]) -> NDArray[np.float64]:
        """Potentials that should give these readings."""
        return np.asarray(self.low_mv + (lsb - self.low_lsb) * self.mv_per_lsb)


class AdaptationTarget(Strict):
    """Adaptation current of all circuits."""

    tau_us: Positive = 100.0
    a_ns: Positive = 100.0
    b_na: Positive = 5.0


class RateTarget(Strict):
    """All circuits spike regularly, because their leak potential is above the threshold."""

    rate_khz: Positive = 40.0


class CorrelationTarget(Strict):
    """Correlation sensors: time constant, and what one pair of coincident events adds."""

    tau_us: Positive = 5.0
    amplitude_lsb: Positive = 0.5


class DelayTarget(Strict):
    """Delays of delay neurons are measured; nothing is set."""

    repeats: Annotated[int, Field(ge=1, le=100, description="events at each trigger in a measurement")] = 5


class Target(Strict):
    """Aims of a calibration. A table that is left out is not calibrated.

    References
    ----------
    calix, include/ccalix/neuron_calib_target.h and cadc_calib_target.h (defaults and ranges).
    """

    neuron: OperatingPoint = OperatingPoint()
    cadc: CadcTarget = CadcTarget()
    adaptation: AdaptationTarget | None = None
    rates: RateTarget | None = None
    correlation: CorrelationTarget | None = None
    delays: DelayTarget | None = None

    @model_serializer(mode="wrap")
    def _without_no_delays(self, values_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Values; targets without delays are written as before there were any (keys of tables hash it)."""
        values: dict[str, Any] = values_of(self)
        if self.delays is None:
            values.pop("delays", None)
        return values

    def check(self, spec: ChipSpec) -> None:
        """Refuse what the datasheet rules out; nothing is run.

        Raises
        ------
        OutOfRangeError
            A value outside the datasheet's range, or one that needs a code outside its range even without mismatch.
        InvalidInputError
            Values that contradict one another.
        """
        for name, value in self.neuron.model_dump().items():
            low, high = getattr(spec, name)
            if not low <= value <= high:
                raise OutOfRangeError(
                    f"{value:g} is outside {low:g}..{high:g} of {spec.name} ({spec.sources()[name][0]})",
                    field=f"neuron.{name}",
                )
        n = self.neuron
        if n.v_threshold_mv <= max(n.v_leak_mv, n.v_reset_mv):
            raise InvalidInputError(
                f"the threshold ({n.v_threshold_mv:g} mV) must be above leak ({n.v_leak_mv:g} mV) and reset "
                f"({n.v_reset_mv:g} mV), or the circuit spikes without end",
                field="neuron.v_threshold_mv",
            )
        if n.synapse_gain_mv_per_us <= 0:
            raise OutOfRangeError(
                "must be above 0: without a gain there is nothing to calibrate", field="neuron.synapse_gain_mv_per_us"
            )
        start_codes(self, nominal_boot(spec), spec)
        if self.delays is not None:
            codes_for(Wanted.at(RELAY, np.zeros(1, np.int16)), nominal_boot(spec, self.neuron), spec)
        if self.cadc.low_mv >= self.cadc.high_mv or self.cadc.low_lsb >= self.cadc.high_lsb:
            raise InvalidInputError("the high potential and reading must be above the low ones", field="cadc.high_mv")
        self._check_reading("cadc.low_lsb", self.cadc.low_lsb)
        self._check_reading("cadc.high_lsb", self.cadc.high_lsb)
        for field, value, code in self._codes():
            if not 1.0 <= code <= spec.capmem_code_max:
                raise OutOfRangeError(
                    f"{value:g} needs the code {code:.0f}, outside 1..{spec.capmem_code_max}", field=field
                )
        if self.rates is not None:
            # Slower, the leak is so close to the threshold that noise decides; faster, it is out of reach.
            low, high = (1e3 / (n.t_refractory_us + taus * n.tau_mem_us) for taus in (3.0, 0.1))
            if not low <= self.rates.rate_khz <= high:
                raise OutOfRangeError(
                    f"{self.rates.rate_khz:g} kHz is outside {low:.3g}..{high:.3g} kHz, what refractory period "
                    f"({n.t_refractory_us:g} us) and membrane ({n.tau_mem_us:g} us) allow",
                    field="rates.rate_khz",
                )

    @staticmethod
    def _check_reading(field: str, lsb: float) -> None:
        if not 0 < lsb < 255:
            raise OutOfRangeError(f"{lsb:g} is outside 1..254, what 8 bits can show", field=field)

    def _codes(self) -> list[tuple[str, float, float]]:
        """Field, value and nominal code of what is not part of the operating point."""
        found = []
        if self.adaptation is not None:
            a = self.adaptation
            found += [
                ("adaptation.tau_us", a.tau_us, nominal.ADAPT_TAU_US_CODE / a.tau_us),
                ("adaptation.a_ns", a.a_ns, a.a_ns / nominal.ADAPT_A_NS_PER_CODE),
                ("adaptation.b_na", a.b_na, a.b_na / nominal.ADAPT_B_NA_PER_CODE),
            ]
        if self.correlation is not None:
            c = self.correlation
            found += [
                ("correlation.tau_us", c.tau_us, nominal.CORRELATION_TAU_US_CODE / c.tau_us),
                ("correlation.amplitude_lsb", c.amplitude_lsb, c.amplitude_lsb / nominal.CORRELATION_LSB_PER_CODE),
            ]
        return found


PRESETS: Final[dict[str, Target]] = {
    "lif-6us": Target(),
    "lif-10us": Target(
        neuron=OperatingPoint(
            v_reset_mv=375.0, v_threshold_mv=622.5, tau_mem_us=10.0, tau_syn_us=10.0, t_refractory_us=2.0,
            synapse_gain_mv_per_us=0.45,
        )
    ),
    "jaxsnn-12-6": Target(neuron=OperatingPoint(tau_mem_us=12.0, t_refractory_us=30.0)),
}  # fmt: skip
"""``lif-6us``: calix nightly "spiking2"; ``lif-10us``: calix defaults; ``jaxsnn-12-6``: jaxsnn's Yin-Yang on the chip.

The synaptic gains are this project's: published ones are codes.
"""


def load_target(preset: str | Path) -> Target:
    """Target of a preset (one of `PRESETS`) or of a TOML file.

    Raises
    ------
    MissingFileError
        No such file.
    UnknownKeyError
        A key nobody knows; the nearest one is suggested.
    InvalidInputError
        Neither a preset nor a TOML file, or a value of the wrong type.
    """
    return load_preset(preset, Target, PRESETS, PRESETS.__getitem__, "calibration preset")


def start_codes(target: Target, boot: BootSettings, spec: ChipSpec) -> NeuronCodes:
    """Codes to begin with: those of the boot settings, moved to the target along the nominal curves.

    Returns
    -------
    NeuronCodes
        One entry per circuit of the chip.

    Raises
    ------
    OutOfRangeError
        Even a circuit without mismatch would need a code outside its range.
    """
    wanted = Wanted.at(target.neuron, np.arange(spec.n_circuits, dtype=np.int16))
    return codes_for(wanted, boot, spec)
