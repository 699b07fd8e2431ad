"""The named studies, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop.errors import InvalidInputError
from hxloop.kit.arguments import shown
from hxloop.kit.suggest import suggestion
from hxloop_host.studies.kinds.bits import BITS_STUDY
from hxloop_host.studies.kinds.calibrations import CALIBRATION_STUDY
from hxloop_host.studies.kinds.drift import DRIFT_STUDY
from hxloop_host.studies.kinds.faults import FAULTS_STUDY
from hxloop_host.studies.kinds.grid import GRID_STUDY
from hxloop_host.studies.kinds.mismatch import MISMATCH_STUDY
from hxloop_host.studies.kinds.noise import NOISE_STUDY
from hxloop_host.studies.kinds.realism import REALISM_STUDY
from hxloop_host.studies.kinds.rules import RULES_STUDY
from hxloop_host.studies.kinds.sensitivity import SENSITIVITY_STUDY
from hxloop_host.studies.kinds.transfer import TRANSFER_STUDY
from hxloop_host.studies.kinds.yields import YIELD_STUDY

if TYPE_CHECKING:
    from hxloop_host.studies.design.kind import Kind

KINDS: Final = {
    kind.name: kind
    for kind in (
        MISMATCH_STUDY, NOISE_STUDY, BITS_STUDY, FAULTS_STUDY, DRIFT_STUDY, CALIBRATION_STUDY, TRANSFER_STUDY,
        RULES_STUDY, YIELD_STUDY, SENSITIVITY_STUDY, REALISM_STUDY, GRID_STUDY,
    )
}  # fmt: skip
"""All named studies."""


def find_kind(name: str) -> Kind:
    """Study of that name.

    Raises
    ------
    InvalidInputError
        There is none; the nearest is suggested.
    """
    if name not in KINDS:
        raise InvalidInputError(
            f"no study is called {shown(name)}",
            field="study",
            hint=suggestion(name, KINDS, cutoff=0.5, otherwise=f"known: {', '.join(KINDS)}, or a .toml file"),
        )
    return KINDS[name]
