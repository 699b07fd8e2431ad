"""All kernels at once, before they are needed: parts of the work in processes of their own, which share the cache.

Numba compiles one kernel at a time in a process. A kernel that two parts need is compiled by one of them.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from hxloop.errors import HxloopError
from hxloop.kit.waiting import listener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LOOK_EVERY_S: Final = 0.1
_CALL: Final = "import importlib, sys; getattr(importlib.import_module(sys.argv[1]), sys.argv[2])()"


def compile_parts(parts: Mapping[str, str], n_processes: int, told: Callable[[str, float], None]) -> None:
    """Call functions in processes of their own, as many at a time as asked for.

    Parameters
    ----------
    parts : mapping of str to str
        What is compiled, and the function that needs it, as ``module:function``; long ones first.
    n_processes : int
        At least 1.
    told : callable
        Called with the name of every part that is done and the seconds it took.

    Raises
    ------
    HxloopError
        A part failed; the others were ended, what they had compiled is kept.
    """
    waiting, begun_s = list(parts), time.monotonic()
    running: dict[str, tuple[subprocess.Popen[str], float]] = {}
    line = listener()
    try:
        while waiting or running:
            while waiting and len(running) < n_processes:
                name = waiting.pop(0)
                running[name] = (_begin(parts[name]), time.monotonic())
            for name, (process, since_s) in list(running.items()):
                if process.poll() is not None:
                    del running[name]
                    _check(name, process)
                    line.close()
                    told(name, time.monotonic() - since_s)
            if running:
                done, seconds = len(parts) - len(waiting) - len(running), time.monotonic() - begun_s
                line.show(f"{done} of {len(parts)} done, compiling kernels for {', '.join(running)}, {seconds:.0f} s")
                time.sleep(_LOOK_EVERY_S)
    finally:
        line.close()
        for process, _ in running.values():
            process.kill()
            process.wait()


def _begin(function: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", _CALL, *function.split(":")]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _check(name: str, process: subprocess.Popen[str]) -> None:
    _, said = process.communicate()
    if process.returncode:
        raise HxloopError(
            f"the kernels for {name} were not compiled: their process ended with status {process.returncode}",
            hint="the last lines of what it said are below",
            details="\n".join(said.splitlines()[-20:]),
        )
