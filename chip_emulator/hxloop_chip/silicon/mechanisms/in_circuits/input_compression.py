"""Compression of synaptic inputs: large currents and a membrane far from leak pass on less."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from hxloop.codes.nominal import capacitance_pf
from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop_chip.silicon.circuits import Circuits
    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mismatch import Mismatch

REFERENCE_MV_PER_US: Final = 100.0
"""Current at which the loss by compression is what its strength says: so fast it charges a membrane of full
capacitance."""
REFERENCE_MV: Final = 100.0
"""Membrane above or below leak at which the loss of headroom is what its strength says."""
FULL_CAPACITANCE_CODE: Final = 63

_LARGEST_LOSS: Final = 0.9  # of a circuit at the reference, whatever its draw
_HIGHEST: Final = 0.5  # of the strengths, far beyond any transconductor in use
_TABLE: Final = "fixed_currents"
_ASSUMED: Final = "assumed; transconductors of the inputs saturate and are biased for range (arXiv:2209.09280)"


class InputCompression(Mechanism):
    """I / (1 + c I + h (V - V_leak)) into the membrane: above leak for excitation, its mirror image for inhibition."""

    reference = "docs/solver.md#compressed-inputs"
    strengths: ClassVar = {
        "input_compression_fixed": Strength(
            "1",
            _ASSUMED,
            "relative loss of a synaptic input at a current of its own that lifts the membrane by 100 mV/us",
            "I / (1 + c I + h |V - V_leak|), 1 / (1 + c I) = 1 - s at 100 mV/us x 2.3 pF",
            _TABLE,
            _HIGHEST,
        ),
        "input_headroom_fixed": Strength(
            "1",
            _ASSUMED,
            "relative loss of excitation at a membrane 100 mV above leak, of inhibition 100 mV below it",
            "1 / (1 + h |V - V_leak|) = 1 - s at 100 mV",
            _TABLE,
            _HIGHEST,
        ),
        "input_compression_spread_fixed": Strength(
            "1", "assumed", "spread of both, log-normal, per circuit and sign, independent", "s exp(x)", _TABLE
        ),
    }
    deviations: ClassVar = {
        "input_compression": ("1", "loss of a synaptic input at 100 mV/us (excitatory and inhibitory, circuit)"),
        "input_headroom": ("1", "loss of a synaptic input at 100 mV (excitatory and inhibitory, circuit)"),
    }

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Losses."""
        n, spread = draws.spec.n_circuits, s.input_compression_spread_fixed
        of = {"input_compression": s.input_compression_fixed, "input_headroom": s.input_headroom_fixed}
        return {
            name: np.minimum(strength * draws.factor(name, spread, 2, n), _LARGEST_LOSS)
            for name, strength in of.items()
        }

    def circuits(self, s: Imperfections, circuits: Circuits, circuit: NDArray[np.int64], silicon: Mismatch) -> Circuits:
        """Losses for each nA and for each mV."""
        reference_na = REFERENCE_MV_PER_US * capacitance_pf(np.array(FULL_CAPACITANCE_CODE))
        return replace(
            circuits,
            compression_per_na=_slope(silicon.deviation("input_compression")[:, circuit]) / reference_na,
            headroom_per_mv=_slope(silicon.deviation("input_headroom")[:, circuit]) / REFERENCE_MV,
        )


def _slope(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """The x with 1 / (1 + x) = 1 - loss."""
    return loss / (1.0 - loss)
