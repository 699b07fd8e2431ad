"""`hxloop run`: a network given as arrays, on a chip."""

from __future__ import annotations

import re
import time
from pathlib import Path  # noqa: TC003 (typer reads annotations when it runs)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hxloop.errors import InvalidInputError
from hxloop.files.writing import NPZ, check_target
from hxloop.kit.arguments import SEED_MAX, whole_number
from hxloop.kit.terminal import print_json, say, show
from hxloop.kit.waiting import doing
from hxloop_host.cli.shared_options import AsJson, Chip, Endpoint, Force, Serial, make_app

if TYPE_CHECKING:
    from hxloop_host.placing.network_run import NetworkRun

run = make_app()


@run.command(name="run")
def _run(
    file: Annotated[Path, typer.Argument(metavar="FILE.npz", help="Weights and input spikes.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Where to write the spikes of all layers (npz).")],
    chip: Chip = None,
    serial: Serial = None,
    endpoint: Endpoint = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Solver threads of the daemon that is started.", metavar="N")
    ] = None,
    cadc: Annotated[
        list[int] | None,
        typer.Option(help="Sample all membranes of this layer (1, 2, ...); may be repeated.", min=1, metavar="N"),
    ] = None,
    madc: Annotated[
        str | None, typer.Option(help="Sample the membrane of one neuron (from 0) fast.", metavar="LAYER:NEURON")
    ] = None,
    force: Force = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Names the trial: the noise of a noisy chip depends on it.", metavar="N")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Run a feed-forward network given as arrays, to compare the chip with any other simulator.

    The chip is [bold]ideal[/bold] (the textbook equations, solved exactly) unless another one is named. Values that a
    chip does not have are replaced by the nearest it has, and named on stderr. The file holds the scalars n_samples,
    duration_us, tau_mem_us, tau_syn_us and t_ref_us, the matrices weights_1, weights_2, ... (threshold/us) and the
    spikes input_sample, input_neuron, input_time_us; docs/files.md describes it.

    [dim]Examples:[/dim]

      hxloop run yin_yang.npz --out spikes.npz

      hxloop run yin_yang.npz --chip typical --serial 3 --out spikes.npz --json

      hxloop run yin_yang.npz --chip typical --cadc 1 --madc 2:0 --out all.npz
    """
    from hxloop_host.link.choosing import open_chip
    from hxloop_host.placing.network_file import read_network_file, write_spike_file
    from hxloop_host.placing.network_run import run_network_file
    from hxloop_host.placing.probes import Probes

    begin, seed = time.monotonic(), whole_number(seed, "seed", highest=SEED_MAX)
    check_target(out, NPZ, force=force, others=[file])
    network = read_network_file(file)
    probes = Probes(tuple(dict.fromkeys(cadc or ())), _pair(madc))
    with open_chip(chip, serial, endpoint, threads, default="ideal") as remote:
        identity = str(remote.identity)
        run_begin = time.monotonic()
        with doing("running the network"):
            done = run_network_file(network, remote, trial_seed=seed, probes=probes)
        run_s = time.monotonic() - run_begin
    write_spike_file(out, done.layers, done.recordings)
    for change in done.changed:
        say(f"warning: {change}")
    summary = _summary(done, network.n_samples, run_s)
    summary |= {"chip": identity, "out": out, "wall_s": time.monotonic() - begin}
    if as_json:
        print_json(summary)
        return
    spikes = " + ".join(str(n) for n in summary["spikes"])
    show(
        f"{network.name}: {network.n_samples} samples on {identity} in {summary['emulation_s']:.3g} s "
        f"(chip time {summary['chip_time_s']:.3g} s, {summary['speedup_over_biology']:.3g} x biology there and back), "
        f"{spikes} spikes in {out}"
    )


def _pair(madc: str | None) -> tuple[int, int] | None:
    if madc is None:
        return None
    found = re.fullmatch(r"(\d+):(\d+)", madc)
    if found is None:
        raise InvalidInputError(f"{madc!r} is not LAYER:NEURON", field="madc", hint="for example --madc 2:0")
    return int(found[1]), int(found[2])


def _summary(done: NetworkRun, n_samples: int, run_s: float) -> dict[str, Any]:
    """Figures; `run_s` is the wall time of placing, configuring, running and reading back."""
    from hxloop.result import ChipUse

    use = ChipUse()
    use.add(done.result)
    return {
        "samples": n_samples,
        "spikes": [len(layer.time_us) for layer in done.layers],
        **use.figures(run_s),
        **{name: getattr(done.result, name) for name in ("lost_in", "lost_out", "lost_late")},
        "run_s": run_s,
        "changed": done.changed,
    }
