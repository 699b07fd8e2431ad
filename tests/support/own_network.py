"""A recurrent network of three populations and a readout, as a user writes it, in otherwise usual settings."""

import re
from pathlib import Path

import hxloop_host
from hxloop.files.toml import parse_toml, settings_from_mapping
from hxloop_host.settings.experiment_settings import Settings

NETWORK = """
[network]
output = "answer"

[[network.populations]]
name = "exc"
size = 64
tau_mem_us = 10.0
t_refractory_us = 2.0

[[network.populations]]
name = "inh"
size = 16
tau_mem_us = 5.0
tau_syn_us = 3.0
t_refractory_us = 1.0
v_threshold_mv = 700.0

[[network.populations]]
name = "answer"
size = 3
spiking = false
tau_mem_us = 20.0

[[network.projections]]
source = "input"
target = "exc"
copies = 2
init_mean = 0.1
init_std = 0.1

[[network.projections]]
source = "bias"
target = "exc"
bias_time_us = 5.4
init_std = 0.1

[[network.projections]]
source = "exc"
target = "exc"
mask = "not_self"
density = 0.3
seed = 7
sign = "excitatory"
init_mean = 0.05
init_std = 0.02

[[network.projections]]
source = "exc"
target = "inh"
sign = "excitatory"
init_mean = 0.1
init_std = 0.05

[[network.projections]]
source = "inh"
target = "exc"
sign = "inhibitory"
init_mean = 0.1
init_std = 0.05

[[network.projections]]
source = "exc"
target = "answer"
init_std = 0.1
"""


def settings_text(network: str = NETWORK, populations: int = 3) -> str:
    """Settings file: those of the preset ``paper`` with another network."""
    preset = (Path(hxloop_host.__file__).parent / "presets" / "paper.toml").read_text()
    rest = re.sub(r"\[network\].*?(?=\n\[)", "", preset, flags=re.DOTALL)
    return re.sub(r"limits = .*", f"limits = {[0.3] * populations}", rest) + network


def settings(network: str = NETWORK, populations: int = 3) -> Settings:
    """The same, read."""
    return settings_from_mapping(parse_toml(settings_text(network, populations)), Settings, "a test")
