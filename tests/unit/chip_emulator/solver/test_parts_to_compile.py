"""What `hxloop compile` calls is there, in the emulator and in the host."""

import importlib
import itertools

import pytest

from hxloop_chip.chip import kinds_of_runs
from hxloop_chip.solver.kernel import run_samples
from hxloop_host.cli.compile_kernels import PARTS


@pytest.mark.parametrize("call", PARTS.values())
def test_every_part_is_a_function(call):
    module, _, name = call.partition(":")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.timeout(1200)  # where `hxloop compile` was not called before
def test_runs_of_every_kind_find_the_solver_compiled():
    """For each kind of rates, with and without reads, and with and without neurons that have no closed form."""
    for name in ("compressed_inputs", "separate_rates", "equal_rates"):
        assert f"hxloop_chip.chip.kinds_of_runs:{name}" in PARTS.values()
        getattr(kinds_of_runs, name)()
    found = {
        (circuit.types[-1].instance_class.__name__, str(models) != "none", str(watch) != "none")
        for _, _, _, circuit, models, *_, watch, _ in run_samples.signatures
    }
    every = itertools.product(("CompressedRates", "SeparateRates", "EqualRates"), (False, True), (False, True))
    assert found >= {(rates, models, watch) for rates, models, watch in every if not (models and rates == "EqualRates")}
