"""What a study may turn: every setting of a training and every imperfection of a chip, by name, checked beforehand.

``optimizer.learning_rate`` is a setting, ``chip.noise.jitter_trial_us`` and ``chip.mismatch.synapse_fixed`` are
imperfections, and ``chip.factor.residual`` multiplies all imperfections of a kind.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hxloop.errors import InvalidInputError, UnknownKeyError
from hxloop.files.toml import flat, parse_toml, settings_from_mapping
from hxloop.kit import arguments
from hxloop.kit.strict import Strict, all_keys
from hxloop.kit.suggest import suggestion
from hxloop_host.settings.experiment_settings import Settings
from hxloop_host.settings.kind_sections import section_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

    from hxloop_host.settings.kind_sections import KindSection
    from hxloop_host.studies.design.sheet import ChipSheet

    Value = bool | int | float | str | list[Any]

KINDS: Final = {
    "fixed": "of the silicon",
    "residual": "left by calibration",
    "trial": "drawn anew in every trial",
}
"""Kinds of imperfections, as in their names, and what they are."""

_UNITS: Final = {"us": "us", "mv": "mV", "pf": "pF", "lsb": "LSB", "codes": "LSB", "s": "s", "percent": "%"}
_WITH_UNIT: Final = re.compile(r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([a-zA-Zµ%]+)")


class Turned(NamedTuple):
    """A knob: its key, present value, unit (``1``: none), and meaning."""

    key: str
    value: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Knobs:
    """All knobs of a base run on a chip.

    Attributes
    ----------
    settings : Settings
        Of the base run.
    sheet : ChipSheet
        Imperfections of its chip.
    """

    settings: Settings
    sheet: ChipSheet

    @cached_property
    def chip_keys(self) -> dict[str, str]:
        """Key of every imperfection to its name."""
        return {key_of(name): name for name in self.sheet.all}

    @cached_property
    def keys(self) -> list[str]:
        """All knobs."""
        return [
            *self.chip_keys,
            *(f"chip.factor.{kind}" for kind in KINDS),
            *dict.fromkeys([*flat(_numbered(self.settings.model_dump())), *self._keys_of_other_kinds, *self._left_out]),
        ]

    @cached_property
    def sections(self) -> dict[str, KindSection[Any]]:
        """Sections whose keys depend on their kind."""
        found = {name: section_of(info) for name, info in type(self.settings).model_fields.items()}
        return {name: section for name, section in found.items() if section is not None}

    @cached_property
    def _left_out(self) -> list[str]:
        """What settings do not write where it is as it always was."""
        return [turned.key for turned in self.listed() if turned.key.startswith("network.")]

    @cached_property
    def _keys_of_other_kinds(self) -> list[str]:
        models = ((name, model) for name, section in self.sections.items() for model in section.models().values())
        return [key for name, model in models for key in all_keys(model, f"{name}.")]

    def unit(self, key: str) -> str:
        """Unit of a knob; ``1`` if it has none."""
        name = self.chip_keys.get(key)
        return self.sheet.all[name].unit if name else unit_of_name(key)

    def listed(self) -> list[Turned]:
        """Every knob with its present value, its unit and what it means."""
        tables = [
            (f"{name}.{k}" if isinstance(value, list) else name, table)
            for name, value in self.settings
            if value is not None
            for k, table in enumerate(value if isinstance(value, list) else [value])
        ]
        found = [turned for section, part in tables for turned in self._listed(section, part)]
        found += [
            Turned(f"chip.factor.{kind}", "1", "1", f"factor on all imperfections with _{kind} in their names: {text}")
            for kind, text in KINDS.items()
        ]
        entries = ((key, self.sheet.all[name]) for key, name in self.chip_keys.items())
        return [*found, *(Turned(key, f"{entry.value:g}", entry.unit, entry.text) for key, entry in entries)]

    def _listed(self, section: str, part: Strict) -> list[Turned]:
        """Knobs of a section: those of its kind with their values, and then those that other kinds have."""
        found: dict[str, Turned] = {}
        for name, value in part:
            info = type(part).model_fields.get(name)
            if _has_tables(value):
                for k, table in enumerate(value):
                    found |= {f"{name}.{k}.{t.key}": t for t in self._listed(f"{section}.{name}.{k}", table)}
            elif info is not None:
                found[name] = Turned(f"{section}.{name}", str(value), *_meaning(info, name))
        if section not in self.sections:
            return list(found.values())
        kinds: dict[str, list[str]] = {}
        models = self.sections[section].models()
        found["kind"] = found["kind"]._replace(meaning=f"{found['kind'].meaning}: {', '.join(models)}")
        for kind, model in models.items():
            for name, info in model.model_fields.items():
                kinds.setdefault(name, []).append(kind)
                default = "-" if info.is_required() else str(info.default)
                found.setdefault(name, Turned(f"{section}.{name}", default, *_meaning(info, name)))
        return [
            turned
            if len(kinds.get(name, models)) == len(models)
            else turned._replace(meaning=f"{', '.join(kinds[name])}: {turned.meaning}")
            for name, turned in found.items()
        ]

    def check_key(self, key: str) -> None:
        """Refuse a knob that does not exist.

        Raises
        ------
        UnknownKeyError
            With the nearest one that exists.
        """
        if key in self.keys:
            return
        last = key.rpartition(".")[2]
        same = [known for known in self.keys if known.rpartition(".")[2] == last]
        hint = f"did you mean {same[0]!r}?" if same else suggestion(key, self.keys, otherwise=_groups())
        raise UnknownKeyError(f"unknown knob {key!r}", field=key, hint=hint)

    def read(self, key: str, text: str) -> Value:
        """Value of a knob from text.

        Raises
        ------
        InvalidInputError
            Another unit than the knob's, or no value at all.
        """
        self.check_key(key)
        found = _WITH_UNIT.fullmatch(text.strip())
        if found and not _is_number(text):
            unit = self.unit(key)
            if found[2].replace("µ", "u") != unit:
                wanted = f"is in {unit}" if unit != "1" else "has no unit"
                raise InvalidInputError(
                    f"{text.strip()!r}: {key} {wanted}",
                    field=key,
                    hint=f"write the number, or the number and {unit}" if unit != "1" else "write the number",
                )
            text = found[1]
        try:
            value: Value = parse_toml(f"value = {text.strip()}")["value"]
        except ValueError:
            value = text.strip()
        return value

    def check_value(self, key: str, value: Any) -> None:
        """Refuse a value that a knob cannot have by itself; errors as in `apply`."""
        changes = {key: value}
        name, _, rest = key.partition(".")
        section = self.sections.get(name)
        if section is not None and not section.takes(getattr(self.settings, name).kind, rest.partition(".")[0]):
            # What chooses a kind that has it is another knob.
            having = (kind for kind, model in section.models().items() if rest in all_keys(model))
            changes |= {f"{name}.kind": next(having)}
            try:
                self.apply(changes)
            except InvalidInputError as error:
                if error.field == key:  # else what that kind needs is missing, and it may not be chosen at all
                    raise
            return
        self.apply(changes)

    def apply(self, changes: Mapping[str, Any]) -> tuple[Settings, str]:
        """Settings and name of the chip with some knobs turned.

        Parameters
        ----------
        changes : dict of str to value

        Returns
        -------
        settings : Settings
        chip : str
            The same name whatever order the changes come in, and without those that change nothing.

        Raises
        ------
        UnknownKeyError
            No such knob.
        InvalidInputError, OutOfRangeError
            A value of the wrong type or outside its range.
        """
        for key in changes:
            self.check_key(key)
        own = {key: value for key, value in changes.items() if not key.startswith("chip.")}
        settings = self.settings
        if own:
            whole = settings.model_dump()
            # A section that says what all files meant once is not written, but can be turned.
            whole |= {name: getattr(settings, name).model_dump() for name in self.sections if name not in whole}
            tree = self._of_chosen_kinds(whole, own)
            settings = settings_from_mapping(_updated(tree, own), Settings, where="the study")
        return settings, self._chip({key: value for key, value in changes.items() if key not in own})

    def _of_chosen_kinds(self, tree: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of before without what the kinds that are now chosen do not have; their defaults take its place."""
        for name, section in self.sections.items():
            kind = changes.get(f"{name}.kind", tree[name]["kind"])
            if not isinstance(kind, str):
                continue  # refused below
            own = [key.removeprefix(f"{name}.").partition(".")[0] for key in changes if key.startswith(f"{name}.")]
            strange = next((key for key in own if not section.takes(kind, key)), None)
            if strange is not None:
                having = ", ".join(kind for kind, model in section.models().items() if strange in model.model_fields)
                raise InvalidInputError(
                    f"{name}.{strange} belongs to {having}, but {name}.kind is {arguments.shown(kind)}",
                    field=f"{name}.{strange}",
                    hint=f"set {name}.kind too",
                )
            if kind != tree[name]["kind"]:
                tree[name] = {key: value for key, value in tree[name].items() if section.takes(kind, key)}
        return tree

    def _chip(self, changes: Mapping[str, Any]) -> str:
        known = self.sheet.all
        strength = {name: entry.value for name, entry in known.items()}
        for kind in KINDS:
            factor = changes.get(f"chip.factor.{kind}")
            if factor is not None:
                value = arguments.real_number(factor, f"chip.factor.{kind}", lowest=0.0)
                strength |= {name: entry.times(value) for name, entry in known.items() if kind_of(name) == kind}
        strength |= {name: changes[key] for key, name in self.chip_keys.items() if key in changes}
        for key, name in self.chip_keys.items():
            entry = known[name]
            strength[name] = arguments.real_number(strength[name], key, lowest=entry.lowest, highest=entry.highest)
        return self.sheet.named(strength)


_made: Final[deque[Knobs]] = deque(maxlen=16)
"""Those asked for last: every point of a study asks for the same ones, which take milliseconds to list."""


def knobs_of(settings: Settings, sheet: ChipSheet) -> Knobs:
    """All knobs of these very settings, which do not change, on a chip."""
    for known in _made:
        if known.settings is settings and known.sheet is sheet:
            return known
    found = Knobs(settings, sheet)
    _made.append(found)
    return found


def _meaning(info: FieldInfo, name: str) -> tuple[str, str]:
    extra = info.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    return str(unit or unit_of_name(name)), info.description or ""


def kind_of(imperfection: str) -> str:
    """Which of `KINDS` an imperfection is."""
    return next(kind for kind in KINDS if f"_{kind}" in imperfection)


def key_of(imperfection: str) -> str:
    """Knob of an imperfection."""
    return f"chip.{'noise' if kind_of(imperfection) == 'trial' else 'mismatch'}.{imperfection}"


def unit_of_name(name: str) -> str:
    """Unit that the end of a name says, ``1`` if it says none."""
    return _UNITS.get(name.rpartition("_")[2], "1") if "_" in name else "1"


def _groups() -> str:
    kinds = "|".join(KINDS)
    return (
        "known: settings as in docs/files.md (optimizer.learning_rate), chip.mismatch.NAME and chip.noise.NAME as in "
        f"hxloop chip describe, chip.factor.{kinds}"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _updated(tree: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in changes.items():
        *path, leaf = key.split(".")
        branch: Any = tree
        for part in path:
            branch = branch[int(part) if isinstance(branch, list) else part]
        branch[leaf] = value
    return tree


def _has_tables(value: object) -> bool:
    """Whether a value is a list of tables, such as the populations of a network."""
    return isinstance(value, list) and bool(value) and all(isinstance(part, dict | Strict) for part in value)


def _numbered(tree: dict[str, Any]) -> dict[str, Any]:
    """The same with lists of tables as tables of numbered ones: ``network.populations.0.size``."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if _has_tables(value):
            found[key] = {str(k): part for k, part in enumerate(value)}
        else:
            found[key] = _numbered(value) if isinstance(value, dict) else value
    return found
