"""The grammar of chip names, read and written here.

A chip is called ``typical``, or ``typical[jitter_trial_us=0,tau_syn_residual=0.1]`` with other strengths of its
imperfections, where ``all`` stands for all of them; with its serial number ``typical/3``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hxloop.errors import InvalidInputError
from hxloop.kit.arguments import shown
from hxloop.kit.suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ALL: Final = "all"
"""Stands for all imperfections."""

NAMED: Final = ("ideal", "typical", "rough", "uncalibrated")
"""Chips that an emulator can be; chips of other makers, at an endpoint, are called as they call them."""

_NAME: Final = re.compile(r"(?P<base>[^\[\]]*)(\[(?P<changes>[^\[\]]*)\])?")
_WITH_SERIAL: Final = re.compile(r"([a-z_]+(?:\[[^\[\]/]*\])?)/([0-9]+)")
_LONGEST: Final = 100
"""Longest part of a file name that a chip makes up; a file system takes 255 bytes for all of it."""
_SHOWN: Final = 160
"""Longest name of a chip in a line that people read."""


@dataclass(frozen=True)
class ChipName:
    """A named chip, and what is other about it.

    Attributes
    ----------
    base : str
        Name of the chip.
    changes : tuple of (str, float)
        Other strengths of imperfections than the named chip's, applied in this order; `ALL` is all of them.
    """

    base: str
    changes: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, text: str, known: Collection[str] | None = None) -> ChipName:
        """Take a name apart.

        Parameters
        ----------
        text : str
        known : collection of str, optional
            Chips that there are; by default any.

        Raises
        ------
        InvalidInputError
            No chip of that name, or changes that are not ``name=number``.
        """
        parts = _NAME.fullmatch(text)
        base = parts["base"] if parts else text
        if parts is None or not base or (known is not None and base not in known):
            hint = suggestion(base, known) if known else "write typical, or typical[jitter_trial_us=0]"
            raise InvalidInputError(f"no chip is called {shown(text)}", field="chip", hint=hint)
        changes = parts["changes"]
        return cls(base, () if changes is None else tuple(map(_change, changes.split(","))))

    @classmethod
    def shortest(cls, base: str, strengths: Mapping[str, float], defaults: Mapping[str, float]) -> ChipName:
        """Shortest name of the chip with these strengths, the same for the same strengths.

        Parameters
        ----------
        base : str
        strengths, defaults : mapping of str to float
            Of all imperfections: as they are to be, and those of `base`.
        """
        changed = tuple((name, value) for name, value in strengths.items() if value != defaults[name])
        left = tuple((name, value) for name, value in strengths.items() if value != 0.0)
        return cls(base, ((ALL, 0.0), *left) if len(left) < len(changed) else changed)

    def __str__(self) -> str:
        terms = [f"{name}={value:g}" if name == ALL else f"{name}={value!r}" for name, value in self.changes]
        return f"{self.base}[{','.join(terms)}]" if terms else self.base

    def strengths(self, defaults: Mapping[str, float]) -> dict[str, float]:
        """Strengths of all imperfections.

        Parameters
        ----------
        defaults : mapping of str to float
            Those of `base`.

        Raises
        ------
        InvalidInputError
            There is no such imperfection.
        """
        found = dict(defaults)
        for name, value in self.changes:
            if name != ALL and name not in found:
                hint = suggestion(name, found, otherwise="hxloop chip describe lists them")
                raise InvalidInputError(f"no imperfection is called {shown(name)}", field="chip", hint=hint)
            found.update(dict.fromkeys(found if name == ALL else [name], value))
        return found


def _change(text: str) -> tuple[str, float]:
    name, _, value = (part.strip() for part in text.partition("="))
    try:
        return name, float(value)
    except ValueError:
        raise InvalidInputError(
            f"{shown(value)} is not a number", field=f"chip[{name}]", hint="write typical[jitter_trial_us=0]"
        ) from None


def with_serial(chip: str, serial: int) -> str:
    """``typical/3``: how a chip is called."""
    return f"{chip}/{serial}"


def in_brief(chip: str, serial: int) -> str:
    """The same for a line that people read: of a chip with many strengths their number, and a digest."""
    parts = _NAME.fullmatch(chip)
    if len(chip) <= _SHOWN or parts is None:
        return with_serial(chip, serial)
    digest = hashlib.sha256(chip.encode()).hexdigest()[:8]
    return with_serial(f"{parts['base']}[{(parts['changes'] or '').count('=')} strengths, {digest}]", serial)


def split_serial(text: str) -> tuple[str, int] | None:
    """Name and serial number of ``typical/3``; None if it is something else."""
    found = _WITH_SERIAL.fullmatch(text)
    return None if found is None else (found[1], int(found[2]))


def file_safe(text: str, serial: int | None = None) -> str:
    """Name of a chip as part of a file name: ``typical[a=0,b=1]`` becomes ``typical-a=0-b=1``; long ones are cut."""
    name = re.sub(r"[^A-Za-z0-9._=+]+", "-", text).strip("-")
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST - 17]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return name if serial is None else f"{name}-{serial}"
