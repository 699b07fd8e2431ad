"""Crosstalk of the analog memory: what a cell holds depends on what other cells were written to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop.spec import quadrant
from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes, SharedCodes
    from hxloop.spec import ChipSpec
    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mismatch import Mismatch

    Floats = NDArray[np.float64]

_ROWS: Final = (
    (
        Cell.v_leak, Cell.v_reset, Cell.v_threshold, Cell.e_reversal_exc, Cell.e_reversal_inh, Cell.v_adapt_leak,
        Cell.v_exp,
    ),
    (Cell.i_leak,),
    (
        Cell.i_tau_syn_exc, Cell.i_coba_exc, Cell.i_shift_exc, Cell.i_gm_exc, Cell.i_tau_syn_inh, Cell.i_coba_inh,
        Cell.i_shift_inh, Cell.i_gm_inh, Cell.i_adapt_tau, Cell.i_adapt_a, Cell.i_adapt_b, Cell.i_exp, Cell.i_offset,
    ),
)  # fmt: skip
"""Cells of a circuit as they lie above one another (halco vx/capmem.cpp; those of i_coba are assumed). Between the
parts lie cells that are not modelled and hold the same all the time; what they pull is left out."""

_BELOW: Final = np.arange(len(Cell))  # of each cell; itself where there is none
_ABOVE: Final = np.arange(len(Cell))
for _part in _ROWS:
    _BELOW[list(_part[1:])] = _part[:-1]
    _ABOVE[list(_part[:-1])] = _part[1:]

NEAR_CODES: Final = 3.0
"""Cells whose codes differ by no more hold the same, as far as crowding goes (assumed; calix spreads codes by +-5)."""


class CellCrosstalk(Mechanism):
    """Held = code + pull of the two neighbours in the circuit + shift by cells of the quadrant that hold the same.

    Both are fixed for a circuit and a cell, so that a calibration can find codes that end right; but when it writes
    other cells afterwards, what it has calibrated moves.
    """

    reference = "calix common/algorithms.py, common/helpers.py (issue 2654)"
    strengths: ClassVar = {
        "crosstalk_neighbour_fixed": Strength(
            "1",
            "assumed; calix spiking/__init__.py calibrates potentials again because of it",
            "pull of an analog cell by each neighbour among the cells of its circuit, per circuit, cell and neighbour",
            "cell = code + x1 (code_below - code) + x2 (code_above - code)",
            "fixed_neighbours",
            highest=0.05,
        ),
        "crosstalk_crowding_fixed_codes": Strength(
            "LSB",
            "assumed; calix helpers.py writes equal codes with +-5 codes of noise because of it (issue 2654)",
            "shift of an analog cell if all circuits of its quadrant hold the same in that cell, per circuit and cell",
            "cell = code + x (share of the quadrant's other configured circuits within 3 codes)",
            "fixed_neighbours",
            highest=20.0,
        ),
    }
    deviations: ClassVar = {
        "cell_pull": ("1", "share of a neighbour's code that a cell takes on (below and above, cell, circuit)"),
        "cell_crowding_codes": ("LSB", "shift of a cell when all of its quadrant hold the same (cell, circuit)"),
    }

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Shares and shifts."""
        n_cells, n = len(Cell), draws.spec.n_circuits
        return {
            "cell_pull": draws.offset("crosstalk_neighbour", s.crosstalk_neighbour_fixed, 2, n_cells, n),
            "cell_crowding_codes": draws.offset(
                "crosstalk_crowding", s.crosstalk_crowding_fixed_codes, n_cells, n
            ),
        }  # fmt: skip

    def written(
        self, s: Imperfections, cells: Floats, neurons: NeuronCodes, shared: SharedCodes, silicon: Mismatch
    ) -> Floats:
        """Cells that pull at one another; none is pulled below one code that was written to hold more."""
        circuit = neurons.circuit.astype(np.int64)
        below, above = silicon.deviation("cell_pull")[:, :, circuit].transpose(0, 2, 1)
        held = cells + below * (cells[:, _BELOW] - cells) + above * (cells[:, _ABOVE] - cells)
        if s.crosstalk_crowding_fixed_codes:
            shift = silicon.deviation("cell_crowding_codes")[:, circuit].T
            held += shift * crowding(cells, circuit, silicon.draws.spec)
        return np.asarray(np.maximum(held, np.minimum(cells, 1.0)))


def crowding(cells: Floats, circuit: NDArray[np.int64], spec: ChipSpec) -> Floats:
    """Share of the other circuits of a quadrant whose cell is within `NEAR_CODES` of one's own, float64 [n, n_cells].

    Circuits that are not configured hold nothing.
    """
    n_cells = cells.shape[1]
    place = quadrant(circuit, spec)
    span = 4.0 * (np.ptp(cells) + NEAR_CODES)  # apart enough for groups to be searched all at once
    values = cells + span * (n_cells * place[:, None] + np.arange(n_cells))
    ordered = np.sort(values, axis=None)
    first = np.searchsorted(ordered, values - NEAR_CODES, "left")
    last = np.searchsorted(ordered, values + NEAR_CODES, "right")
    configured = np.bincount(place, minlength=spec.n_quadrants)[place]
    return np.asarray((last - first - 1) / configured[:, None])
