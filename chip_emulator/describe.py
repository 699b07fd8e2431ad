"""What a named chip is: its datasheet, and how strong its imperfections are; every number with unit and source."""

from __future__ import annotations

from typing import TypedDict

from chip_emulator.presets import named_chip


class Entry(TypedDict):
    """One number of a chip."""

    part: str
    name: str
    value: object
    unit: str
    description: str
    source: str


def describe_chip(chip: str) -> list[Entry]:
    """All numbers of a named chip: of its datasheet, then the spreads from which its mismatch and noise are drawn.

    The drawn mismatch itself is hidden, as it is in silicon.

    Raises
    ------
    InvalidInputError
        No chip of that name.
    """
    spec, imperfections = named_chip(chip)
    entries: list[Entry] = []
    for part, model in (("datasheet", spec), ("imperfections", imperfections)):
        for name, (description, unit, source) in model.sources().items():
            entry = Entry(
                part=part, name=name, value=getattr(model, name), unit=unit, description=description, source=source
            )
            entries.append(entry)
    return entries
