"""Settings files: TOML read into a strict pydantic model, with a suggestion for a misspelt key; and written."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from hxloop.errors import InvalidInputError, UnreadableFileError
from hxloop.files.reading import MIB, decode_text, first_bytes, read_file
from hxloop.kit import arguments
from hxloop.kit.arguments import shown
from hxloop.kit.strict import input_error
from hxloop.kit.suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

Model = TypeVar("Model", bound=BaseModel)

_MAX_BYTES: Final = MIB // 4
_MAX_DEPTH: Final = 16
_WHOLE: Final = range(-(2**63), 2**63)
_KEY_PART: Final = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_LONG_KEY: Final = re.compile(rf"(?<![\w-])(?:{_KEY_PART}){{{_MAX_DEPTH}}}")


def load_toml(path: str | Path, model: type[Model], *, field: str = "settings") -> Model:
    """Read a settings file.

    Parameters
    ----------
    path : path
        TOML file.
    model : subclass of pydantic.BaseModel
        What the file must describe.
    field : str
        What names the file, in errors.

    Raises
    ------
    MissingFileError
        No such file.
    UnreadableFileError
        Not TOML, or no file.
    UnknownKeyError
        A key the model does not have; the nearest one is suggested.
    InvalidInputError
        A value of the wrong type or range.
    """
    text = decode_text(read_file(path, limit_bytes=_MAX_BYTES, field=field), path, field)
    try:
        data = parse_toml(text)
    except ValueError as error:
        raise UnreadableFileError(f"cannot read {path}: {error}", field=field) from None
    return settings_from_mapping(data, model, where=str(path))


def parse_toml(text: str) -> dict[str, Any]:
    """Content of a TOML text: no deeper than settings are, with whole numbers of 64 bits, as TOML has them.

    Raises
    ------
    ValueError
        Not TOML, or beyond these bounds.
    """
    if _LONG_KEY.search(text):  # time and memory of the parser grow with the square of a key's parts
        raise ValueError(f"a key has more than {_MAX_DEPTH} parts")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:
        raise ValueError("a whole number has thousands of digits") from None
    except RecursionError:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels") from None
    _check_bounds(data, _MAX_DEPTH)
    return data


def _check_bounds(value: Any, depth_left: int) -> None:
    if isinstance(value, int) and value not in _WHOLE:
        raise ValueError(f"whole numbers have 64 bits, got {shown(value)}")
    if not isinstance(value, dict | list):
        return
    if not depth_left:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
    for child in value.values() if isinstance(value, dict) else value:
        _check_bounds(child, depth_left - 1)


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
    arguments.path(preset, "preset", f"the name of a {kind} (str) or a TOML file")
    if str(preset) in names:
        return load(str(preset))
    if isinstance(preset, Path) or preset.endswith(".toml") or first_bytes(preset, 1):
        return load_toml(preset, model, field="preset")
    near = suggestion(preset, names, cutoff=0.5, otherwise="")
    raise InvalidInputError(
        f"no {kind} is called {shown(preset)}",
        field="preset",
        hint=(f"{near} " if near else "") + f"presets: {', '.join(names)}, or a .toml file",
    )


def settings_from_mapping(data: dict[str, Any], model: type[Model], where: str) -> Model:
    """Validate a mapping against a model; errors as in `load_toml`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise input_error(error, model, where) from None


def flat(tree: Mapping[str, Any], prefix: str = "", *, leaf: Callable[[Any], bool] = lambda _: False) -> dict[str, Any]:
    """Values of nested tables by their whole key, ``a.b.c``; a table for which `leaf` holds is a value itself."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        nested = isinstance(value, dict) and not leaf(value)
        found |= flat(value, f"{prefix}{key}.", leaf=leaf) if nested else {prefix + key: value}
    return found


def toml_text(tree: Mapping[str, Any]) -> str:
    """Nested tables as TOML, which `load_toml` reads back; keys whose value is None are left out.

    Parameters
    ----------
    tree : mapping
        Of text, numbers, truth values, lists and tables; tables within tables and lists are written in one line each.
    """
    values = {key: value for key, value in tree.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in tree.items() if isinstance(value, dict)}
    parts = ["".join(f"{_key(key)} = {_value(value)}\n" for key, value in values.items() if value is not None)]
    for name, table in tables.items():
        lines = "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items() if value is not None)
        parts.append(f"[{_key(name)}]\n{lines}")
    return "\n".join(part for part in parts if part)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + " }"
    items = [_value(item) for item in value]
    if any(isinstance(item, dict) for item in value):
        return "[\n" + "".join(f"    {item},\n" for item in items) + "]"
    return f"[{', '.join(items)}]"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else _value(key)
