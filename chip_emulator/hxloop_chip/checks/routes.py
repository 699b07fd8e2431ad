"""What a chip refuses: routes that its event path does not have, and impossible background generators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop_chip.checks.arrays import check_array, check_range, check_unique
from hxloop_chip.wiring.synapses import padi_bus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from hxloop.program import Background, ChipConfig, Routes
    from hxloop.spec import ChipSpec

    Ints = NDArray[np.int64]

_PERIOD_MAX, _SEED_MAX = 2**16 - 1, 2**32 - 1  # haldls vx/background.h: 16 and 32 bit


def check_routing(config: ChipConfig, spec: ChipSpec) -> None:
    """Refuse routes and generators that the datasheet does not allow; nothing is changed.

    Raises
    ------
    ArrayError
        Wrong dtype or shape, or a route or generator that is used twice.
    OutOfRangeError
        A number outside its range, with field, index, value and range.
    InvalidInputError
        A source that is not there, or a driver that the crossbar does not connect it to.
    """
    n_background_labels = spec.n_background * spec.n_labels
    _check_routes("input_routes", config.input_routes, spec.n_input_channels, spec)
    _check_routes("neuron_routes", config.neuron_routes, spec.n_circuits, spec)
    _check_routes("background_routes", config.background_routes, n_background_labels, spec)
    _check_generators(config.background, spec)
    _check_heads(config)
    _check_generator_labels(config, spec)
    if not spec.free_routing:
        _check_neuron_labels(config.neuron_routes)
        _check_neuron_buses(config.neuron_routes, spec)
        _check_background_buses(config.background_routes, spec)


def _check_routes(field: str, routes: Routes, n_sources: int, spec: ChipSpec) -> None:
    check_array(routes.source, ("<i4",), (-1,), f"{field}.source")
    n, n_drivers = len(routes.source), spec.n_hemispheres * spec.n_drivers
    check_array(routes.driver, ("<i2",), (n,), f"{field}.driver")
    check_array(routes.label, ("|u1",), (n,), f"{field}.label")
    check_range(routes.source, 0, n_sources - 1, f"{field}.source")
    check_range(routes.driver, 0, n_drivers - 1, f"{field}.driver")
    check_range(routes.label, 0, spec.n_labels - 1, f"{field}.label")
    place = routes.source.astype(np.int64) * n_drivers + routes.driver
    check_unique(place * spec.n_labels + routes.label, f"{field}.source", "a route (source, driver and label)")


def _check_generators(background: Background, spec: ChipSpec) -> None:
    check_array(background.generator, ("<i2",), (-1,), "background.generator")
    for name, dtype, lowest, highest in (
        ("generator", "<i2", 0, spec.n_background - 1),
        ("poisson", "|u1", 0, 1),
        ("period_ticks", "<i4", 1, _PERIOD_MAX),
        ("rate", "|u1", 0, 255),
        ("seed", "<i8", 0, _SEED_MAX),
        ("label", "|u1", 0, spec.n_labels - 1),
        ("label_mask", "|u1", 0, spec.n_labels - 1),
    ):
        array = getattr(background, name)
        check_array(array, (dtype,), (len(background.generator),), f"background.{name}")
        check_range(array, lowest, highest, f"background.{name}")
    check_unique(background.generator.astype(np.int64), "background.generator", "a generator")


def _check_heads(config: ChipConfig) -> None:
    _refuse_first(
        ~np.isin(config.neuron_routes.source, config.neurons.head),
        "neuron_routes.source",
        lambda k: f"circuit {config.neuron_routes.source[k]} sends events, but is not the head of a configured neuron",
    )


def _check_generator_labels(config: ChipConfig, spec: ChipSpec) -> None:
    """Background events come from a configured generator and carry the label it gave them."""
    routes, background = config.background_routes, config.background
    generator, label = np.divmod(routes.source.astype(np.int64), spec.n_labels)
    entry = np.full(spec.n_background, -1)
    entry[background.generator] = np.arange(len(background.generator))
    known = ", ".join(map(str, sorted(background.generator.tolist()))) or "none"
    _refuse_first(
        entry[generator] < 0,
        "background_routes.source",
        lambda k: (
            f"{routes.source[k]} is label {label[k]} of generator {generator[k]}, which is not configured "
            f"(configured: {known})"
        ),
    )
    if not len(generator):
        return
    fixed = ~background.label_mask[entry[generator]].astype(np.int64)
    own = background.label[entry[generator]].astype(np.int64)
    _refuse_first(
        ((label ^ own) & fixed) != 0,
        "background_routes.source",
        lambda k: (
            f"{routes.source[k]} is label {label[k]} of generator {generator[k]}, which emits label {own[k]} "
            f"with the bits of mask {~fixed[k]} drawn at random"
        ),
    )
    _refuse_first(
        routes.label != label,
        "background_routes.label",
        lambda k: (
            f"an event of source {routes.source[k]} carries label {label[k]} (source modulo {spec.n_labels}), "
            f"not {routes.label[k]}"
        ),
    )


def _check_neuron_labels(routes: Routes) -> None:
    """A neuron circuit has one event label, whichever drivers it reaches."""
    _, first, inverse = np.unique(routes.source, return_index=True, return_inverse=True)
    own = routes.label[first][inverse]
    _refuse_first(
        routes.label != own,
        "neuron_routes.label",
        lambda k: (
            f"circuit {routes.source[k]} sends label {own[k]} on another route and cannot send {routes.label[k]} "
            "here: an on-chip source has one label"
        ),
    )


def _check_neuron_buses(routes: Routes, spec: ChipSpec) -> None:
    """The crossbar connects an event output of neurons with one bus of each hemisphere."""
    circuit, driver = routes.source.astype(np.int64), routes.driver.astype(np.int64)
    output = circuit % spec.n_columns // (spec.n_columns // spec.n_event_outputs)
    reached, bus = output % spec.n_padi_buses, padi_bus(driver, spec)
    _refuse_first(
        bus % spec.n_padi_buses != reached,
        "neuron_routes.driver",
        lambda k: (
            f"circuit {circuit[k]} (event output {output[k]}) cannot reach driver {driver[k]} (bus {bus[k]}), "
            f"only {_drivers(range(reached[k], spec.n_hemispheres * spec.n_padi_buses, spec.n_padi_buses), spec)}"
        ),
    )


def _check_background_buses(routes: Routes, spec: ChipSpec) -> None:
    generator, bus = routes.source // spec.n_labels, padi_bus(routes.driver.astype(np.int64), spec)
    _refuse_first(
        bus != generator,
        "background_routes.driver",
        lambda k: (
            f"generator {generator[k]} cannot reach driver {routes.driver[k]} (bus {bus[k]}), "
            f"only {_drivers([int(generator[k])], spec)}"
        ),
    )


def _drivers(buses: Iterable[int], spec: ChipSpec) -> str:
    n = spec.n_drivers // spec.n_padi_buses
    return " and ".join(f"drivers {bus * n}..{bus * n + n - 1} (bus {bus})" for bus in buses)


def _refuse_first(bad: NDArray[np.bool_], field: str, text: Callable[[int], str]) -> None:
    if bad.any():
        k = int(bad.argmax())
        raise InvalidInputError(text(k), field=f"{field}[{k}]")
