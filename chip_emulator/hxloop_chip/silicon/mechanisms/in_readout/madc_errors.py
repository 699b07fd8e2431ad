"""MADC: gain and offset of the one there is, and noise of each reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mechanisms.mechanism import Reads
    from hxloop_chip.silicon.mismatch import Mismatch


class MadcErrors(Mechanism):
    """Reading = gain MADC(V) + offset + noise."""

    reference = "docs/readout.md"
    strengths: ClassVar = {
        "madc_gain_fixed": Strength("1", "assumed", "slope of the MADC, log-normal", "exp(x) MADC(V)", "fixed_readout"),
        "madc_offset_fixed_lsb": Strength("LSB", "assumed", "offset of the MADC", "MADC(V) + x", "fixed_readout"),
        "madc_trial_lsb": Strength("LSB", "assumed", "noise of a MADC reading", "reading + x", "temporal"),
    }
    deviations: ClassVar = {
        "madc_gain": ("1", "slope of the MADC"),
        "madc_offset_lsb": ("LSB", "offset of the MADC"),
    }

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Gain and offset."""
        return {
            "madc_gain": float(draws.factor("madc_gain", s.madc_gain_fixed, 1)[0]),
            "madc_offset_lsb": float(draws.offset("madc_offset", s.madc_offset_fixed_lsb, 1)[0]),
        }

    def reading(self, s: Imperfections, lsb: NDArray[np.float64], reads: Reads) -> NDArray[np.float64]:
        """Noise, addressed by sample and number of the reading."""
        if s.madc_trial_lsb == 0.0 or reads.converter != "madc":
            return lsb
        from hxloop_chip.solver.random import STREAM_MADC

        n_samples, n_reads, _ = lsb.shape
        flat = lsb.reshape(n_samples, 1, n_reads)
        reads.draws.add_normals(flat, s.madc_trial_lsb, np.arange(n_reads), STREAM_MADC)
        return flat.reshape(lsb.shape)
