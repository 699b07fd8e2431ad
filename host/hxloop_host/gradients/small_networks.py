"""Small networks with all that a rule may train, from the most general on: it is checked with what it accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.readouts.readout_registry import READOUTS

if TYPE_CHECKING:
    from hxloop.readout import Readout
    from hxloop.rule import Rule

N_INPUTS: Final = 6
SIZES: Final = (7, 3)
DURATION_US: Final = 42.0
LATEST_US: Final = 14.0
"""Inputs come between 0.5 us and this time."""
EVENTS: Final = 2.5
"""Mean number of spikes of an input channel, for rules that see more than first spikes."""
ONCE_US: Final = 32.0
"""Refractory period within which a sample is over, the longest of the chip."""
_SCALE: Final = 40.0
Point = dict[str, Any]
_POINT: Final[Point] = {"v_leak_mv": 420.0, "v_reset_mv": 420.0, "v_threshold_mv": 735.0}


DELAYS: Final = "delays"
EQUAL: Final = "equal constants"


class Loss(NamedTuple):
    """A loss by its settings, whether the output spikes under it, and whether it moves with small steps at all."""

    settings: dict[str, Any]
    spiking: bool
    smooth: bool = True


LOSSES: Final = (
    Loss({"kind": "softmax_times"}, True),
    Loss({"kind": "count_cross_entropy", "scale": 0.5}, True, smooth=False),
    Loss({"kind": "membrane_cross_entropy", "score": "mean", "scale": 5.0}, False),
    Loss({"kind": "membrane_cross_entropy", "score": "max", "scale": 2.0}, False),
)
"""One of each kind: first spikes, counts, membranes by mean and maximum."""


class Small(NamedTuple):
    """A network and its loss that a rule accepts."""

    name: str
    network: Network
    readout: Readout
    smooth: bool


def accepted(rule: Rule) -> tuple[list[Small], str]:
    """For each kind of loss, the most general network that a rule accepts, also with equal time constants and delays.

    Parameters
    ----------
    rule : Rule
        Asked by `Rule.check`.

    Returns
    -------
    networks : list of Small
    refusal : str
        What the rule said to the last network that it refused.
    """
    found: list[Small] = []
    refusal = ""
    for loss in LOSSES:
        readout = _readout(loss)
        once = sees_once(rule, _networks(loss.spiking, once=True)[0][1])
        wirings: list[str] = []
        for name, network in _networks(loss.spiking, once=once):
            wiring, _, constants = name.partition(", ")
            # One wiring; with its most general constants, and with equal ones, for which closed forms are others.
            if wiring != DELAYS and wirings and (wiring not in wirings or constants != EQUAL):
                continue
            if wiring == DELAYS and (DELAYS in wirings or not rule.takes_delays):
                continue
            try:
                readout.check(network, DURATION_US)
                rule.check(network, readout)
            except InvalidInputError as error:
                refusal = str(error)
                continue
            wirings.append(wiring)
            found.append(Small(name, network, readout, loss.smooth))
    return found, refusal


def random_inputs(n_samples: int, tick_us: float, seed: int, *, single: bool) -> Inputs:
    """Random spikes of all channels, one of each or any number, on a clock."""
    rng = generator(seed, "gradcheck", "inputs")
    low, high = round(0.5 / tick_us), round(LATEST_US / tick_us)
    shape = (n_samples, N_INPUTS)
    if single:
        ticks = rng.integers(low, high, shape)
        sample, channel = np.divmod(np.arange(ticks.size), N_INPUTS)
        return Inputs(SpikeBatch.from_arrays(sample, ticks.ravel(), channel, n_samples), ticks.astype(np.float64))
    number = rng.poisson(EVENTS, shape)
    sample, channel = np.divmod(np.repeat(np.arange(number.size), number.ravel()), N_INPUTS)
    return Inputs(SpikeBatch.from_arrays(sample, rng.integers(low, high, len(sample)), channel, n_samples))


def _readout(loss: Loss) -> Readout:
    return READOUTS.find(loss.settings["kind"])[0](**{k: v for k, v in loss.settings.items() if k != "kind"})


def sees_once(rule: Rule, network: Network) -> bool:
    """Whether a rule sees first spikes only: then it can be exact only where neurons spike once."""
    return rule.observe(network).spikes == "first"


def _networks(spiking: bool, *, once: bool) -> list[tuple[str, Network]]:
    """Networks from the most general to the simplest; the output spikes or not, neurons spike once or again."""
    again = {"t_refractory_us": ONCE_US if once else 1.5}
    loops: Point = {"tau_mem_us": 9.0, "tau_syn_us": 5.0, "v_reset_mv": 380.0, **again}
    double: Point = {"tau_mem_us": 12.0, "tau_syn_us": 6.0, **again}
    equal: Point = {"tau_mem_us": 6.0, "tau_syn_us": 6.0, **again}
    found = [
        ("loop, free constants", _layers(loops, spiking, loop=True)),
        (f"loop, {EQUAL}", _layers(equal, spiking, loop=True)),
        ("layers, free constants", _layers(loops, spiking)),
        ("layers, tau_mem = 2 tau_syn", _layers(double, spiking)),
        (f"layers, {EQUAL}", _layers(equal, spiking)),
    ]
    return [*found, *((DELAYS, _delayed(point, spiking)) for point in (double, equal))]


def _layers(point: Point, spiking: bool, *, loop: bool = False) -> Network:
    populations = (
        Population("hidden", SIZES[0], **_POINT | point),
        Population("output", SIZES[1], spiking=spiking, **_POINT | point),
    )
    inputs = Projection(
        INPUT, "hidden", copies=2, init_mean=0.45, init_std=0.3, scale_weights=_SCALE, label="input weights"
    )
    projections = [inputs, _onto_output(spiking)]
    if loop:
        projections.append(
            Projection("hidden", "hidden", init_mean=0.0, init_std=0.2, scale_weights=_SCALE, label="recurrent weights")
        )
    return Network(N_INPUTS, populations, tuple(projections), output="output")


def _onto_output(spiking: bool) -> Projection:
    """Weights that make an output spike, or keep the membrane of one that cannot within what the CADC reads."""
    mean, std = (0.7, 0.3) if spiking else (0.05, 0.12)
    return Projection("hidden", "output", init_mean=mean, init_std=std, scale_weights=_SCALE, label="output weights")


def _delayed(point: Point, spiking: bool) -> Network:
    """Every input has two delay neurons, and the hidden neurons hear these."""
    relays = 2 * N_INPUTS
    mask = np.repeat(np.eye(N_INPUTS, dtype=np.bool_), 2, axis=1)
    return Network(
        N_INPUTS,
        (
            Population("delayed", relays, relay=True),
            Population("hidden", SIZES[0], **_POINT | point),
            Population("output", SIZES[1], spiking=spiking, **_POINT | point),
        ),
        (
            Projection(INPUT, "delayed", mask=mask, init_mean=14.0, init_std=3.0, label="delays"),
            Projection("delayed", "hidden", init_mean=0.45, init_std=0.3, scale_weights=_SCALE, label="hidden weights"),
            _onto_output(spiking),
        ),
        output="output",
    )
