"""`hxloop compile`: kernels ahead of their first use."""

from __future__ import annotations

import importlib.util
import shutil
import time
from typing import Annotated, Final

import typer

from hxloop.files.folders import cache_directory
from hxloop.kernels.ahead_of_time import compile_parts
from hxloop.kit.cores import n_cores
from hxloop.kit.terminal import show
from hxloop.kit.waiting import told_elsewhere
from hxloop_host.cli.shared_options import make_app

PARTS: Final = {
    "circuits with compressed inputs": "hxloop_chip.chip.kinds_of_runs:compressed_inputs",
    "circuits with separate rates": "hxloop_chip.chip.kinds_of_runs:separate_rates",
    "circuits with equal rates": "hxloop_chip.chip.kinds_of_runs:equal_rates",
    "surrogate gradients": "hxloop_host.readings.first_use:warm_up",
    "desire": "hxloop_host.learning.desire_propagation.trace_sums:warm_up",
    "feedback alignment": "hxloop_host.learning.feedback.local_gradients:warm_up",
    "online training": "hxloop_host.learning.through_time.ottt_rule:warm_up",
    "eligibility": "hxloop_host.learning.eligibility.eprop_rule:warm_up",
    "event adjoints": "hxloop_host.learning.event_adjoint.adjoint_pass:warm_up",
    "first spikes": "hxloop_host.spike_times.closed_form:warm_up",
    "all spikes": "hxloop_host.learning.multi_spike.exact_backward:warm_up",
    "exact gradients": "hxloop_host.gradients.exact_runner:warm_up",
    "every training": "hxloop_host.arithmetic.first_step:warm_up",
    "background generators": "hxloop_chip.chip.kinds_of_runs:generators",
}
"""What is compiled, and functions that need it: names, not imports, as the emulator is another program.

Long ones come first. Kernels that have parts in common are compiled by one function, which compiles each part once."""

compile_ = make_app()


@compile_.command(name="compile")
def _compile(
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Processes; one for each core by default.", metavar="N")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Remove what is stored, and compile it again.")] = False,
) -> None:
    """Compile all kernels of the emulator and of the learning rules, so that nothing waits for them later.

    Without it, every command compiles what it needs when it first needs it. Kernels lie in the cache folder
    (HXLOOP_CACHE_DIR moves it) and belong to this version of hxloop, of Numba and to this kind of processor. What is
    there already costs nothing; interrupted, it goes on where it was.

    [dim]Examples:[/dim]

      hxloop compile

      hxloop compile --force --jobs 1
    """
    folder, begun_s = cache_directory() / "kernels", time.monotonic()
    if force:
        shutil.rmtree(folder, ignore_errors=True)
    parts = {
        name: call
        for name, call in PARTS.items()
        if importlib.util.find_spec(call.partition(":")[0].partition(".")[0]) is not None
    }
    with told_elsewhere():
        compile_parts(parts, jobs or n_cores(), lambda name, seconds: show(f"{name}: {seconds:.0f} s"))
    show(f"all kernels are compiled, in {time.monotonic() - begun_s:.0f} s; they lie in {folder}")
