"""The door of the Python face: arguments as callers give them, checked, and turned into plain types.

What the command line refuses is refused here in the same words. Every check takes a value and the name of the argument,
gives back a plain value, and raises `InvalidInputError` that names the argument and says what it takes.

- Whole numbers are Python's and numpy's integers; `bool` is none, and neither is a float, even a whole one.
- Arrays of whole numbers may have any integer type, signed or not. Floats are taken where each is exactly a whole
  number (arithmetic often leaves such arrays, and ``[]`` is one); nothing is rounded, cut or wrapped around.
- Paths are `str` or `os.PathLike`.

The command line passes here too, so numpy is loaded only where there are arrays.
"""

from __future__ import annotations

import inspect
import math
import operator
import os
import sys
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.kit.suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

T = TypeVar("T")

SEED_MAX: Final = 2**63 - 1
"""Largest seed, and largest serial number of a chip: it is the seed of its silicon."""
THREADS_MAX: Final = 1024
"""Most threads or processes that anything may be told to use."""

_LONGEST_SHOWN: Final = 60
_LONGEST_NAME: Final = 255  # bytes of a file's name, and of a whole path, as Linux has it
_LONGEST_PATH: Final = 4095
_MOST_BITS_SHOWN: Final = 128
_DEEPEST: Final = 16


def refusal(value: object, field: str, takes: str, hint: str | None = None) -> InvalidInputError:
    """Error for an argument of the wrong kind.

    Parameters
    ----------
    value : object
        What was given.
    field : str
        Name of the argument.
    takes : str
        What it takes, after "must be".
    hint : str, optional
        What to do.
    """
    return InvalidInputError(f"must be {takes}, got {shown(value)}", field=field, hint=hint)


def shown(value: Any) -> str:
    """Plain numbers and short text as they are, of all else the type: a message stays one short line."""
    value = _scalar(value)
    if isinstance(value, int) and value.bit_length() > _MOST_BITS_SHOWN:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, bool | int | float | str):
        text = repr(value)
        return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    if _is_array(value):
        return f"an array of {value.dtype} {list(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def plain(value: Any, depth: int = 0) -> Any:
    """Python's own numbers and lists in place of numpy's, also inside of lists, tuples and dicts.

    Raises
    ------
    InvalidInputError
        Lists in lists without end.
    """
    if depth > _DEEPEST:
        raise InvalidInputError(f"lists are nested more than {_DEEPEST} deep")
    if isinstance(value, dict):
        return {key: plain(entry, depth + 1) for key, entry in value.items()}
    if type(value) in {list, tuple}:
        return type(value)([plain(entry, depth + 1) for entry in value])
    return value.tolist() if _is_array(value) else _scalar(value)


def _scalar(value: Any) -> Any:
    """Python's own number in place of a single one of numpy's, which nobody has before numpy is loaded."""
    numpy = sys.modules.get("numpy")
    return value.item() if numpy is not None and isinstance(value, numpy.generic) else value


def _is_array(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def optional(check: Callable[..., T], value: object, field: str, **limits: Any) -> T | None:
    """Checked value, or None where nothing was given."""
    return None if value is None else check(value, field, **limits)


def whole_number(value: object, field: str, *, lowest: int = 0, highest: int | None = None) -> int:
    """Whole number within ``lowest..highest``.

    Raises
    ------
    InvalidInputError
        Something else than an integer.
    OutOfRangeError
        Outside the range.
    """
    value = _scalar(value)
    if isinstance(value, bool):
        raise refusal(value, field, "a whole number")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise refusal(value, field, "a whole number") from None
    if number < lowest or (highest is not None and number > highest):
        span = f"at least {lowest}" if highest is None else f"{lowest}..{highest}"
        raise OutOfRangeError(f"must be {span}, got {shown(number)}", field=field)
    return number


def real_number(value: object, field: str, *, lowest: float = -math.inf, highest: float = math.inf) -> float:
    """Finite number within ``lowest..highest``.

    Raises
    ------
    InvalidInputError
        No number.
    OutOfRangeError
        NaN, infinite, or outside the range.
    """
    value = _scalar(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise refusal(value, field, "a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not lowest <= number <= highest:
        span = "finite"
        if math.isfinite(highest):
            span = f"{lowest:g}..{highest:g}"
        elif math.isfinite(lowest):
            span = f"finite and at least {lowest:g}"
        raise OutOfRangeError(f"must be {span}, got {shown(value)}", field=field)
    return number


def switch(value: object, field: str) -> bool:
    """True or False, and nothing that only counts as one of them.

    Raises
    ------
    InvalidInputError
    """
    value = _scalar(value)
    if not isinstance(value, bool):
        raise refusal(value, field, "True or False")
    return value


def text(value: object, field: str, takes: str = "text") -> str:
    """One line of text that is not empty.

    Raises
    ------
    InvalidInputError
    """
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _LONGEST_PATH:
        raise refusal(value, field, takes)
    return str(value)


def texts(value: object, field: str, takes: str = "a list of names") -> tuple[str, ...]:
    """Names from a sequence of them, or from one string with commas.

    Raises
    ------
    InvalidInputError
    """
    if isinstance(value, str):
        value = value.split(",") if value.strip() else ()
    if not isinstance(value, list | tuple):
        raise refusal(value, field, takes)
    return tuple(text(entry, f"{field}[{k}]", "a name").strip() for k, entry in enumerate(value))


def one_of(value: object, field: str, known: Collection[str]) -> str:
    """One of some names.

    Raises
    ------
    InvalidInputError
        With the nearest name.
    """
    found = text(value, field, f"one of {', '.join(known)}")
    if found not in known:
        raise InvalidInputError(
            f"must be one of {', '.join(known)}, got {shown(found)}",
            field=field,
            hint=suggestion(found, known, otherwise="") or None,
        )
    return found


def path(value: object, field: str, takes: str = "a path (str or Path)") -> Path:
    """Path that a file system can have; nothing is said about what is there.

    Raises
    ------
    InvalidInputError
    """
    if not isinstance(value, str | os.PathLike):
        raise refusal(value, field, takes)
    plain = os.fspath(value)
    if not isinstance(plain, str) or not plain.strip() or "\0" in plain:
        raise refusal(plain, field, takes)
    try:
        encoded = os.fsencode(plain)
    except UnicodeEncodeError:
        raise refusal(plain, field, takes) from None
    if len(encoded) > _LONGEST_PATH or any(len(part) > _LONGEST_NAME for part in encoded.split(b"/")):
        raise InvalidInputError(f"no file can have so long a name: {shown(plain)}", field=field)
    return Path(plain)


def named_file(value: object, field: str, takes: str) -> str:
    """A name, or a file that takes its place, as it was written.

    Raises
    ------
    InvalidInputError
    """
    path(value, field, takes)
    return str(value)


def of_type(value: object, field: str, kind: type[T], takes: str) -> T:
    """Object of a class.

    Raises
    ------
    InvalidInputError
    """
    if not isinstance(value, kind):
        raise refusal(value, field, takes)
    return value


def like(value: object, field: str, protocol: type, takes: str) -> Any:
    """Object with all public methods and properties of a protocol; no property is asked for its value.

    Raises
    ------
    InvalidInputError
    """
    if value is None or isinstance(value, type):
        raise refusal(value, field, takes)
    for name in vars(protocol):
        if not name.startswith("_") and not _has(value, name):
            raise refusal(value, field, takes, hint=f"it has no {name}")
    return value


def _has(value: object, name: str) -> bool:
    try:
        inspect.getattr_static(value, name)
    except AttributeError:
        return hasattr(value, name)  # an object that stands for another one
    return True


def require_arrays(parts: Any) -> None:
    """Refuse a dataclass of arrays that has something else in a field; which types they may have is said elsewhere.

    Raises
    ------
    ArrayError
    """
    for name in parts.__dataclass_fields__:
        value = getattr(parts, name)
        if not _is_array(value) or value.dtype.kind not in "biuf":
            raise ArrayError(f"must be a numpy array of numbers, got {shown(value)}", field=name)


def whole_numbers(values: object, field: str, dtype: DTypeLike, *, n_dims: int = 1) -> NDArray[Any]:
    """Array of whole numbers in an integer type.

    Parameters
    ----------
    values : array_like
        Integers of any type, or floats that are exactly whole.
    field : str
        Name of the array.
    dtype : integer dtype
        What the array is turned into; values that it cannot hold are refused.
    n_dims : int
        Dimensions it must have.

    Raises
    ------
    ArrayError
        Other types, other dimensions, or a number that is not whole.
    OutOfRangeError
        A number the type cannot hold.
    """
    import numpy as np

    array = _as_array(values, field)
    wanted = np.dtype(dtype)
    if array.dtype.kind not in "iuf":
        raise ArrayError(f"must hold whole numbers, got {array.dtype}", field=field)
    if array.ndim != n_dims:
        raise ArrayError(f"must have {n_dims} dimensions, got the shape {list(array.shape)}", field=field)
    if array.dtype == wanted:
        return array
    if array.dtype.kind == "f":
        broken = ~np.isfinite(array)
        broken |= np.rint(array, where=~broken, out=np.zeros_like(array)) != array
        if broken.any():
            number = shown(array[broken].flat[0])
            raise ArrayError(f"must be a whole number, got {number}", field=f"{field}{_place(broken)}")
        array = array.astype(np.float64)
    # The bounds are powers of two, which floats have too; nothing is converted before it is compared.
    limits = np.iinfo(wanted)
    above = array >= float(limits.max + 1) if array.dtype.kind == "f" else array > limits.max
    outside = (array < limits.min) | above
    if outside.any():
        number = shown(array[outside].flat[0])
        raise OutOfRangeError(f"{number} is outside {limits.min}..{limits.max}", field=f"{field}{_place(outside)}")
    return array.astype(wanted)


def _as_array(values: object, field: str) -> NDArray[Any]:
    import numpy as np

    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError):
        raise ArrayError("must be an array of numbers", field=field) from None


def _place(wrong: NDArray[np.bool_]) -> str:
    """Index of the first wrong entry in brackets, nothing for a number alone."""
    return f"[{','.join(str(axis[0]) for axis in wrong.nonzero())}]" if wrong.ndim else ""
