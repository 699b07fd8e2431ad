"""The seam between a training and its rule."""

from hxloop.rule.learning_rule import Column, Rule, RuleSettings, Runner, Strength, Update
from hxloop.rule.observation import CADC_PERIOD_US, Batch, Codes, Inputs, Observe, Recording, Spikes, State, Weights

__all__ = [
    "CADC_PERIOD_US",
    "Batch",
    "Codes",
    "Column",
    "Inputs",
    "Observe",
    "Recording",
    "Rule",
    "RuleSettings",
    "Runner",
    "Spikes",
    "State",
    "Strength",
    "Update",
    "Weights",
]
