"""How much virtual chips differ from the textbook and from one another: what is published, no chip's truth.

Whoever trains for chips that nobody has measured knows their spreads from publications only. The defaults below are
such figures; none of them is taken from the emulator, whose strengths are fitted to other ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.files.toml import load_toml
from hxloop.kit import arguments
from hxloop.kit.strict import Strict

PUBLISHED: Final = "published"
"""What stands for the defaults."""

Spread = Annotated[float, Field(ge=0, le=1)]
Shift = Annotated[float, Field(ge=-0.5, le=1)]
JitterUs = Annotated[float, Field(ge=0, le=100)]


class VirtualChipSettings(Strict):
    """Section ``[virtual_chips]``: standard deviations between circuits or synapses; of ratios, of their logarithm.

    References
    ----------
    Goeltz, Weber, Kriener et al., Nat. Commun. 16 (2025), published settings ``yin_yang_hwAware``: thresholds are
    5 +- 3 % too high, another 1.5 % of them is drawn in every batch, and spikes jitter by 0.01 time constants.
    Cakal et al., "Training and deploying spiking NN applications to the mixed-signal neuromorphic chip Dynap-SE2 with
    Rockpool", arXiv:2303.12167 (2023); its code draws 10 % by default (30 % at three standard deviations).
    That this holds here for time constants, strengths and synapses alike is assumed.
    """

    threshold_shift: Shift = Field(
        0.05, description="by how much thresholds are too high on average, as a share of threshold - leak"
    )
    threshold: Spread = Field(0.034, description="spread of thresholds, as a share of threshold - leak")
    tau_mem: Spread = Field(0.1, description="spread of membrane time constants")
    tau_syn: Spread = Field(0.1, description="spread of synaptic time constants, each sign for itself")
    strength: Spread = Field(
        0.1, description="spread of the strength of all synapses of a circuit, each sign for itself"
    )
    synapse: Spread = Field(0.1, description="spread of the strength of single synapses")
    jitter_us: JitterUs = Field(
        0.06, description="noise on times of inputs and on recorded first spikes, drawn anew in every run"
    )


def find_virtual_chips(given: str | Path | VirtualChipSettings | None) -> VirtualChipSettings | None:
    """Statistics of virtual chips: ``published``, those of a TOML file with the keys of `VirtualChipSettings`, or none.

    Raises
    ------
    InvalidInputError
        Neither a name, nor a file, nor settings; or a value out of range.
    MissingFileError, UnknownKeyError
        As `load_toml`.
    """
    if given is None or isinstance(given, VirtualChipSettings):
        return given
    named = str(arguments.path(given, "virtual_chips", f"{PUBLISHED!r}, a TOML file or settings"))
    if named == PUBLISHED:
        return VirtualChipSettings()
    if not named.endswith(".toml"):
        raise InvalidInputError(
            f"no statistics are called {arguments.shown(named)}", field="virtual_chips",
            hint=f"{PUBLISHED}, or a .toml file with {', '.join(VirtualChipSettings.model_fields)}",
        )  # fmt: skip
    return load_toml(Path(named), VirtualChipSettings, field="virtual_chips")
