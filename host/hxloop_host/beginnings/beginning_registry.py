"""Beginnings by name."""

from __future__ import annotations

import inspect
from typing import Any, Final

from hxloop.plugins import Registry
from hxloop_host.beginnings.beginning import Beginning


def is_beginning(found: Any) -> bool:
    """Whether something is a class of beginnings that can be made."""
    return isinstance(found, type) and issubclass(found, Beginning) and not inspect.isabstract(found)


BEGINNINGS: Final[Registry[type[Beginning]]] = Registry(
    "beginning",
    {
        "drawn": "hxloop_host.beginnings.drawn:Drawn",
        "first_spikes": "hxloop_host.beginnings.spikes_in_window:SpikesInWindow",
        "fluctuations": "hxloop_host.beginnings.fluctuations:Fluctuations",
    },
    is_beginning,
    "a class that derives from hxloop.Beginning and has a begin",
)
