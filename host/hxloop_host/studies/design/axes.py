"""Axes of a design, and the combinations of values a design makes of them."""

from __future__ import annotations

import itertools
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop.kit import arguments
from hxloop.seeds import derive_seed, generator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hxloop_host.studies.design.knobs import Knobs

Design = Literal["grid", "random", "sobol"]

_RANGE: Final = re.compile(r"\s*([-+0-9.eE]+?)\s*\.\.\s*([-+0-9.eE]+)\s*")
_SEPARATORS: Final = re.compile(r",(?![^\[]*\])")  # commas, but not those in a list


@dataclass(frozen=True)
class Axis:
    """A knob and its values: a list of them, or an interval (lowest, highest) that a design draws from.

    Attributes
    ----------
    key : str
        Knob.
    values : tuple
        For an interval, empty.
    interval : (float, float) or None
    """

    key: str
    values: tuple[Any, ...] = ()
    interval: tuple[float, float] | None = None


def read_axis(setting: str, knobs: Knobs) -> Axis:
    """Axis from ``KEY=V1,V2,...`` or ``KEY=LOW..HIGH``.

    Raises
    ------
    InvalidInputError, UnknownKeyError, OutOfRangeError
        Not of this form, no such knob, or a value it cannot have.
    """
    key, equals, text = setting.partition("=")
    key = key.strip()
    if not equals or not text.strip():
        raise not_a_setting(setting)
    knobs.check_key(key)
    span = _RANGE.fullmatch(text)
    if span:
        return checked_axis(key, {"low": knobs.read(key, span[1]), "high": knobs.read(key, span[2])}, knobs)
    return checked_axis(key, [knobs.read(key, part) for part in _SEPARATORS.split(text)], knobs)


def not_a_setting(text: str) -> InvalidInputError:
    """Error for something else than ``KEY=VALUE``."""
    return InvalidInputError(
        f"{text!r} is not KEY=VALUE", field="set", hint="for example --set chip.noise.jitter_trial_us=0,0.1"
    )


def read_number(key: str, text: str) -> int | float:
    """Whole number or float from text.

    Raises
    ------
    InvalidInputError
        It is none.
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InvalidInputError(f"{text.strip()!r} is no number", field=key)


def checked_axis(key: str, values: Any, knobs: Knobs) -> Axis:
    """Axis of plain values: one, a list of them, or ``{"low": ..., "high": ...}``; errors as in `read_axis`."""
    knobs.check_key(key)
    if isinstance(values, dict):
        if set(values) != {"low", "high"}:
            raise InvalidInputError(f"an interval needs low and high, got {sorted(values)}", field=key)
        low, high = values["low"], values["high"]
        for end in (low, high):
            arguments.real_number(end, key)
        axis = Axis(key, (), (low, high))
    else:
        axis = Axis(key, tuple(values) if isinstance(values, list | tuple) else (values,))
    if not axis.values and axis.interval is None:
        raise InvalidInputError("no values", field=key)
    for value in axis.interval or axis.values:
        knobs.check_value(key, value)
    if axis.interval is not None and not axis.interval[0] < axis.interval[1]:
        raise OutOfRangeError(f"{axis.interval[0]}..{axis.interval[1]} is no interval", field=key)
    if len(set(map(repr, axis.values))) != len(axis.values):
        raise InvalidInputError(f"a value is there twice: {list(axis.values)}", field=key)
    return axis


def combinations(axes: Sequence[Axis], design: Design, samples: int, seed: int) -> list[dict[str, Any]]:
    """Values of all knobs for every point of a design.

    Parameters
    ----------
    axes : sequence of Axis
    design : {"grid", "random", "sobol"}
        Every combination; or `samples` independent uniform draws; or the first `samples` of a scrambled Sobol sequence,
        which fill the space evenly. A list of values is drawn from with equal odds.
    samples : int
    seed : int
        Of the draws.

    Raises
    ------
    InvalidInputError
        An interval in a grid, or no samples.

    References
    ----------
    Sobol, USSR Comput. Math. Math. Phys. 7:86 (1967); Owen, J. Complexity 14:466 (1998), scrambling.
    """
    if design == "grid":
        for axis in axes:
            if axis.interval is not None:
                raise InvalidInputError(
                    "a grid needs single values", field=axis.key, hint="list them, or use --design random or sobol"
                )
        return [
            dict(zip((a.key for a in axes), values, strict=True))
            for values in itertools.product(*(a.values for a in axes))
        ]
    if samples < 1:
        raise OutOfRangeError(f"a {design} design needs --samples of at least 1, got {samples}", field="samples")
    if not axes:
        raise InvalidInputError(f"a {design} design needs something to draw", field="set", hint="--set KEY=LOW..HIGH")
    if design == "sobol":
        from scipy.stats import qmc  # it takes a second to load

        sampler = qmc.Sobol(len(axes), scramble=True, rng=_with_children(seed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # samples need not be a power of two
            unit = sampler.random(samples)
    else:
        unit = generator(seed, "design").random((samples, len(axes)))
    return [{axis.key: _drawn(axis, float(u)) for axis, u in zip(axes, row, strict=True)} for row in unit]


def _with_children(seed: int) -> np.random.Generator:
    """Generator that can have children, which scipy asks for; one with a key of its own cannot."""
    return np.random.Generator(np.random.Philox(derive_seed(seed, "design")))


def _drawn(axis: Axis, u: float) -> Any:
    if axis.interval is None:
        return axis.values[int(u * len(axis.values))]
    low, high = axis.interval
    value = low + u * (high - low)
    if isinstance(low, int) and isinstance(high, int):
        return min(high, int(low + u * (high - low + 1)))
    return float(f"{value:.6g}")


def split_axes(axes: Iterable[Axis]) -> tuple[dict[str, Any], list[Axis]]:
    """Knobs that have one value everywhere, and axes with several."""
    fixed: dict[str, Any] = {}
    rest: list[Axis] = []
    for axis in axes:
        if len(axis.values) == 1:
            fixed[axis.key] = axis.values[0]
        else:
            rest.append(axis)
    return fixed, rest


def column_of(key: str) -> str:
    """Column of the table for a knob: the last part of its name, which has the unit; factors keep two parts."""
    return key.removeprefix("chip.").replace(".", "_") if ".factor." in key else key.rpartition(".")[2]


def columns_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by column; lists as text, so that they can be grouped."""
    return {column_of(key): str(value) if isinstance(value, list) else value for key, value in values.items()}
