"""`hxloop map`: where a network lies on the chip."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads annotations when it runs)
from typing import TYPE_CHECKING, Annotated

import typer

from host.cli.options import AsJson, make_app, print_json, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from host.mapping import Placement

map_ = make_app()


@map_.command(name="map")
def _map(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE|PRESET", help="Network (npz), preset, settings (TOML).", show_default=False),
    ],
    inputs: Annotated[
        int | None, typer.Option("--inputs", min=1, help="Features of a sample, for settings without a known task.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Draw both synapse arrays with their drivers, buses and neurons (png).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Place a network on the chip without running it, and show what it uses.

    Needs no chip: the datasheet (HICANN-X) says what fits. A network that does not fit is refused with the resource
    that is short and by how much; the exit code is 2.

    [dim]Examples:[/dim]

      hxloop map mnist16 --out placement.png

      hxloop map network.npz --json
    """
    from host.placement_source import place_source
    from host.placement_table import as_dict
    from hxloop.spec import HICANN_X

    placement, changed = place_source(source, HICANN_X, inputs)
    for change in changed:
        say(f"warning: {change}")
    if out is not None:
        from host.placement_picture import draw_placement

        draw_placement(placement, out)
        say(f"picture in {out}")
    if as_json:
        print_json(as_dict(placement) | {"changed": changed})
    else:
        _print(placement)


def _print(placement: Placement) -> None:
    from rich.console import Console

    from host.placement_table import bus_uses, population_uses, totals

    spec = placement.spec
    hemispheres = [f"columns {h}" for h in range(spec.n_hemispheres)]
    populations = [
        (p.name, f"{p.neurons} x {p.circuits_per_neuron}", p.signed_inputs, p.drivers, p.labels, p.synapses, *p.columns)
        for p in population_uses(placement)
    ]
    rows_per_bus = spec.n_rows // spec.n_padi_buses
    buses = [
        (f"{b.hemisphere}.{b.bus}", f"{b.rows}/{rows_per_bus}", b.on_chip_sources, b.external_sources, b.labels)
        for b in bus_uses(placement)
    ]
    sums = [(name, used, there) for name, (used, there) in totals(placement).items()]
    console = Console()
    for heads, rows in (
        (("population", "circuits", "inputs", "drivers", "labels", "synapses", *hemispheres), populations),
        (("bus", "rows", "neurons heard", "channels heard", "labels"), buses),
        ((spec.name, "used", "there"), sums),
    ):
        console.print(_table(heads, rows))
        console.print()


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for k, head in enumerate(heads):
        table.add_column(head, justify="right" if k else "left")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table
