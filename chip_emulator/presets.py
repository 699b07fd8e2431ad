"""Named chips: a datasheet and the strength of every imperfection."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from chip_emulator.settings import Imperfections
from hxloop.errors import InvalidInputError
from hxloop.spec import HICANN_X, TEXTBOOK

if TYPE_CHECKING:
    from hxloop.spec import ChipSpec

TYPICAL: Final = Imperfections(
    v_leak_fixed_mv=3.0,
    v_reset_fixed_mv=4.5,
    v_threshold_fixed_mv=12.0,
    tau_mem_fixed=0.05,
    tau_syn_fixed=0.05,
    synaptic_input_fixed=0.05,
    driver_fixed=0.03,
    synapse_fixed=0.08,
    membrane_trial_mv=2.0,
    threshold_trial_mv=4.7,
    amplitude_trial=0.02,
    jitter_trial_us=0.06,
)
"""A calibrated chip; first values, fitted to published figures in a later release (docs/chip.md)."""

CHIPS: Final[dict[str, tuple[ChipSpec, Imperfections]]] = {
    "ideal": (TEXTBOOK, Imperfections()),
    "typical": (HICANN_X, TYPICAL),
    "rough": (HICANN_X, TYPICAL.scaled(2.0)),
}


def named_chip(name: str) -> tuple[ChipSpec, Imperfections]:
    """Datasheet and imperfections of a named chip.

    Raises
    ------
    InvalidInputError
        No chip of that name.
    """
    if name not in CHIPS:
        near = difflib.get_close_matches(name, CHIPS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(CHIPS)
        raise InvalidInputError(f"no chip is called {name!r}", field="chip", hint=hint)
    return CHIPS[name]
