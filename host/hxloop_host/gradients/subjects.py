"""What gradients are checked with: a rule, a network and a loss it accepts, samples, and weights that make it spike."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.kit.brief import brief
from hxloop.network import INPUT
from hxloop.rule import Batch, Inputs, Observe
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.gradients.exact_runner import ExactRunner
from hxloop_host.gradients.small_networks import DURATION_US, N_INPUTS, accepted, random_inputs, sees_once
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import PRESETS, load_settings
from hxloop_host.tasks.catalog import TASKS, find_task
from hxloop_host.training.assembly import encoded, find_rule, readout_of
from hxloop_host.training.choice import Named
from hxloop_host.training.guarded_rule import rule_of, unguarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from hxloop.network import Network, Projection
    from hxloop.readout import Readout
    from hxloop.rule import Rule, RuleSettings, Update, Weights
    from hxloop.task import Task
    from hxloop_host.settings.experiment_settings import Settings

RAISED: Final = 1.2
LOWERED: Final = 0.85
TRIES: Final = 14
"""Excitatory weights grow and inhibitory ones shrink by these factors until enough neurons spike, so often at most."""
ENOUGH: Final = 0.4
"""Share of (sample, neuron) pairs of a population that should spike at least."""
ALL_SPIKE: Final = 1.0
"""The same of an output whose spikes are read: a missing answer is a jump of the loss, not a slope."""


@brief
@dataclass(frozen=True, eq=False)
class Subject:
    """A rule with a network and a loss.

    Attributes
    ----------
    name : str
        Of the network.
    network : Network
    readout : Readout
    duration_us : float
    make_rule : callable
        Makes the rule anew, with nothing remembered.
    samples : callable
        ``samples(runner, n_samples, seed)``: inputs on the runner's clock, and labels.
    smooth : bool
        Whether the loss moves with small steps: counts do not.
    """

    name: str
    network: Network
    readout: Readout
    duration_us: float
    make_rule: Callable[[], Rule]
    samples: Callable[[Any, int, int], tuple[Inputs, NDArray[np.int64]]]
    smooth: bool = True

    @property
    def title(self) -> str:
        """Network and loss."""
        return f"{self.name}, {self.loss}"

    @property
    def loss(self) -> str:
        """Kind of the loss, and what it takes of membranes."""
        settings = self.readout.settings
        kind = settings.kind or type(self.readout).__name__
        return f"{kind} of {settings.score}" if hasattr(settings, "score") else kind

    def exact_runner(self, readout: Readout | None = None, **how: Any) -> ExactRunner:
        """The network in continuous time."""
        observe = self.make_rule().observe(self.network)
        return ExactRunner(self.network, readout or self.readout, duration_us=self.duration_us, observe=observe, **how)

    def batch(self, runner: Any, n_samples: int, seed: int) -> Batch:
        """Samples for one step."""
        inputs, label = self.samples(runner, n_samples, seed)
        return Batch(inputs, label, 0, 0, seed)


def role(network: Network, projection: Projection) -> str:
    """Kind of a projection's parameters."""
    if network.holds_delays(projection):
        return "delays"
    if projection.source == INPUT:
        return "input weights"
    return "recurrent weights" if _leads_back(network, projection) else "hidden weights"


def _leads_back(network: Network, projection: Projection) -> bool:
    """Whether the target of a projection drives its source."""
    reached, new = set(), {projection.target}
    while new:
        reached |= new
        new = {p.target for p in network.projections if p.source in new} - reached
    return projection.source in reached


def scaled(readout: Readout, factor: float) -> Readout:
    """The same readout with a loss that is smaller by a factor.

    Gradients are linear in the loss, and what a rule clips, it clips by size: of a small loss, nothing is clipped.
    """
    found = copy.copy(readout)

    def value_and_gradient(scores: Any, label: Any) -> tuple[float, Any]:
        loss, gradient = readout.value_and_gradient(scores, label)
        return factor * loss, factor * gradient

    object.__setattr__(found, "value_and_gradient", value_and_gradient)
    return found


def find_subjects(
    rule: str | Rule | type[Rule], preset: str | Path | Settings | None, task: str | Path | Task | None
) -> tuple[str, list[Subject]]:
    """What to check a rule with.

    Parameters
    ----------
    rule : str, Rule or subclass of Rule
    preset : str, Path or Settings, optional
        Settings whose network, loss and samples are taken; by default small networks with random inputs, for each kind
        of loss the most general that the rule accepts.
    task : str, Path or Task, optional
        Whose samples the preset is for; by default the task that has the preset.

    Returns
    -------
    name : str
        Of the rule.
    subjects : list of Subject

    Raises
    ------
    InvalidInputError
        No such rule, or one that accepts none of the networks.
    """
    if preset is None and task is None:
        return _small(rule)
    found = find_task(task if task is not None else _task_of(preset))
    _, choices = Named(found, rule, None).choices(preset)
    choice = choices[0]
    settings, kind = choice.settings, type(unguarded(choice.rule))
    network = build_network(settings, found.n_inputs)
    data = found.data("train", settings)

    def samples(runner: Any, n_samples: int, seed: int) -> tuple[Inputs, NDArray[np.int64]]:
        picked = generator(seed, "gradcheck", "samples").permutation(data.n_samples)[:n_samples]
        part = data.take(np.sort(picked))
        exact = isinstance(runner, ExactRunner)
        on_clock: Any = runner.coarse if exact else runner
        ticks = runner.ticks if exact else 1
        return on_finer_clock(encoded(settings, on_clock, part).take(slice(None)), ticks), part.label

    name = choice.source.name
    subject = Subject(
        f"{found.name} {preset or settings.rule.kind}", network, readout_of(settings), settings.duration_us,
        lambda: rule_of(kind, settings.rule), samples,
    )  # fmt: skip
    return name, [subject]


def _small(rule: str | Rule | type[Rule]) -> tuple[str, list[Subject]]:
    name, make = _maker(rule)
    networks, refusal = accepted(make())
    if not networks:
        raise InvalidInputError(
            f"{name} accepts none of the small networks; it said of the last one: {refusal}",
            field="rule",
            hint="name settings that it accepts with --preset",
        )
    return name, [
        Subject(n.name, n.network, n.readout, DURATION_US, make, _random_samples(n.network, make), n.smooth)
        for n in networks
    ]


def _random_samples(
    network: Network, make: Callable[[], Rule]
) -> Callable[[Any, int, int], tuple[Inputs, NDArray[np.int64]]]:
    # A rule that sees first spikes only has a use for single spikes only.
    single = sees_once(make(), network)
    classes = network.population(network.output).size

    def samples(runner: Any, n_samples: int, seed: int) -> tuple[Inputs, NDArray[np.int64]]:
        exact = isinstance(runner, ExactRunner)
        tick_us = runner.coarse.spec.tick_us if exact else runner.spec.tick_us
        inputs = random_inputs(n_samples, tick_us, seed, single=single)
        label = generator(seed, "gradcheck", "labels").integers(0, classes, n_samples)
        return on_finer_clock(inputs, runner.ticks if exact else 1), label

    assert network.n_inputs == N_INPUTS
    return samples


def _maker(rule: str | Rule | type[Rule]) -> tuple[str, Callable[[], Rule]]:
    """Name of a rule, and what makes it: with its own defaults; settings that have none are those of a preset.

    Presets bound gradients, and lift what is silent: by defaults gradients are what is published.
    """
    first: InvalidInputError | None = None
    for carrier in _carriers(rule):
        try:
            found, source, settings = find_rule(rule, load_settings(carrier))
        except InvalidInputError as error:
            if not (error.field or "").startswith("rule."):
                raise
            first = first or error
            continue
        return source.name, partial(rule_of, type(unguarded(found)), _by_default(settings.rule))
    assert first is not None
    raise first


def _by_default(settings: RuleSettings) -> RuleSettings:
    """The same settings, with their defaults where they have any."""
    required = [name for name, field in type(settings).model_fields.items() if field.is_required()]
    return type(settings)(**{name: getattr(settings, name) for name in ["kind", *required]})


def _carriers(rule: object) -> list[str]:
    """Presets whose section [rule] may serve: first any of another rule, so that defaults hold, then its own."""
    kinds = {name: load_settings(name).rule.kind for name in PRESETS}
    others = [name for name in PRESETS if kinds[name] != rule]
    return [*others[:1], *(name for name in PRESETS if kinds[name] == rule)]


def _task_of(preset: object) -> str:
    """The task that has a preset, Yin-Yang for settings of one's own."""
    return next((name for name in TASKS if preset in TASKS[name].presets), "yin-yang")


def on_finer_clock(inputs: Inputs, ticks: int) -> Inputs:
    """The same spikes, on a clock with so many ticks in one."""
    if ticks == 1:
        return inputs
    spikes = inputs.spikes
    finer = SpikeBatch(spikes.offsets, spikes.tick * ticks, spikes.source)
    return Inputs(finer, None if inputs.ticks is None else inputs.ticks * ticks)


def lively(subject: Subject, runner: Any, batch: Batch, seed: int) -> tuple[Weights, Weights, Update]:
    """Initial weights of the rule, raised until its neurons spike and it says where the weights should go.

    Parameters
    ----------
    subject : Subject
    runner : Runner
    batch : Batch
    seed : int
        Of the weights.

    Returns
    -------
    weights, gradients : list of float64
    update : Update
        What the rule said.

    Raises
    ------
    InvalidInputError
        It never does.
    """
    weights = subject.make_rule().begin(subject.network, seed)
    best: tuple[float, Weights, Weights, Update] | None = None
    for _ in range(TRIES):
        share = _spiking_share(subject, runner, batch, weights)
        if best is None or share > best[0]:
            rule = subject.make_rule()
            update = rule.step(runner, batch, [_frozen(w) for w in weights])
            direction = direction_of(update, weights, exact=unguarded(rule).exact)
            if direction is not None:
                best = share, weights, direction, update
        if best is not None and best[0] >= 1.0:
            break
        weights = [
            w * np.where(w > 0.0, RAISED, LOWERED) if _can_be_raised(subject.network, p) else w
            for w, p in zip(weights, subject.network.projections, strict=True)
        ]
    if best is None:
        raise InvalidInputError(
            f"the rule gave no gradients for {subject.title}, with any weights",
            field="rule",
            hint="name settings that it learns with by --preset",
        )
    return best[1:]


def direction_of(update: Update, weights: Weights, *, exact: bool) -> Weights | None:
    """Gradients of an update; of a rule that gives new weights, the step it took, reversed. None: neither."""
    if update.gradients is not None:
        return [np.asarray(g, np.float64) for g in update.gradients]
    if exact or update.weights is None:
        return None
    return [w - new for w, new in zip(weights, update.weights, strict=True)]


def _can_be_raised(network: Network, projection: Projection) -> bool:
    """Whether its weights make neurons spike: they are no delays, and onto no integrator."""
    target = network.population(projection.target)
    return target.spiking and not target.relay


def _spiking_share(subject: Subject, runner: Any, batch: Batch, weights: Weights) -> float:
    """Smallest share of pairs (sample, neuron) of a population that spike, over what is enough; at most 1."""
    first = runner.run(batch, weights, observe=Observe("first")).first_ticks
    reads_spikes = subject.readout.observe(subject.network).spikes != "none"
    shares = [1.0]
    for name, ticks in first.items():
        needed = ALL_SPIKE if name == subject.network.output and reads_spikes else ENOUGH
        shares.append(float(np.isfinite(ticks).mean()) / needed)
    return min(shares)


def _frozen(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A copy that cannot be changed in place, as rules get them."""
    found = matrix.copy()
    found.flags.writeable = False
    return found
