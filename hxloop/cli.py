"""The command line: ``hxloop COMMAND``. A command's module is loaded when the command is used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Annotated, Any, Final, NoReturn

import typer

from hxloop.kit.entry import Group, run_program, tidied
from hxloop.kit.terminal import show
from hxloop.version import __version__

COMMANDS: Final = {
    "train": "hxloop_host.cli.train:train",
    "eval": "hxloop_host.cli.evaluate:evaluate",
    "run": "hxloop_host.cli.run_network:run",
    "map": "hxloop_host.cli.map:map_",
    "calibrate": "hxloop_host.cli.calibrate:calibrate",
    "measure": "hxloop_host.cli.characterise:measure",
    "fit": "hxloop_host.cli.characterise:fit",
    "serve": "hxloop_host.cli.emulator:serve",
    "compile": "hxloop_host.cli.compile_kernels:compile_",
    "chip": "hxloop_host.cli.emulator:chip",
    "runs": "hxloop_host.cli.runs:runs",
    "tasks": "hxloop_host.cli.tasks:tasks",
    "rules": "hxloop_host.cli.rules:rules",
    "gradcheck": "hxloop_host.cli.rules:gradcheck",
    "new": "hxloop_host.cli.new:new",
    "study": "hxloop_host.cli.study:study",
}
"""Command to the `typer.Typer` that holds it; names, not imports: this package does not depend on the host."""


class _Commands(MutableMapping[str, Any]):
    """Commands by name, made when they are looked up."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module, attribute = COMMANDS[name].split(":")
            command: Any = typer.main.get_command(getattr(importlib.import_module(module), attribute))
            command.name = name
            self._made[name] = tidied(command)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Group(Group):
    """Commands on demand."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()


app = typer.Typer(
    cls=_Group,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


def _print_version(asked: bool) -> None:
    if asked:
        show(f"hxloop {__version__}")
        raise typer.Exit


@app.callback()
def hxloop(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train spiking networks in the loop on an emulated mixed-signal neuromorphic chip.

    Start with [bold]hxloop train yin-yang[/bold]: it starts its own chip in another process, trains on it, and ends it.
    """


def main() -> NoReturn:
    """Entry point of the command."""
    run_program(app, "hxloop")
