"""Strict models: values checked when an object is made, and refused in the words of `hxloop.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hxloop.errors import InvalidInputError, UnknownKeyError
from hxloop.kit.arguments import plain, shown
from hxloop.kit.suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails


S = TypeVar("S", bound="Strict")

_LONGEST_KEY: Final = 60


class Strict(BaseModel):
    """Frozen model without unknown keys, conversions, NaN or infinity; numpy's numbers are plain ones.

    Raises
    ------
    InvalidInputError, UnknownKeyError
        By the constructor: a value of the wrong type or outside its range, or a key nobody knows. (The methods that
        validate, `model_validate` and its like, raise `pydantic.ValidationError`; see `input_error`.)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**plain(values))
        except ValidationError as error:
            raise input_error(error, type(self)) from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # validation does not come through here


def given_or_made(kind: type[S], settings: Strict | None, values: Mapping[str, Any]) -> S:
    """Settings of an object that takes either them or their fields.

    Raises
    ------
    InvalidInputError
        Both, settings of another kind, or fields that are refused.
    """
    if settings is None:
        return kind(**values)
    if values or not isinstance(settings, kind):
        raise InvalidInputError(f"takes a {kind.__qualname__} or its fields", field="settings", hint="give one of them")
    return settings


class WrongFieldError(ValueError):
    """To be raised by validators that look at several fields: which of them is wrong, and why.

    Parameters
    ----------
    field : str
        Name of the field, from the model of the validator on.
    message : str
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def input_error(error: ValidationError, model: type[BaseModel], where: str = "") -> InvalidInputError:
    """First error of a validation as one of ours.

    Parameters
    ----------
    error : pydantic.ValidationError
    model : subclass of pydantic.BaseModel
        What was validated against.
    where : str
        Where the values come from; empty for a constructor, whose caller knows.

    Notes
    -----
    The context of an error may have a ``hint`` and, of an unknown key, further ``known`` keys.
    """
    # A misspelt required key is both unknown and missing: the unknown one can be helped.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    path = [str(part) for part in first["loc"]]
    more = first.get("ctx", {})
    cause = more.get("error")
    if isinstance(cause, WrongFieldError):
        path.append(cause.field)
    key = ".".join(path)
    key = key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}..."
    if first["type"] == "extra_forbidden":
        where = where or model.__name__
        return UnknownKeyError(
            f"unknown key {key!r} in {where}", field=key, hint=_suggest(key, [*all_keys(model), *more.get("known", ())])
        )
    text = f"{_text(first)} (in {where})" if where else _text(first)
    return InvalidInputError(text, field=key, hint=more.get("hint"))


def _text(found: ErrorDetails) -> str:
    text = found["msg"].removeprefix("Value error, ")
    return text if found["type"] in {"value_error", "missing"} else f"{text}, got {shown(found['input'])}"


def _suggest(key: str, keys: list[str]) -> str:
    known = list(dict.fromkeys(keys))
    return suggestion(key, known, cutoff=0.5, otherwise="known keys: " + ", ".join(known))


def all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Keys of a model and of the tables in it, ``a.b.c``."""
    keys: list[str] = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            keys += all_keys(info.annotation, f"{prefix}{name}.")
    return keys
