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
        "surrogate": "hxloop_host.learning.surrogate_gradient.surrogate_rule:SurrogateGradient",
        "eventprop": "hxloop_host.learning.event_adjoint.event_prop:EventProp",
        "multi_spike": "hxloop_host.learning.multi_spike.multi_spike_rule:MultiSpike",
        "delays": "hxloop_host.learning.delayed_spikes.delay_rule:Delays",
        "ottt": "hxloop_host.learning.through_time.ottt_rule:OnlineThroughTime",
        "eprop": "hxloop_host.learning.eligibility.eprop_rule:EligibilityPropagation",
        "fptt": "hxloop_host.learning.forward_propagation.fptt_rule:ForwardPropagation",
        "desire": "hxloop_host.learning.desire_propagation.desire_rule:DesireBackpropagation",
        "feedback_alignment": "hxloop_host.learning.feedback.feedback_rule:FeedbackAlignment",
    },
    is_rule,
    "a class that derives from hxloop.Rule and has a step",
)
