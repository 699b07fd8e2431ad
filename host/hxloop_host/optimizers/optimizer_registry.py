"""Optimisers by name."""

from __future__ import annotations

from typing import Any, Final

from hxloop.plugins import Registry
from hxloop_host.optimizers.optimizer import Optimizer


def _is_optimizer(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, Optimizer) and found is not Optimizer


OPTIMIZERS: Final[Registry[type[Optimizer]]] = Registry(
    "optimizer",
    {
        "adam": "hxloop_host.optimizers.adam:Adam",
        "adamw": "hxloop_host.optimizers.adamw:AdamW",
        "sgd": "hxloop_host.optimizers.sgd:SGD",
        "smorms3": "hxloop_host.optimizers.smorms3:SMORMS3",
    },
    _is_optimizer,
    "a subclass of Optimizer",
    option="",
)
