"""Desire backpropagation against loops over spikes and neurons, as they stand in the publication."""

from dataclasses import replace

import numpy as np
import pytest
from support.grid.recorded import N, recording

from hxloop.errors import InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch, Spikes
from hxloop.seeds import generator
from hxloop_host.learning.desire_propagation.desire_rule import DesireBackpropagation
from hxloop_host.learning.desire_propagation.ternary_desire import desires
from hxloop_host.learning.desire_propagation.trace_sums import trace_sums
from hxloop_host.readouts.readout_registry import READOUTS

LABEL = np.array([0, 1, 2])


def layered():
    """Two hidden populations, copies, a part of the sources, a mask, and a way past the second."""
    mask = generator(4, "mask").random((5, 3)) < 0.7
    return Network(
        6,
        (Population("a", 5), Population("b", 4), Population("out", 3)),
        (
            Projection(INPUT, "a", copies=2), Projection("a", "b", part=(1, 5)), Projection(INPUT, "b", part=(4, 6)),
            Projection("b", "out", copies=2), Projection("a", "out", mask=mask),
        ),
        output="out",
    )  # fmt: skip


def readout(kind="count_mse", **settings):
    return READOUTS.find(kind)[0](**settings)


class Recorder:
    """A chip that gives back the same whatever it is asked; keeps the weights it was given."""

    strength = None

    def __init__(self, recorded):
        self.network, self.readout, self.recorded, self.given = recorded.network, readout(), recorded, None

    def run(self, batch, weights, *, trial=0, observe=None):
        self.given = [w.copy() for w in weights]
        return self.recorded


def by_hand(recorded, tau_us, full, output_threshold, hidden_threshold, content_error=0.0):
    """Desires of those that learn, and changes, spike by spike and pair by pair."""
    net = recorded.network
    sizes = {p.name: p.size for p in net.populations}
    active = {name: s.counts(N, sizes[name]) / full for name, s in recorded.spikes.items()}
    wanted = {name: np.zeros((N, size)) for name, size in sizes.items()}
    errors = {name: np.zeros((N, size)) for name, size in sizes.items()}
    for n in range(N):
        for name in reversed(list(sizes)):
            for j in range(sizes[name]):
                if name == "out":
                    off = (j == LABEL[n]) - min(1.0, active[name][n, j])
                    wish = (1 if j == LABEL[n] else -1) if abs(off) > output_threshold else 0
                else:
                    total = 0.0
                    for p, w in zip(net.projections, recorded.weights, strict=True):
                        first, last = net.sources(p)
                        if p.source == name and first <= j < last:
                            rows = w[(j - first) * p.copies : (j - first + 1) * p.copies].sum(axis=0)
                            total += sum(errors[p.target][n, k] * rows[k] for k in range(sizes[p.target]))
                    wish = np.sign(total) if abs(total) >= hidden_threshold else 0
                    off = (wish > 0) - min(1.0, active[name][n, j])
                errors[name][n, j] = wish * abs(off)
                wanted[name][n, j] = 0 if name != "out" and content_error and abs(off) <= content_error else wish
    changes = []
    for p, w in zip(net.projections, recorded.weights, strict=True):
        first, last = net.sources(p)
        change = np.zeros_like(w)
        if p.source == INPUT:
            given = recorded.inputs.spikes
            before = zip(given.sample, given.source, given.tick, strict=True)
        else:
            given = recorded.spikes[p.source]
            before = zip(given.sample, given.neuron, given.tick + recorded.delay_ticks, strict=True)
        before = [event for event in before if first <= event[1] < last]
        after = recorded.spikes[p.target]
        for n, j, now in zip(after.sample, after.neuron, after.tick, strict=True):
            for m, i, came in before:
                if m == n and came <= now:
                    trace = np.exp(-(now - came) * recorded.tick_us / tau_us)
                    for copy in range(p.copies):
                        change[(i - first) * p.copies + copy, j] += wanted[p.target][n, j] * trace
        changes.append(change * net.connected(p))
    return wanted, changes


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("content_error", [0.0, 0.4])
@pytest.mark.parametrize("tau_us", [0.002, 6.0])
def test_changes_are_those_of_the_publication(seed, tau_us, content_error):
    """Also with a memory so short that traces of a sample are further apart than floating point numbers reach.

    The publication has no `content_error`: what stops to learn passes on its error as if it did not.
    """
    recorded = recording(layered(), seed)
    wanted, changes = by_hand(recorded, tau_us, 3.0, 0.3, 0.4, content_error)
    rule = DesireBackpropagation(full_count=3.0, hidden_threshold=0.4, tau_trace_us=tau_us, content_error=content_error)
    if content_error:
        assert sum(map(np.count_nonzero, wanted.values())) < sum(
            map(np.count_nonzero, by_hand(recorded, tau_us, 3.0, 0.3, 0.4)[0].values())
        )
    update = rule.step(Recorder(recorded), Batch(recorded.inputs, LABEL, 0, 0, seed), recorded.weights)
    assert {-1.0, 0.0, 1.0} == {float(wish) for desire in wanted.values() for wish in desire.ravel()}
    for found, change in zip(update.gradients, changes, strict=True):
        np.testing.assert_allclose(found, -change / N, rtol=1e-9, atol=1e-12)
    shares = [np.mean(desire != 0) for desire in wanted.values()]
    np.testing.assert_allclose(update.diagnostics["desire_fraction"], shares)
    if tau_us > 1.0 and not content_error:
        assert all(change.any() for change in changes)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_silent_neurons_learn_as_if_they_had_spiked_at_the_end(seed):
    """An output in a sample of its class, neurons of `a` that are silent in all samples; nothing else changes."""
    recorded = recording(layered(), seed)
    net, wake, tau_us, dead = recorded.network, 2.5, 4.0, (1, 2, 3)
    out, first = recorded.spikes["out"], recorded.spikes["a"]
    kept = (out.neuron != LABEL[out.sample]) | (out.sample == 0)  # in the first sample, the label spikes
    alive = ~np.isin(first.neuron, dead)
    spikes = recorded.spikes | {
        "out": Spikes(out.sample[kept], out.neuron[kept], out.tick[kept]),
        "a": Spikes(first.sample[alive], first.neuron[alive], first.tick[alive]),
    }
    recorded = replace(recorded, spikes=spikes)
    wanted, _ = by_hand(recorded, tau_us, 30.0, 0.3, 0.0)
    woken = {name: np.zeros(wish.shape, np.bool_) for name, wish in wanted.items()}
    for name, wish in wanted.items():
        counts = spikes[name].counts(N, wish.shape[1])
        always = name != "out"
        woken[name] = (wish > 0) & (counts == 0) & (~counts.any(axis=0) if always else True)
    assert woken["out"][1:].any() and not woken["out"][0].any()
    rules = [
        DesireBackpropagation(full_count=30.0, hidden_threshold=0.0, tau_trace_us=tau_us, wake=x) for x in (0, wake)
    ]
    batch = Batch(recorded.inputs, LABEL, 0, 0, seed)
    without, with_it = (rule.step(Recorder(recorded), batch, recorded.weights).gradients for rule in rules)
    for p, before, after in zip(net.projections, without, with_it, strict=True):
        first, last = net.sources(p)
        given = recorded.inputs.spikes if p.source == INPUT else recorded.spikes[p.source]
        sources = given.source if p.source == INPUT else given.neuron
        arrived = given.tick + (0 if p.source == INPUT else recorded.delay_ticks)
        more = np.zeros_like(before)
        for n, i, tick in zip(given.sample, sources, arrived, strict=True):
            if first <= i < last and tick <= recorded.duration_ticks:
                trace = np.exp(-(recorded.duration_ticks - tick) * recorded.tick_us / tau_us)
                more[(i - first) * p.copies : (i - first + 1) * p.copies] += wake * trace * woken[p.target][n]
        np.testing.assert_allclose(after - before, -more * net.connected(p) / N, rtol=1e-9, atol=1e-12)


def test_content_outputs_teach_nobody():
    """The label spikes as often as it should, others never: no error, no desire, no change."""
    net = layered()
    activity = {p.name: np.full((N, p.size), 0.5) for p in net.populations}
    activity["out"] = np.eye(3) * 0.8
    weights = recording(net, 1).weights
    found = desires(net, weights, activity, LABEL, output_threshold=0.3, hidden_threshold=0.0)
    assert not found["out"].any()
    assert not any(desire.any() for desire in found.values())
    activity["out"] = np.eye(3) * 0.6
    found = desires(net, weights, activity, LABEL, output_threshold=0.3, hidden_threshold=0.0)
    np.testing.assert_array_equal(found["out"], np.eye(3))
    assert found["a"].all()


def test_shares_of_samples_do_not_depend_on_who_is_beside_them():
    """More samples than are added up together: the sum is that of the parts."""
    net, rng = layered(), generator(5, "many")
    one = recording(net, 5)
    times = 30
    offsets = np.concatenate([[0], np.cumsum(np.tile(np.diff(one.inputs.spikes.offsets), times))])
    tick, source = (np.tile(v, times) for v in (one.inputs.spikes.tick, one.inputs.spikes.source))
    inputs = replace(one.inputs, spikes=replace(one.inputs.spikes, offsets=offsets, tick=tick, source=source))
    spikes = {
        name: Spikes(np.concatenate([s.sample + N * k for k in range(times)]), np.tile(s.neuron, times),
                     np.tile(s.tick, times))
        for name, s in one.spikes.items()
    }  # fmt: skip
    wanted = {p.name: np.sign(rng.normal(size=(N, p.size))) for p in net.populations}
    small = trace_sums(one, wanted, 6.0)
    large = trace_sums(
        replace(one, inputs=inputs, spikes=spikes), {name: np.tile(w, (times, 1)) for name, w in wanted.items()}, 6.0
    )
    for few, many in zip(small, large, strict=True):
        np.testing.assert_allclose(many, times * few, rtol=1e-12)


def test_neurons_left_out_drive_nothing_and_learn_nothing():
    recorded = recording(layered(), 2)
    chip = Recorder(recorded)
    rule = DesireBackpropagation(full_count=3.0, dropout=0.5)
    plain = DesireBackpropagation(full_count=3.0)
    out = set()
    for number in range(6):
        batch = Batch(recorded.inputs, LABEL, 0, number, 1)
        update = rule.step(chip, batch, recorded.weights)
        again = rule.step(chip, batch, recorded.weights)
        silenced = ~chip.given[1].any(axis=1)  # rows of "a" 1..5 onto "b"
        out.add(tuple(silenced.tolist()))
        assert not update.gradients[1][silenced].any()
        assert not update.gradients[0][:, 1:][:, silenced].any()
        for one, other in zip(update.gradients, again.gradients, strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(out) > 2
    plain.step(chip, Batch(recorded.inputs, LABEL, 0, 0, 1), recorded.weights)
    for given, weights in zip(chip.given, recorded.weights, strict=True):
        np.testing.assert_array_equal(given, weights)


def test_a_silent_chip_and_an_empty_batch_move_nothing():
    recorded = recording(layered(), 3)
    nothing = Spikes(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))
    silent = replace(recorded, spikes=dict.fromkeys(recorded.spikes, nothing))
    rule = DesireBackpropagation()
    update = rule.step(Recorder(silent), Batch(silent.inputs, LABEL, 0, 0, 1), silent.weights)
    assert not any(g.any() for g in update.gradients)
    assert "no output spiked" in rule.standstill({"spikes_per_neuron": (1.0, 1.0, 0.0)})
    empty = replace(silent, inputs=silent.inputs.part(0, 0))
    update = rule.step(Recorder(empty), Batch(empty.inputs, LABEL[:0], 0, 0, 1), silent.weights)
    assert not any(g.any() for g in update.gradients)


@pytest.mark.parametrize(
    ("network", "kind", "field"),
    [
        (layered(), "membrane_cross_entropy", "loss.kind"),
        (layered(), "shift_invariant_mse", "loss.kind"),
        (replace(layered(), output="b"), "count_mse", "network.projections"),
        (Network(2, (Population("a", 3),), (Projection(INPUT, "a"), Projection("a", "a"))), "count_mse",
         "network.projections"),
        (Network(2, (Population("a", 3), Population("b", 3)), (Projection(INPUT, "b"),)), "count_mse", "network.a"),
        (Network(2, (Population("a", 3, spiking=False),), (Projection(INPUT, "a"),)), "count_mse",
         "network.a.spiking"),
    ],
)  # fmt: skip
def test_what_it_cannot_train_is_refused(network, kind, field):
    with pytest.raises(InvalidInputError) as found:
        DesireBackpropagation().check(network, readout(kind))
    assert found.value.field == field


@pytest.mark.parametrize("count", ["spikes", "counters"])
def test_losses_of_counts_are_taken(count):
    for kind in ("count_mse", "count_cross_entropy"):
        DesireBackpropagation().check(layered(), readout(kind, count=count))


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), "much"])
def test_an_error_that_nobody_has_is_refused(value):
    with pytest.raises(InvalidInputError) as found:
        DesireBackpropagation(content_error=value)
    assert found.value.field == "content_error"
