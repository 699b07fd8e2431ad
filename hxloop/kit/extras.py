"""What decorates a result (pictures, a page, a journal) and must not cost it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hxloop.errors import HxloopError
from hxloop.kit.waiting import doing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def extra(what: str, warn: Callable[[str], object]) -> Iterator[None]:
    """Make something beside a result; if that fails, for whatever reason, say so and go on.

    Parameters
    ----------
    what : str
        What is made, for example ``pictures``.
    warn : callable
        Told in one line why there is none.
    """
    try:
        with doing(f"making the {what}"):
            yield
    except HxloopError as error:
        warn(f"warning: no {what}: {error}")
    except Exception as error:  # of libraries that draw: what they may raise, nobody knows
        warn(f"warning: no {what}: {type(error).__name__}: {error}")
