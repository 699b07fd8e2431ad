"""What a placement delivers, followed entry by entry over drivers, rows and labels, against what it stands for."""

import numpy as np

from hxloop.network import INPUT, Population
from hxloop_host.placing.placement import Placement


def population(name, size, **changes):
    values = {
        "tau_mem_us": 6.0, "tau_syn_us": 6.0, "t_refractory_us": 1.0, "v_leak_mv": 420.0, "v_reset_mv": 420.0,
        "v_threshold_mv": 735.0, "synapse_gain_mv_per_us": 0.5,
    }  # fmt: skip
    return Population(name, size, **(values | changes))


def random_codes(network, rng):
    """Codes that masks and signs allow."""
    found = []
    for projection in network.projections:
        codes = rng.integers(-63, 64, network.weight_shape(projection))
        if projection.signs is not None:
            codes = np.abs(codes) * np.repeat(projection.signs, projection.copies)[:, None]
        if projection.mask is not None:
            codes *= np.repeat(projection.mask, projection.copies, axis=0)
        found.append(codes)
    return found


def check_datasheet(config, spec):
    """What the chip would refuse, checked entry by entry."""
    circuits = config.neurons.circuit.tolist()
    assert len(set(circuits)) == len(circuits)
    assert min(circuits) >= 0
    assert max(circuits) < spec.n_circuits
    assert set(config.neurons.head.tolist()) <= set(circuits)
    assert config.row_sign.shape == (spec.n_hemispheres, spec.n_rows)
    seen = set()
    synapses = config.synapses
    for circuit, row, label, code in zip(
        synapses.circuit.tolist(), synapses.row.tolist(), synapses.label.tolist(), synapses.weight_code.tolist(),
        strict=True,
    ):  # fmt: skip
        assert (circuit, row) not in seen
        seen.add((circuit, row))
        assert circuit in circuits or len(circuits) > 600
        assert 0 <= row < spec.n_rows
        assert label < spec.n_labels
        assert abs(code) <= spec.weight_code_max
        sign = config.row_sign[circuit // spec.n_columns, row]
        assert sign != 0
        assert code * sign >= 0
    for routes, n_sources in ((config.input_routes, spec.n_input_channels), (config.neuron_routes, spec.n_circuits)):
        assert len({(source, driver) for source, driver, _ in entries(routes)}) == len(routes.source)
        for source, driver, label in entries(routes):
            assert 0 <= source < n_sources
            assert 0 <= driver < spec.n_hemispheres * spec.n_rows // 2
            assert label < spec.n_labels


def entries(routes):
    return zip(routes.source.tolist(), routes.driver.tolist(), routes.label.tolist(), strict=True)


def check_crossbar(config, spec):
    """A neuron has one label, and reaches only the drivers of the bus that its column's event output feeds."""
    label_of = {}
    for source, driver, label in entries(config.neuron_routes):
        assert label_of.setdefault(source, label) == label
        output = source % spec.n_columns // (spec.n_columns // spec.n_event_outputs)
        bus = driver % (spec.n_rows // 2) // (spec.n_rows // 2 // spec.n_padi_buses)
        assert spec.free_routing or bus == output % spec.n_padi_buses


def delivered_codes(config, spec, heads, sources, routes):
    """float64 [sources, heads]: signed codes that one event of each source meets on its way over drivers and labels."""
    by_place = {}
    synapses = config.synapses
    head_of = dict(zip(config.neurons.circuit.tolist(), config.neurons.head.tolist(), strict=True))
    for circuit, row, label, code in zip(
        synapses.circuit.tolist(), synapses.row.tolist(), synapses.label.tolist(), synapses.weight_code.tolist(),
        strict=True,
    ):  # fmt: skip
        effect = (head_of[circuit], int(config.row_sign[circuit // spec.n_columns, row]) * abs(code))
        by_place.setdefault((circuit // spec.n_columns, row, label), []).append(effect)
    total = np.zeros((len(sources), len(heads)))
    row_of_source = {s: k for k, s in enumerate(sources)}
    column = {h: k for k, h in enumerate(heads)}
    for source, driver, label in entries(routes):
        if source not in row_of_source:
            continue
        hemisphere, in_hemisphere = divmod(driver, spec.n_rows // 2)
        for row in (2 * in_hemisphere, 2 * in_hemisphere + 1):
            for head, effect in by_place.get((hemisphere, row, label), []):
                if head in column:
                    total[row_of_source[source], column[head]] += effect
    return total


def expected_codes(network, codes, source, target):
    total = np.zeros((network.source_size(source), network.population(target).size))
    for projection, matrix in zip(network.projections, codes, strict=True):
        if (projection.source, projection.target) == (source, target):
            first, last = network.sources(projection)
            total[first:last] += matrix.reshape(last - first, projection.copies, -1).sum(axis=1)
    return total


def check_equivalence(placement: Placement, codes):
    config = placement.configure(codes)
    spec, network = placement.spec, placement.network
    check_datasheet(config, spec)
    check_crossbar(config, spec)
    for source in (INPUT, *(p.name for p in network.populations)):
        is_input = source == INPUT
        sources = list(range(network.n_inputs)) if is_input else placement.circuits(source).tolist()
        routes = config.input_routes if is_input else config.neuron_routes
        for target in network.populations:
            found = delivered_codes(config, spec, placement.circuits(target.name).tolist(), sources, routes)
            np.testing.assert_array_equal(found, expected_codes(network, codes, source, target.name))
