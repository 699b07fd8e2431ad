"""`hxloop rules`: what is listed."""

import json

from typer.testing import CliRunner

from hxloop.cli import app
from hxloop_host.learning.registry import RULES


def hxloop(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_rules_are_listed_with_what_they_observe_and_where_they_come_from():
    listed = {entry["rule"]: entry for entry in json.loads(hxloop("rules", "--json").stdout)["rules"]}
    assert list(listed) == [*RULES.built_in]
    found = listed["fast_and_deep"]
    assert found["observes"] == "first spikes of all neurons"
    assert "Goeltz" in found["reference"]
    assert "bump_fraction" in found["columns"]
    assert {"limits", "bump", "max_dw_norm"} <= found["settings"].keys()
    for entry in listed.values():
        assert entry["summary"]
        assert entry["rule"] in hxloop("rules").stdout
