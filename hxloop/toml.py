"""Settings files: TOML read into a strict pydantic model, with a suggestion for a misspelt key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from hxloop.errors import InvalidInputError, MissingFileError, UnknownKeyError
from hxloop.suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

Model = TypeVar("Model", bound=BaseModel)


def load_toml(path: str | Path, model: type[Model]) -> Model:
    """Read a settings file.

    Parameters
    ----------
    path : path
        TOML file.
    model : subclass of pydantic.BaseModel
        What the file must describe.

    Raises
    ------
    MissingFileError
        No such file.
    UnknownKeyError
        A key the model does not have; the nearest one is suggested.
    InvalidInputError
        Not TOML, or a value of the wrong type or range.
    """
    file = Path(path)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"no such file: {file}", field="settings") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInputError(f"cannot read {file}: {error}", field="settings") from None
    return settings_from_mapping(data, model, where=str(file))


def load_preset(
    preset: str | Path, model: type[Model], names: Collection[str], load: Callable[[str], Model], kind: str = "preset"
) -> Model:
    """Settings of a preset or of a file.

    Parameters
    ----------
    preset : str or Path
        One of `names`, or a TOML file.
    model : subclass of pydantic.BaseModel
        What a file must describe.
    names : collection of str
        Known presets.
    load : callable
        Gives the settings of a known preset.
    kind : str
        What a preset is called in messages.

    Raises
    ------
    MissingFileError, UnknownKeyError
        As `load_toml`.
    InvalidInputError
        As `load_toml`, and neither a preset nor a TOML file.
    """
    if str(preset) in names:
        return load(str(preset))
    if isinstance(preset, Path) or preset.endswith(".toml") or Path(preset).is_file():
        return load_toml(preset, model)
    near = suggestion(preset, names, cutoff=0.5, otherwise="")
    raise InvalidInputError(
        f"no {kind} is called {preset!r}",
        field="preset",
        hint=(f"{near} " if near else "") + f"presets: {', '.join(names)}, or a .toml file",
    )


def settings_from_mapping(data: dict[str, Any], model: type[Model], where: str) -> Model:
    """Validate a mapping against a model; errors as in `load_toml`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # A misspelt required key is both unknown and missing: the unknown one can be helped.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UnknownKeyError(f"unknown key {key!r} in {where}", field=key, hint=_suggest(key, model)) from None
        text = first["msg"].removeprefix("Value error, ")
        raise InvalidInputError(f"{text} (in {where})", field=key) from None


def flat(tree: Mapping[str, Any], prefix: str = "", *, leaf: Callable[[Any], bool] = lambda _: False) -> dict[str, Any]:
    """Values of nested tables by their whole key, ``a.b.c``; a table for which `leaf` holds is a value itself."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        nested = isinstance(value, dict) and not leaf(value)
        found |= flat(value, f"{prefix}{key}.", leaf=leaf) if nested else {prefix + key: value}
    return found


def _suggest(key: str, model: type[BaseModel]) -> str:
    known = _all_keys(model)
    return suggestion(key, known, cutoff=0.5, otherwise="known keys: " + ", ".join(known))


def _all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            keys += _all_keys(info.annotation, f"{prefix}{name}.")
    return keys
