"""Prints kernels of the host that are compiled although all parts of `hxloop compile` were called.

For them trainings of all rules and a check of gradients ask.

Run by itself: a process in which something else was compiled cannot tell.
"""

import importlib
import sys

from numba.core.registry import CPUDispatcher
from support.rules.small_rules import NAMES, small_settings
from support.training_parts import make_trainer

import hxloop
from hxloop_host.cli.compile_kernels import PARTS
from hxloop_host.tasks.yin_yang import generate_yin_yang


def compiled():
    """Kernels of the host and the signatures that they are ready for; parts of others are ready in them."""
    return {
        (f"{module}.{name}", str(signature))
        for module, content in list(sys.modules.items())
        if module.startswith("hxloop_host.")
        for name, kernel in vars(content).items()
        if isinstance(kernel, CPUDispatcher) and kernel.py_func.__module__ == module
        for signature in kernel.signatures
    }


def main() -> None:
    for call in PARTS.values():
        module, _, function = call.partition(":")
        if module.startswith("hxloop_host."):
            getattr(importlib.import_module(module), function)()
    ready = compiled()
    with hxloop.launch("typical", serial=103, threads=1) as chip:
        for name in NAMES:
            trainer = make_trainer(small_settings(name), chip, generate_yin_yang(40, 1), generate_yin_yang(20, 2))
            trainer.epoch(lambda _: None)
    hxloop.gradcheck("surrogate", seeds=1, coordinates=1, samples=1, report=lambda _: None)
    for kernel, signature in sorted(compiled() - ready):
        print(kernel, signature)


if __name__ == "__main__":
    main()
