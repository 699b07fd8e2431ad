"""`hxloop tasks`: what can be learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hxloop.errors import HxloopError
from hxloop.kit.terminal import print_json, print_table, say
from hxloop_host.cli.shared_options import AsJson, make_app

if TYPE_CHECKING:
    from hxloop.task import Task

tasks = make_app()


@tasks.command(name="tasks")
def _tasks(as_json: AsJson = False) -> None:
    """List the tasks that can be trained on: built in, and those of installed packages.

    Data of your own are tasks too: [bold]hxloop train data.npz[/bold]; [bold]hxloop new task NAME[/bold] writes one in
    Python.

    [dim]Examples:[/dim]

      hxloop tasks

      hxloop tasks --json
    """
    from hxloop_host.tasks.catalog import REGISTRY, find_task

    found: list[dict[str, Any]] = []
    for name in REGISTRY.names():
        try:
            found.append({"task": name, **_entry(find_task(name))})
        except HxloopError as error:
            say(f"{name}: {error}")
    if as_json:
        print_json({"tasks": found})
        return
    rows = [
        (
            entry["task"],
            f"{entry['inputs']} {'channels' if entry['kind'] == 'spikes' else 'features'}",
            entry["classes"],
            " + ".join(str(n) for n in entry["samples"]),
            ", ".join(entry["presets"]),
            entry["licence"],
            entry["source"],
        )
        for entry in found
    ]
    print_table(("task", "inputs", "classes", "samples", "presets", "licence", "source"), rows)


def _entry(task: Task) -> dict[str, Any]:
    return {
        "kind": task.kind,
        "inputs": task.n_inputs,
        "classes": task.n_classes,
        "samples": list(task.n_samples),
        "presets": list(task.presets),
        "licence": task.licence,
        "source": task.source,
        "reference": task.reference,
    }
