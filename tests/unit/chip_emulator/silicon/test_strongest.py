"""The strongest imperfections that a name may ask for, one by one and all at once: numbers stay finite."""

import warnings

import numpy as np
import pytest

from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError
from hxloop.naming.chip_name import NAMED
from hxloop_chip.silicon.circuits import true_circuits
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.silicon.presets import CHIPS, named_chip

BOUNDS = CHIPS["typical"].bounds()
ALIVE = {name: highest for name, (_, highest) in BOUNDS.items() if not name.startswith(("dead", "link"))}


def name_of(base, strengths):
    return f"{base}[{','.join(f'{name}={value!r}' for name, value in strengths.items())}]"


@pytest.mark.parametrize(
    ("strengths", "serial"), [*(({name: value}, 1) for name, value in ALIVE.items()), *((ALIVE, k) for k in range(5))]
)
def test_circuits_of_the_strongest_mismatch_are_circuits(strengths, serial):
    named = named_chip(name_of("typical", strengths))
    spec, every = named.spec, np.arange(named.spec.n_circuits, dtype=np.int16)
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        mismatch = Mismatch(spec, named.imperfections, serial)
        boot = nominal_boot(spec)
        found = true_circuits(boot.of(every, every), boot.shared, mismatch, spec)
    for name, values in vars(found).items():
        assert np.isfinite(values).all(), name
    for name in ("capacitance_pf", "leak_ns", "tau_syn_us", "step_na", "tau_mem_us"):
        assert (getattr(found, name) > 0).all(), name
    assert found.tau_mem_us.min() > 1e-3  # shorter ones overflow in the solver's step of half a microsecond


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("factor", [1.001, 1e300, float("inf"), float("nan")])
def test_stronger_ones_are_refused_by_name(name, factor):
    with pytest.raises(InvalidInputError) as caught:
        named_chip(name_of("typical", {name: factor * BOUNDS[name][1]}))
    assert caught.value.field == f"chip[{name}]"


def test_what_a_datasheet_does_not_have_cannot_be_imperfect():
    with pytest.raises(InvalidInputError) as caught:
        named_chip("ideal[weight_dac_fixed=0.1]")
    assert caught.value.field == "chip[weight_dac_fixed]"


def test_the_names_that_a_host_knows_are_those_that_there_are():
    assert tuple(CHIPS) == NAMED
