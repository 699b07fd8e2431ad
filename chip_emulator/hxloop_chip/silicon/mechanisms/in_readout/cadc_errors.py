"""CADC: gain and offset of each channel, and noise of each reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mechanisms.mechanism import Reads
    from hxloop_chip.silicon.mismatch import Mismatch


class CadcErrors(Mechanism):
    """Reading = gain CADC(V) + offset + noise, of membranes and of correlation sensors."""

    reference = "calix tests/hw/py/test_cadc.py"
    strengths: ClassVar = {
        "cadc_gain_fixed": Strength(
            "1", "assumed", "slope of a CADC channel, log-normal", "exp(x) CADC(V)", "fixed_readout"
        ),
        "cadc_offset_fixed_lsb": Strength(
            "LSB", "calix test_cadc: offsets std < 20", "offset of a CADC channel", "CADC(V) + x", "fixed_readout"
        ),
        "cadc_slope_residual": Strength(
            "1",
            "calix: channels get digital offsets, their slopes stay (benchmarks/calibration.py: what that leaves)",
            "share of the slope errors of CADC channels that the nightly calibration takes for errors of the circuits: "
            "it makes all channels read the same, not all circuits be the same",
            "V = V_middle + (target - V_middle) / g, gain = target / g, with g = 1 + s (slope of the channel - 1)",
            "residual",
            highest=1.0,
            scales=False,
        ),
        "cadc_trial_lsb": Strength("LSB", "assumed", "noise of a CADC reading", "reading + x", "temporal"),
    }
    deviations: ClassVar = {
        "cadc_gain": ("1", "slope of a CADC channel (circuit)"),
        "cadc_offset_lsb": ("LSB", "offset of a CADC channel (circuit)"),
    }

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Gains and offsets of all channels."""
        n = draws.spec.n_circuits
        return {
            "cadc_gain": draws.factor("cadc_gain", s.cadc_gain_fixed, n),
            "cadc_offset_lsb": draws.offset("cadc_offset", s.cadc_offset_fixed_lsb, n),
        }

    def reading(self, s: Imperfections, lsb: NDArray[np.float64], reads: Reads) -> NDArray[np.float64]:
        """Noise."""
        if s.cadc_trial_lsb == 0.0 or reads.converter == "madc":
            return lsb
        from hxloop_chip.solver.random import STREAM_CADC, STREAM_CORRELATION

        stream = STREAM_CADC if reads.converter == "cadc" else STREAM_CORRELATION
        reads.draws.add_normals(lsb, s.cadc_trial_lsb, reads.channel, stream)
        return lsb
