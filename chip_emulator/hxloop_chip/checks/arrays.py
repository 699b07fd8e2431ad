"""Refusals that all arrays of a configuration share: dtype and shape, range, entries that may not repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import ArrayError, OutOfRangeError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_array(array: NDArray[np.generic], dtypes: tuple[str, ...], shape: tuple[int, ...], field: str) -> None:
    """Refuse an array of another dtype or shape; -1 in `shape` stands for any length.

    Raises
    ------
    ArrayError
    """
    fits = isinstance(array, np.ndarray) and array.dtype.str in dtypes and array.ndim == len(shape)
    if not fits or any(wanted not in (-1, found) for wanted, found in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("n" if length < 0 else str(length) for length in shape)
        got = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else str(type(array))
        raise ArrayError(f"must be {' or '.join(dtypes)} [{wanted}], got {got}", field=field)


def check_range(array: NDArray[np.generic], lowest: float, highest: float, field: str) -> None:
    """Refuse entries outside ``lowest..highest``, and NaN.

    Raises
    ------
    OutOfRangeError
        Names the first such entry, its value and the range.
    """
    if not array.size or (array.min() >= lowest and array.max() <= highest):  # false for NaN
        return
    values = array.astype(np.float64)
    bad = ~((values >= lowest) & (values <= highest))  # true for NaN too
    if bad.any():
        k = int(bad.argmax())
        raise OutOfRangeError(f"{values[k]:.10g} is outside {lowest:.10g}..{highest:.10g}", field=f"{field}[{k}]")


def check_unique(keys: NDArray[np.int64], field: str, text: str) -> None:
    """Refuse keys that come twice.

    Raises
    ------
    ArrayError
        Names the second one.
    """
    order = np.argsort(keys, kind="stable")
    twins = np.flatnonzero(np.diff(keys[order]) == 0)
    if twins.size:
        raise ArrayError(f"{text} is used twice", field=f"{field}[{int(order[twins[0] + 1])}]")
