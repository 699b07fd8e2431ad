"""Steps of augmentation by name."""

from __future__ import annotations

import inspect
from typing import Any, Final

from hxloop.plugins import Registry
from hxloop_host.augmentation.augmentation_interface import Augmentation


def is_augmentation(found: Any) -> bool:
    """Whether something is a class of steps that can be made."""
    return isinstance(found, type) and issubclass(found, Augmentation) and not inspect.isabstract(found)


AUGMENTATIONS: Final[Registry[type[Augmentation]]] = Registry(
    "augmentation",
    {
        "shift": "hxloop_host.augmentation.shift:Shift",
        "affine": "hxloop_host.augmentation.affine:Affine",
        "rotate": "hxloop_host.augmentation.affine:Rotate",
        "elastic": "hxloop_host.augmentation.affine:Elastic",
        "channel_jitter": "hxloop_host.augmentation.channel_jitter:ChannelJitter",
        "time_stretch": "hxloop_host.augmentation.time_stretch:TimeStretch",
        "drop": "hxloop_host.augmentation.drop:Drop",
        "blend": "hxloop_host.augmentation.blend:Blend",
    },
    is_augmentation,
    "a class that derives from hxloop.Augmentation and has an apply",
)
