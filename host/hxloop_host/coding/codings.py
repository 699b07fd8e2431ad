"""Codings by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hxloop.errors import InvalidInputError
from hxloop.kit.suggest import suggestion
from hxloop.plugins import Registry
from hxloop_host.coding.coding_interface import Coding, CodingSettings

if TYPE_CHECKING:
    from hxloop.plugins import Source

DEFAULT: Final = "time_to_first_spike"


def _is_coding(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, Coding) and found is not Coding


CODINGS: Final[Registry[type[Coding]]] = Registry(
    "coding",
    {
        DEFAULT: "hxloop_host.coding.time_to_first_spike:TimeToFirstSpike",
        "latency": "hxloop_host.coding.latency:Latency",
        "rate": "hxloop_host.coding.rate_coding:Rate",
        "none": "hxloop_host.coding.uncoded_trains:NoCoding",
    },
    _is_coding,
    "a subclass of Coding",
)


def find_coding(kind: str) -> tuple[type[Coding], Source]:
    """Coding of that name, built in or of an installed package; settings, which may be a stranger's, name no files.

    Raises
    ------
    InvalidInputError
        There is none.
    """
    names = CODINGS.names()
    if kind not in names:
        raise InvalidInputError(
            f"no coding is called {kind!r}", field="coding.kind", hint=suggestion(kind, names, cutoff=0.4)
        )
    return CODINGS.find(kind)


def settings_of_kind(kind: str) -> type[CodingSettings]:
    """Settings of the coding of that name; errors as in `find_coding`."""
    return find_coding(kind)[0].Settings


def build_coding(settings: CodingSettings, tau_syn_us: float) -> Coding:
    """Coding that settings describe.

    Parameters
    ----------
    settings : CodingSettings
    tau_syn_us : float, us
        Unit of their times.
    """
    return find_coding(settings.kind)[0](settings, tau_syn_us)
