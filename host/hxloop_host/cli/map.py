"""`hxloop map`: where a network lies on the chip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hxloop.files.writing import check_target, write_atomically
from hxloop.kit.terminal import print_json, print_table, say
from hxloop_host.cli.shared_options import AsJson, Force, make_app

if TYPE_CHECKING:
    from hxloop_host.placing.placement import Placement
    from hxloop_host.placing.placement_table import PopulationUse

map_ = make_app()


@map_.command(name="map")
def _map(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE|PRESET", help="Network (npz), preset, settings (TOML).", show_default=False),
    ],
    inputs: Annotated[
        int | None,
        typer.Option("--inputs", min=1, help="Features of a sample, for a settings file (TOML).", metavar="N"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Draw both synapse arrays with their drivers, buses and neurons (png).")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Place a network on the chip without running it, and show what it uses.

    Inputs without a sign (+/-) take two synapse rows, excitatory (+) and inhibitory (-) ones take one. LI: leaky
    integrators, which do not spike; delay: neurons that pass events on later, pairs of circuits.

    Needs no chip: the datasheet (HICANN-X) says what fits. A network that does not fit is refused with the resource
    that is short and by how much; the exit code is 2.

    [dim]Examples:[/dim]

      hxloop map mnist16 --out placement.png

      hxloop map network.npz --json

      hxloop map mine.toml --inputs 4
    """
    from hxloop.spec import HICANN_X
    from hxloop_host.network.placement_source import place_source
    from hxloop_host.placing.placement_table import as_dict

    if out is not None:
        from hxloop_host.placing.placement_picture import check_picture_name, draw_placement

        form = check_picture_name(out, "out")
        check_target(out, [f".{form}"], force=force, others=[Path(source)])
    placement, changed = place_source(source, HICANN_X, inputs)
    for change in changed:
        say(f"warning: {change}")
    if out is not None:
        write_atomically(out, draw_placement(placement, form))
        say(f"picture in {out}")
    if as_json:
        print_json(as_dict(placement) | {"changed": changed})
    else:
        _print(placement)


def _kind(population: PopulationUse) -> str:
    """What its neurons are, where they are no ordinary ones."""
    return " (delay)" if population.relay else "" if population.spiking else " (LI)"


def _print(placement: Placement) -> None:
    from hxloop_host.placing.placement_table import bus_uses, population_uses, projection_uses, totals

    spec = placement.spec
    hemispheres = [f"cols {h}" for h in range(spec.n_hemispheres)]
    populations = [
        (
            p.name + _kind(p), f"{p.neurons} x {p.circuits_per_neuron}", p.inputs, p.rows,
            p.drivers, p.labels, p.synapses, *p.columns,
        )
        for p in population_uses(placement)
    ]  # fmt: skip
    projections = [
        (p.name, p.inputs, p.both, p.excitatory, p.inhibitory, p.rows, f"{p.connected:.0%}", p.synapses)
        for p in projection_uses(placement)
    ]
    rows_per_bus = spec.n_rows // spec.n_padi_buses
    buses = [
        (
            f"{b.hemisphere}.{b.bus}", f"{b.rows}/{rows_per_bus}", b.excitatory, b.inhibitory, b.on_chip_sources,
            b.external_sources, b.labels,
        )
        for b in bus_uses(placement)
    ]  # fmt: skip
    sums = [(name, used, there) for name, (used, there) in totals(placement).items()]
    for heads, rows in (
        (("population", "circuits", "inputs", "rows", "drivers", "labels", "synapses", *hemispheres), populations),
        (("projection", "inputs", "+/-", "+", "-", "rows", "connected", "synapses"), projections),
        (("bus", "rows", "+", "-", "neurons heard", "channels heard", "labels"), buses),
        ((spec.name, "used", "there"), sums),
    ):
        print_table(heads, rows, plain=True, numbers=True)
