"""A recurrent network of three populations and a readout, as a user writes it, in otherwise usual settings."""

import re
from pathlib import Path

from support.places import ROOT

import hxloop_host
from hxloop.files.toml import parse_toml, settings_from_mapping
from hxloop_host.settings.experiment_settings import Settings

_PAGE = (ROOT / "docs" / "your-own.md").read_text(encoding="utf-8")
NETWORK = re.sub(r" +#.*", "", re.findall(r"```toml\n(\[network\].*?)```", _PAGE, flags=re.DOTALL)[0])
"""The example of docs/your-own.md."""


def settings_text(network: str = NETWORK, populations: int = 3) -> str:
    """Settings file: those of the preset ``paper`` with another network."""
    preset = (Path(hxloop_host.__file__).parent / "presets" / "paper.toml").read_text()
    rest = re.sub(r"\[network\].*?(?=\n\[)", "", preset, flags=re.DOTALL)
    return re.sub(r"limits = .*", f"limits = {[0.3] * populations}", rest) + "\n" + network


def settings(network: str = NETWORK, populations: int = 3) -> Settings:
    """The same, read."""
    return settings_from_mapping(parse_toml(settings_text(network, populations)), Settings, "a test")
