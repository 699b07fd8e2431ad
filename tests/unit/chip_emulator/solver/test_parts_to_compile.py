"""What `hxloop compile` calls is there, in the emulator and in the host."""

import importlib

import pytest

from hxloop_host.cli.compile_kernels import PARTS


@pytest.mark.parametrize("call", PARTS.values())
def test_every_part_is_a_function(call):
    module, _, name = call.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
