"""Rules get ready while the chip does."""

import threading

import pytest

from hxloop_host.training.choice import Choice, prepare_aside


class Waits:
    """A rule that gets ready only if somebody else goes on meanwhile."""

    def __init__(self):
        self.other_has_gone_on, self.times = threading.Event(), 0

    def prepare(self):
        assert self.other_has_gone_on.wait(10.0)
        self.times += 1


class Fails:
    def prepare(self):
        raise KeyError("tables")


def test_all_rules_get_ready_aside():
    rules = [Waits(), Waits()]
    preparing = prepare_aside([Choice(rule, None, None) for rule in rules])
    for rule in rules:
        rule.other_has_gone_on.set()
    preparing.result(10.0)
    assert [rule.times for rule in rules] == [1, 1]


def test_what_a_rule_raises_is_not_lost():
    with pytest.raises(KeyError, match="tables"):
        prepare_aside([Choice(Fails(), None, None)]).result(10.0)
