"""Chips in files: a named chip with other strengths, as ``hxloop fit`` writes it, and how every chip is named.

base = "typical"

[strengths]
jitter_trial_us = { value = 0.093, low = 0.091, high = 0.095, source = "stamps of one spike; 1 chip" }
dead_fixed = 0.01
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from hxloop.errors import InvalidInputError
from hxloop.files.toml import load_toml, toml_text
from hxloop.files.writing import write_atomically
from hxloop.kit import arguments
from hxloop.kit.strict import Strict
from hxloop.naming.chip_name import ALL, ChipName

ENDINGS: Final = (".toml",)
DIGITS: Final = 4
"""Of a strength in the name of a chip."""

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
_Strength = Annotated[float, Field(ge=0, le=1000)]
_Text = Annotated[str, StringConstraints(max_length=300)]


class FittedStrength(Strict):
    """A strength with its 95 % interval, and where it comes from."""

    value: _Strength
    low: _Strength | None = None
    high: _Strength | None = None
    source: _Text = ""


class ChipFile(Strict):
    """A chip in a file.

    Attributes
    ----------
    base : str
        Named chip, without changes: the strengths that the file does not have.
    strengths : dict of str to FittedStrength or float
        Other strengths than those of the base.
    kept : dict of str to str
        Why others keep those of the base; for people.
    """

    base: _Name
    strengths: Annotated[dict[_Name, FittedStrength | _Strength], Field(max_length=200)] = Field(default_factory=dict)
    kept: Annotated[dict[_Name, _Text], Field(max_length=200)] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """Canonical name: ``typical[a=0.5,b=2.0]``, the same whatever the order in the file."""
        changes = [
            (name, float(f"{given.value if isinstance(given, FittedStrength) else given:.{DIGITS}g}"))
            for name, given in sorted(self.strengths.items())
        ]
        return str(ChipName(self.base, tuple(changes)))

    def save(self, path: str | Path) -> None:
        """Write it, whole or not at all.

        Raises
        ------
        RecordError
            The file cannot be written.
        """
        write_atomically(arguments.path(path, "path"), toml_text(self.model_dump(exclude_none=True)).encode())


def load_chip_file(path: str | Path) -> ChipFile:
    """Read a chip.

    Raises
    ------
    MissingFileError, UnreadableFileError
        No such file, or no TOML.
    UnknownKeyError
        A key nobody knows; the nearest one is suggested.
    InvalidInputError
        A value of the wrong type or range, or a strength that is called `ALL`.
    """
    found = load_toml(path, ChipFile, field="chip")
    if ALL in found.strengths:
        raise InvalidInputError(f"{path}: {ALL!r} is no strength of its own", field="strengths.all")
    return found


def chip_name(chip: str | Path) -> str:
    """Name of a chip that somebody gave: its name, or a file that describes one.

    Parameters
    ----------
    chip : str or Path
        A name is what it was; of a ``.toml`` file it is the canonical name of what the file says.

    Raises
    ------
    InvalidInputError
        Neither; errors of files as in `load_chip_file`.
    """
    if isinstance(chip, Path) or (isinstance(chip, str) and chip.lower().endswith(ENDINGS)):
        return load_chip_file(arguments.path(chip, "chip")).name
    return arguments.text(chip, "chip", "the name of a chip, or a file of one")
