"""Every rule of the registry in the first of a few small networks that it can train; inputs are those of Yin-Yang.

A new rule is covered by being in the registry: its settings are those of a preset that has it, of Yin-Yang if there is
one, or its defaults.
"""

from functools import cache
from pathlib import Path

import hxloop_host
from hxloop.errors import InvalidInputError
from hxloop_host.learning.registry import RULES
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.tasks.yin_yang import YIN_YANG
from hxloop_host.training.assembly import check_parts, find_rule

NAMES = tuple(RULES.names())
FEATURES = YIN_YANG.n_inputs
PRESETS = tuple(sorted(file.stem for file in (Path(hxloop_host.__file__).parent / "presets").glob("*.toml")))


def onto(source, target, mean, std, **more):
    return {"source": source, "target": target, "init_mean": mean, "init_std": std, **more}


def layers(*, hidden, output, size=20, spiking=True):
    """Input, a hidden layer, three outputs; `hidden` and `output` are means and spreads of the weights."""
    return {
        "populations": [{"name": "hidden", "size": size}, {"name": "output", "size": 3, "spiking": spiking}],
        "projections": [onto("input", "hidden", *hidden, copies=5), onto("hidden", "output", *output)],
    }


DELAYS = {
    "populations": [
        {"name": "early", "size": FEATURES, "relay": True}, {"name": "hidden", "size": 20},
        {"name": "late", "size": 20, "relay": True}, {"name": "output", "size": 3},
    ],
    "projections": [
        onto("input", "early", 16.5, 1.1, mask="one_to_one"), onto("early", "hidden", 0.35, 0.2, copies=5),
        onto("hidden", "late", 16.5, 1.1, mask="one_to_one"), onto("late", "output", 0.45, 0.3),
    ],
}  # fmt: skip
BASES = (
    ("yin_yang_delays", DELAYS, {}),
    ("yin_yang_eventprop", layers(hidden=(0.35, 0.2), output=(0.45, 0.3)), {}),
    ("yin_yang_multi_spike", layers(hidden=(0.1, 0.12), output=(0.1, 0.15)), {}),
    ("yin_yang_surrogate", layers(hidden=(0.25, 0.3), output=(0.0, 0.25), spiking=False), {}),
    ("yin_yang_surrogate", layers(hidden=(0.25, 0.3), output=(0.2, 0.2)), {"loss": {"kind": "count_mse"}}),
)
"""Preset, network, and what else is other than there; delay neurons first, which few rules know."""


@cache
def small_settings(name):
    """Settings of a rule for three epochs of a few batches.

    Raises
    ------
    LookupError
        It can train none of the networks here.
    """
    section, refused = section_of(name), []
    for preset, network, others in BASES:
        values = load_settings(preset).model_dump()
        training = values["training"] | {"epochs": 3, "batch_size": 20}
        settings = Settings(**(values | {"network": network, "rule": section, "training": training} | others))
        try:
            check_parts(settings, build_network(settings, FEATURES), find_rule(None, settings)[0])
        except InvalidInputError as error:
            refused.append(f"{preset}: {error}")
            continue
        return settings
    raise LookupError(f"{name} can train no network of small_rules: " + "; ".join(refused))


def section_of(name):
    """Settings of a rule as a preset has them, or its defaults."""
    presets = [load_settings(preset).rule for preset in (*YIN_YANG.presets, *PRESETS)]
    return next((rule.model_dump() for rule in presets if rule.kind == name), {"kind": name})
