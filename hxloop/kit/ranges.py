"""Numbers as settings take them.

Bounds are far outside of what any chip has, and near enough for all arithmetic behind them to stay finite.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, JsonValue

Positive = Annotated[float, Field(ge=1e-6, le=1e6)]
NotNegative = Annotated[float, Field(ge=0, le=1e6)]
Signed = Annotated[float, Field(ge=-1e6, le=1e6)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOrZero = Annotated[int, Field(ge=0, le=1_000_000)]

TAU_SYN: Final[dict[str, JsonValue]] = {"unit": "tau_syn"}
"""Unit of settings whose names do not say it; every setting has a description (`hxloop study --list`)."""
