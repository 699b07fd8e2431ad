"""Rewrite noise: analog cells never hold exactly the code that was written, and another value each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop.program import flatten, hash_arrays
from hxloop.seeds import generator
from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes, SharedCodes
    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mismatch import Mismatch


class RewriteNoise(Mechanism):
    """Cell = code + x, redrawn for every analog configuration; weights are not in the analog memory."""

    reference = "docs/chip.md"
    strengths: ClassVar = {
        "rewrite_trial_codes": Strength(
            "LSB", "assumed", "CapMem cells, whenever analog parameters are written", "cell = code + x", "temporal"
        )
    }

    def written(
        self,
        s: Imperfections,
        cells: NDArray[np.float64],
        neurons: NeuronCodes,
        shared: SharedCodes,
        silicon: Mismatch,
    ) -> NDArray[np.float64]:
        """Cells with noise; a function of serial number and codes."""
        name = hash_arrays({**flatten(neurons, "neurons"), **flatten(shared, "shared")})
        noise = generator(silicon.draws.serial, "rewrite", name).standard_normal(
            (silicon.draws.spec.n_circuits, len(Cell))
        )
        return np.asarray(cells + s.rewrite_trial_codes * noise[neurons.circuit])
