"""How a calibration goes about its work."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hxloop.kit.strict import Strict
from hxloop.seeds import SEED_MAX
from hxloop_calibration.targets import Positive

SearchName = Literal["model", "binary", "noisy-binary", "linear"]
Method = Literal["default", "published"]
"""Families of routines: this project's, and what the public calibration of the chip (calix) does."""


class Options(Strict):
    """Options of a calibration; with the target and the chip, they decide every number in the table.

    Attributes
    ----------
    method : str
        ``default`` or ``published``: whose routines find the codes and measure what they come to.
    seed : int
        Root of all random numbers: of the searches, and the name of the trial on an emulated chip.
    only : tuple of str
        Routines to run, and what these need; empty: all that the target asks for.
    search : dict of str to str
        Search algorithm of single routines, instead of their own.
    tolerance : dict of str to float
        Largest residual that counts as success, for single parameters, instead of the routines' own.
    rewrites : int
        Times that the codes are written and everything is measured again at the end.
    drift_limit_us : float
        The table has expired when the answers to a standard stimulus moved by more than this (root mean square).
    begin_s : float
        Chip time at which the calibration begins. An emulated chip drifts with it; silicon has its own clock.
    """

    method: Method = "default"
    seed: Annotated[int, Field(ge=0, le=SEED_MAX)] = 0
    only: tuple[str, ...] = ()
    search: dict[str, SearchName] = Field(default_factory=dict)
    tolerance: dict[str, Positive] = Field(default_factory=dict)
    rewrites: Annotated[int, Field(ge=2, le=100)] = 4
    drift_limit_us: Positive = 0.1
    begin_s: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0
