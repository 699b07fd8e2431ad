"""Switches with which tests make the daemon misbehave; all off unless the environment says otherwise.

``HXLOOP_TEST_FAULTS`` is a JSON object with the fields of `Faults`. For tests only.
"""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict, ValidationError

from hxloop.errors import InvalidInputError

VARIABLE = "HXLOOP_TEST_FAULTS"


class Faults(BaseModel):
    """Faults to inject.

    Attributes
    ----------
    drop_replies, duplicate_replies : tuple of int
        Replies on the data socket, counted from 1, that are not sent or sent twice.
    crash_trial_seed : int or None
        A run with this trial seed kills the worker, every time.
    chip : str or None
        ``module:class`` to use in place of `hxloop_chip.chip.emulated_chip.EmulatedChip`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    drop_replies: tuple[int, ...] = ()
    duplicate_replies: tuple[int, ...] = ()
    crash_trial_seed: int | None = None
    chip: str | None = None


def faults_from_environment() -> Faults:
    """Faults of this process.

    Raises
    ------
    InvalidInputError
        The variable is set to something else than such an object.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return Faults()
    try:
        return Faults.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInputError(str(error.errors()[0]["msg"]), field=VARIABLE, hint="unset it") from None
