"""What about a point is drawn by chance, and which points are therefore the same.

A chip without fixed patterns, residuals and noise is the same chip under every serial number; a test without noise
gives the same in every trial. Such points are one point: computed once, and counted once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hxloop_host.studies.design.sheet import strengths_of

if TYPE_CHECKING:
    from hxloop_host.studies.design.point import Point

_FIRST_SERIAL = 1
_FIRST_TRIAL = 0


def drawn(point: Point) -> Point:
    """The first of all points that must have the same result as this one."""
    own = {name for name, strength in strengths_of(point.chip).items() if strength != 0.0 and _is_drawn(name)}
    changes: dict[str, Any] = {} if own else {"serial": _FIRST_SERIAL}
    if not any(map(_is_noise, own)):
        changes["trial"] = _FIRST_TRIAL
    if point.initial is not None:
        changes["initial"] = drawn(point.initial)
    same = all(getattr(point, name) == value for name, value in changes.items())
    values = {name: getattr(point, name) for name in type(point).model_fields}  # without the name it had, if any
    return point if same else type(point)(**(values | changes))


def _is_drawn(imperfection: str) -> bool:
    return "_mean" not in imperfection  # the same for all circuits of all chips


def _is_noise(imperfection: str) -> bool:
    return "_trial" in imperfection
