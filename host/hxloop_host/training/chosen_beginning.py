"""Beginning of a training: that of its settings, or one that the user names or hands over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hxloop.errors import InvalidInputError
from hxloop.kit import arguments
from hxloop.plugins import file_of, foreign_code, is_of_program, made_with
from hxloop_host.settings.experiment_settings import BEGINNING_SECTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Batch, Runner, Weights
    from hxloop_host.beginnings.beginning import Beginning, Say
    from hxloop_host.settings.experiment_settings import Settings

    Begun = str | Beginning | type[Beginning]


def with_beginning(settings: Settings, named: Begun | None) -> Settings:
    """Settings with a beginning that the user names.

    Parameters
    ----------
    settings : Settings
    named : str, Beginning, subclass of Beginning, or None
        A name, ``FILE.py:CLASS`` (which is run), or an object; None for that of the settings. Of a name or a class, the
        values are those of the settings if they are of its kind.

    Raises
    ------
    InvalidInputError, MissingFileError
        No such beginning, a file that cannot be run, or settings that it refuses.
    """
    if named is None:
        return settings
    section = BEGINNING_SECTION.chosen(named, "a beginning, or its name", [settings.beginning])
    return settings.with_beginning(section)


def beginning_of(settings: Settings, network: Network | None = None) -> Beginning:
    """Beginning of settings, made.

    Parameters
    ----------
    settings : Settings
    network : Network, optional
        What it is to begin; checked if given.

    Raises
    ------
    InvalidInputError
        A network that it cannot begin, or a beginning in a file that was not named.
    """
    given = settings.beginning
    part = BEGINNING_SECTION.part(given.kind)
    return made_with(part, given, "beginning", None if network is None else lambda made: made.check(network))


def begun(
    beginning: Beginning, runner: Runner, drawn: Sequence[NDArray[np.float64]], batch: Batch, say: Say
) -> Weights:
    """What a beginning makes of drawn weights.

    Raises
    ------
    InvalidInputError
        One that is not part of the program fails, or returns no list.
    """
    kind = type(beginning)
    if is_of_program(kind):
        return beginning.begin(runner, drawn, batch, say)
    with foreign_code(f"{kind.__qualname__} failed in begin", "beginning", file_of(kind)):
        found: Any = beginning.begin(runner, [matrix.copy() for matrix in drawn], batch, say)
    if not isinstance(found, list | tuple):
        raise InvalidInputError(
            f"{kind.__qualname__}.begin must return a list of weights, one matrix a projection, got "
            f"{arguments.shown(found)}",
            field="beginning",
        )
    return list(found)


def wanted_samples(beginning: Beginning, n_samples: int) -> int:
    """Samples of a training set with this many that a beginning looks at.

    Raises
    ------
    InvalidInputError
        It asks for something else than a number.
    """
    return min(arguments.whole_number(beginning.samples, "beginning.samples", lowest=0), n_samples)
