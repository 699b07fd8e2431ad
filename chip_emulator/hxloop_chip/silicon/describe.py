"""What a named chip is: its datasheet, and how strong its imperfections are; every number with unit and source."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from hxloop.codes import nominal
from hxloop_chip.silicon.presets import named_chip


class Entry(TypedDict):
    """One number of a chip; an imperfection has a lowest and a highest strength, and may be a share of something."""

    part: str
    name: str
    value: object
    unit: str
    description: str
    source: str
    lowest: NotRequired[float]
    highest: NotRequired[float]
    share: NotRequired[bool]


def describe_chip(chip: str) -> list[Entry]:
    """All numbers of a named chip: datasheet, spreads from which its mismatch and noise are drawn, transfer curves.

    The drawn mismatch itself is hidden, as it is in silicon.

    Raises
    ------
    InvalidInputError
        No chip of that name.
    """
    named = named_chip(chip)
    entries: list[Entry] = []
    for part, model in (("datasheet", named.spec), ("imperfections", named.imperfections)):
        for name, (description, unit, source) in model.sources().items():
            entry = Entry(
                part=part, name=name, value=getattr(model, name), unit=unit, description=description, source=source
            )
            entries.append(entry)
    bounds, shares = named.bounds(), named.imperfections.shares()
    for entry in entries:
        if entry["part"] == "imperfections":
            entry["lowest"], entry["highest"] = bounds[entry["name"]]
            entry["share"] = entry["name"] in shares
    for name, (formula, unit, source) in nominal.SOURCES.items():
        entries.append(Entry(part="curves", name=name, value=formula, unit=unit, description="", source=source))
    return entries
