"""Settings files: TOML read into a strict pydantic model, with a suggestion for a misspelt key."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hxloop.errors import InvalidInputError, MissingFileError, UnknownKeyError

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


def _suggest(key: str, model: type[BaseModel]) -> str:
    known = _all_keys(model)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else "known keys: " + ", ".join(known)


def _all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            keys += _all_keys(info.annotation, f"{prefix}{name}.")
    return keys
