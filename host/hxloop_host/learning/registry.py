"""Rules by name, one line each."""

from __future__ import annotations

from typing import Any, Final

from hxloop.plugins import Registry
from hxloop.rule import Rule


def is_rule(found: Any) -> bool:
    """Whether something is a class of rules that can be made."""
    return isinstance(found, type) and issubclass(found, Rule) and not getattr(found, "__abstractmethods__", None)


RULES: Final[Registry[type[Rule]]] = Registry(
    "rule",
    {
        "fast_and_deep": "hxloop_host.learning.first_spike.fast_and_deep:FastAndDeep",
        "delays": "hxloop_host.learning.delayed_spikes.delay_rule:Delays",
        "surrogate": "hxloop_host.learning.surrogate_gradient.surrogate_rule:SurrogateGradient",
    },
    is_rule,
    "a class that derives from hxloop.Rule and has a step",
)
