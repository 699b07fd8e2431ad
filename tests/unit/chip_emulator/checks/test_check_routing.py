"""Every refusal of the event path: which field, which value, what would be allowed."""

from dataclasses import replace

import numpy as np
import pytest
from support.solving.codes import neuron_codes
from support.solving.generators import background

from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop_chip.checks.routes import check_routing

HEADS = (0, 31, 32, 255, 256, 300, 511)


def routes(*entries):
    source, driver, label = zip(*entries, strict=True) if entries else ((), (), ())
    return Routes(np.array(source, np.int32), np.array(driver, np.int16), np.array(label, np.uint8))


def config(**changes):
    nothing = np.empty(0, np.int16)
    return replace(
        ChipConfig(
            neuron_codes(HEADS),
            nominal_boot(HICANN_X).shared,
            Synapses(nothing, nothing, nothing.astype(np.uint8), nothing.astype(np.int8)),
            np.zeros((HICANN_X.n_hemispheres, HICANN_X.n_rows), np.int8),
            Routes.none(),
            Routes.none(),
        ),
        **changes,
    )


def refused(error, field, *texts, spec=HICANN_X, **changes):
    with pytest.raises(error) as caught:
        check_routing(config(**changes), spec)
    assert type(caught.value) is error
    assert caught.value.field == field
    for text in texts:
        assert text in caught.value.message
    return caught.value.message


GENERATORS = background({"generator": 2, "label": 0b1000, "label_mask": 0b11}, {"generator": 7, "label": 63})


def test_what_the_crossbar_has_is_accepted():
    check_routing(config(), HICANN_X)
    check_routing(
        config(
            input_routes=routes((0, 0, 0), (65535, 255, 63), (0, 0, 1), (0, 128, 0)),
            # Outputs 0, 0, 1, 7, 0, 1, 7 (32 columns each): buses 0, 0, 1, 3, 0, 1, 3 of both hemispheres.
            neuron_routes=routes(
                (0, 0, 5), (0, 31, 5), (0, 128, 5), (31, 159, 5), (32, 32, 5), (32, 191, 5), (255, 127, 0),
                (255, 255, 0), (256, 7, 1), (300, 63, 2), (511, 96, 3), (511, 224, 3),
            ),
            background=GENERATORS,
            background_routes=routes(*((2 * 64 + 8 + k, 64, 8 + k) for k in range(4)), (7 * 64 + 63, 255, 63)),
        ),
        HICANN_X,
    )  # fmt: skip


FIELDS = ("input_routes", "neuron_routes", "background_routes")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", ["source", "driver", "label"])
@pytest.mark.parametrize("wrong", ["dtype", "length", "shape"])
def test_arrays_of_routes(field, name, wrong):
    good = routes((0, 0, 0), (1, 1, 1))
    array = getattr(good, name)
    bad = {"dtype": array.astype(np.int64), "length": array[:1], "shape": array[None]}[wrong]
    at = "driver" if (wrong, name) == ("length", "source") else name  # its length is the one that counts
    refused(ArrayError, f"{field}.{at}", "must be", **{field: replace(good, **{name: bad})})


@pytest.mark.parametrize("name", ["source", "driver", "label"])
def test_routes_hold_arrays(name):
    good = routes((0, 0, 0))
    with pytest.raises(ArrayError, match="must be a numpy array of numbers, got a list") as caught:
        replace(good, **{name: getattr(good, name).tolist()})
    assert caught.value.field == name


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [-1, 256, 32767])
def test_driver_range(field, value):
    refused(OutOfRangeError, f"{field}.driver[1]", f"{value} is outside 0..255",
            **{field: routes((0, 0, 0), (1, value, 0))})  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_label_range(field):
    refused(OutOfRangeError, f"{field}.label[1]", "64 is outside 0..63", **{field: routes((0, 0, 0), (1, 1, 64))})


@pytest.mark.parametrize(("field", "highest"), [("input_routes", 65535), ("neuron_routes", 511),
                                                ("background_routes", 511)])  # fmt: skip
@pytest.mark.parametrize("too_low", [False, True])
def test_source_range(field, highest, too_low):
    value = -1 if too_low else highest + 1
    refused(OutOfRangeError, f"{field}.source[0]", f"{value} is outside 0..{highest}",
            **{field: routes((value, 0, 0))})  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_a_route_comes_once(field):
    refused(ArrayError, f"{field}.source[2]", "route (source, driver and label) is used twice",
            **{field: routes((0, 3, 0), (0, 4, 0), (0, 3, 0))})  # fmt: skip


def test_neuron_routes_begin_at_heads():
    neurons = neuron_codes((0, 1, 7), (0, 0, 7))
    check_routing(config(neurons=neurons, neuron_routes=routes((0, 0, 0), (7, 0, 1))), HICANN_X)
    for circuit in (1, 2):
        refused(InvalidInputError, "neuron_routes.source[1]",
                f"circuit {circuit} sends events, but is not the head of a configured neuron",
                neurons=neurons, neuron_routes=routes((0, 0, 0), (circuit, 0, 1)))  # fmt: skip


@pytest.mark.parametrize(("circuit", "output", "driver", "bus", "allowed"), [
    (0, 0, 32, 1, "drivers 0..31 (bus 0) and drivers 128..159 (bus 4)"),
    (31, 0, 160, 5, "drivers 0..31 (bus 0) and drivers 128..159 (bus 4)"),
    (32, 1, 31, 0, "drivers 32..63 (bus 1) and drivers 160..191 (bus 5)"),
    (255, 7, 0, 0, "drivers 96..127 (bus 3) and drivers 224..255 (bus 7)"),
    (256, 0, 255, 7, "drivers 0..31 (bus 0) and drivers 128..159 (bus 4)"),
    (300, 1, 64, 2, "drivers 32..63 (bus 1) and drivers 160..191 (bus 5)"),
])  # fmt: skip
def test_a_neuron_reaches_one_bus_of_each_hemisphere(circuit, output, driver, bus, allowed):
    wrong = {"neuron_routes": routes((511, 96, 0), (circuit, driver, 0))}
    refused(InvalidInputError, "neuron_routes.driver[1]", f"circuit {circuit} (event output {output})",
            f"driver {driver} (bus {bus})", f"only {allowed}", **wrong)  # fmt: skip
    check_routing(config(**wrong), HICANN_X.model_copy(update={"free_routing": True}))


def test_exactly_the_published_nodes_exist():
    """Each circuit reaches 64 of 256 drivers: 32 on one bus of either hemisphere."""
    for circuit in HEADS:
        reached = []
        for driver in range(256):
            try:
                check_routing(config(neuron_routes=routes((circuit, driver, 0))), HICANN_X)
                reached.append(driver)
            except InvalidInputError:
                pass
        first = 32 * (circuit % 256 // 32 % 4)
        assert reached == [*range(first, first + 32), *range(128 + first, 128 + first + 32)]


def test_a_neuron_has_one_label():
    wrong = {"neuron_routes": routes((32, 32, 9), (0, 0, 5), (0, 1, 5), (0, 128, 6))}
    refused(InvalidInputError, "neuron_routes.label[3]", "circuit 0 sends label 5", "cannot send 6", **wrong)
    check_routing(config(**wrong), HICANN_X.model_copy(update={"free_routing": True}))


@pytest.mark.parametrize(("name", "value", "allowed"), [
    ("generator", -1, "0..7"), ("generator", 8, "0..7"), ("poisson", 2, "0..1"), ("period_ticks", 0, "1..65535"),
    ("period_ticks", 65536, "1..65535"), ("seed", -1, "0..4294967295"), ("seed", 2**32, "0..4294967295"),
    ("label", 64, "0..63"), ("label_mask", 64, "0..63"),
])  # fmt: skip
def test_ranges_of_generators(name, value, allowed):
    wrong = background({"generator": 3}, {"generator": 4} | {name: value})
    refused(OutOfRangeError, f"background.{name}[1]", f"{value} is outside {allowed}", background=wrong)


def test_the_ends_of_the_ranges_are_allowed():
    ends = background(
        {"generator": 0, "poisson": 1, "period_ticks": 1, "rate": 0, "seed": 0},
        {"generator": 7, "poisson": 0, "period_ticks": 65535, "rate": 255, "seed": 2**32 - 1, "label": 63,
         "label_mask": 63},
    )  # fmt: skip
    check_routing(config(background=ends), HICANN_X)


@pytest.mark.parametrize("name", list(vars(GENERATORS)))
def test_arrays_of_generators(name):
    array = getattr(GENERATORS, name)
    for bad in (array.astype(np.float64), array[None], np.array(0, array.dtype)):
        refused(ArrayError, f"background.{name}", "must be", background=replace(GENERATORS, **{name: bad}))


def test_a_generator_comes_once():
    refused(ArrayError, "background.generator[1]", "a generator is used twice",
            background=background({"generator": 3}, {"generator": 3}))  # fmt: skip


def test_background_routes_need_their_generator():
    source = 3 * 64 + 8
    refused(InvalidInputError, "background_routes.source[0]", f"{source} is label 8 of generator 3", "configured: 2, 7",
            background=GENERATORS, background_routes=routes((source, 96, 8)))  # fmt: skip
    refused(InvalidInputError, "background_routes.source[0]", "configured: none",
            background_routes=routes((source, 96, 8)))  # fmt: skip


@pytest.mark.parametrize("label", [0, 7, 12, 24, 63])
def test_background_routes_need_a_label_that_is_emitted(label):
    source = 2 * 64 + label
    refused(InvalidInputError, "background_routes.source[0]", f"label {label} of generator 2", "emits label 8",
            "mask 3", background=GENERATORS, background_routes=routes((source, 64, label)))  # fmt: skip


def test_a_background_event_keeps_its_label():
    refused(InvalidInputError, "background_routes.label[0]", "carries label 9", "not 10",
            background=GENERATORS, background_routes=routes((2 * 64 + 9, 64, 10)))  # fmt: skip


@pytest.mark.parametrize(("driver", "bus"), [(0, 0), (63, 1), (96, 3), (192, 6)])
def test_a_generator_reaches_its_bus(driver, bus):
    wrong = {"background": GENERATORS, "background_routes": routes((2 * 64 + 9, driver, 9))}
    refused(InvalidInputError, "background_routes.driver[0]", f"generator 2 cannot reach driver {driver} (bus {bus})",
            "only drivers 64..95 (bus 2)", **wrong)  # fmt: skip
    check_routing(config(**wrong), HICANN_X.model_copy(update={"free_routing": True}))


def test_the_textbook_machine_routes_freely():
    assert TEXTBOOK.free_routing
    last = TEXTBOOK.n_hemispheres * TEXTBOOK.n_drivers - 1
    check_routing(config(neuron_routes=routes((0, last, 1), (0, 0, 2), (32, 0, 3))), TEXTBOOK)
    refused(OutOfRangeError, "neuron_routes.driver[0]", f"0..{last}", spec=TEXTBOOK,
            neuron_routes=routes((0, last + 1, 0)))  # fmt: skip
