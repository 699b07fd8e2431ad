"""`hxloop rules`: what can teach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hxloop.errors import HxloopError
from hxloop.kit.terminal import print_json, print_table, say
from hxloop_host.cli.shared_options import AsJson, make_app

if TYPE_CHECKING:
    from hxloop.rule import Rule

rules = make_app()


@rules.command(name="rules")
def _rules(as_json: AsJson = False) -> None:
    """List the learning rules that can train: built in, and those of installed packages.

    A class of your own is a rule too: [bold]hxloop train yin-yang --rule my_rules.py:Hebb[/bold];
    [bold]hxloop new rule NAME[/bold] writes one that works.

    [dim]Examples:[/dim]

      hxloop rules

      hxloop rules --json
    """
    from hxloop_host.learning.registry import RULES

    found: list[dict[str, Any]] = []
    for name in RULES.names():
        try:
            kind, source = RULES.find(name)
        except HxloopError as error:
            say(f"{name}: {error}")
            continue
        found.append({"rule": name, **_entry(kind), "module": source.module, "version": source.version})
    if as_json:
        print_json({"rules": found})
        return
    rows = [(entry["rule"], entry["summary"], entry["observes"], entry["reference"]) for entry in found]
    print_table(("rule", "what it does", "observes", "reference"), rows)


def _entry(kind: type[Rule]) -> dict[str, Any]:
    return {
        "summary": kind.summary,
        "observes": kind.observes,
        "reference": kind.reference,
        "settings": {key: info.description or "" for key, info in kind.Settings.model_fields.items() if key != "kind"},
        "columns": [column.name for column in kind.columns],
    }
