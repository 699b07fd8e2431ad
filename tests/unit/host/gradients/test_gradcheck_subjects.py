"""What rules are checked with: their defaults, which presets change."""

import pytest

from hxloop_host.gradients.subjects import find_subjects
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.training.guarded_rule import unguarded


@pytest.mark.parametrize("rule", ["fast_and_deep", "delays", "multi_spike", "eventprop", "surrogate"])
def test_rules_are_checked_with_their_defaults_where_they_have_any(rule):
    _, subjects = find_subjects(rule, None, None)
    settings = unguarded(subjects[0].make_rule()).settings
    for name, field in type(settings).model_fields.items():
        if name != "kind" and not field.is_required():
            assert getattr(settings, name) == field.get_default(call_default_factory=True), name


def test_a_preset_that_is_named_is_checked_as_it_is():
    _, subjects = find_subjects("fast_and_deep", "quick", None)
    assert unguarded(subjects[0].make_rule()).settings == load_settings("quick").rule
