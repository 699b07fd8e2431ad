"""Kernels that other kernels call become part of them, and are nothing by themselves.

Numba makes machine code of every kernel, and of a wrapper for calls from Python, also where only other kernels call it,
and of every function of its own that a kernel calls. Here all that is compiled because a kernel calls it is linked into
its callers; the outermost kernel alone becomes machine code, and is kept. A part is compiled once for all integers of a
type, whether a caller knows their value or not. And Python's search for cycles, which goes through all that a compiler
has made again and again, waits until it is done. That saves half of the time. A part that is called from Python after
all is compiled anew, as what it then is.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_outermost: Final[list[Any]] = []
"""Dispatcher that is being compiled to be called from Python, if any; Numba compiles under one lock."""

_callees: Final[list[Any]] = []
"""Dispatchers that are being compiled for their callers, the innermost last."""


class _Part(dict[Any, Any]):
    """Its `__getitem__` stands for the entry point that a part does not have.

    Numba finds a kernel's code by its entry point, which must be a builtin function.
    """

    @classmethod
    def is_made(cls, result: Any) -> bool:
        """Whether a compiled function is a part."""
        return isinstance(getattr(result.entry_point, "__self__", None), cls)


def is_part() -> bool:
    """Whether what is compiled now is called by another kernel."""
    return bool(_callees)


def made_of_parts(dispatcher: Any, numba: Any, when_compiled: Callable[[], None]) -> None:
    """Let a dispatcher of Numba be compiled into its callers; `when_compiled` is called whenever it was not."""
    _watch(dispatcher.targetctx)
    options = dispatcher.targetoptions
    options["no_cfunc_wrapper"] = True
    get_call_template, add_overload, compile_ = (
        dispatcher.get_call_template, dispatcher.add_overload, dispatcher.compile,
    )  # fmt: skip

    def called_by_a_kernel(arguments: Any, keywords: Any) -> Any:
        options["no_cpython_wrapper"] = True
        _callees.append(dispatcher)
        try:
            return get_call_template(tuple(map(numba.types.unliteral, arguments)), keywords)
        finally:
            _callees.pop()
            del options["no_cpython_wrapper"]

    def added(result: Any) -> None:
        if _Part.is_made(result):
            dispatcher.overloads[tuple(result.signature.args)] = result
        else:
            add_overload(result)

    def compiled(signature: Any) -> Any:
        with numba.core.compiler_lock.global_compiler_lock:
            if is_part():
                return compile_(signature)
            arguments = tuple(numba.core.sigutils.normalize_signature(signature)[0])
            known = dispatcher.overloads.get(arguments)
            if known is not None and _Part.is_made(known):
                del dispatcher.overloads[arguments]
            _outermost.append(dispatcher)
            try:
                with _no_search_for_cycles():
                    return compile_(signature)
            finally:
                _outermost.pop()
                when_compiled()

    dispatcher.get_call_template, dispatcher.add_overload, dispatcher.compile = called_by_a_kernel, added, compiled


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _watch(context: Any) -> None:
    """Where Numba makes machine code of what it has compiled, parts are left as they are."""
    if isinstance(vars(context).get("get_executable"), _Executables):
        return
    context.get_executable = _Executables(context.get_executable)


class _Executables:
    """In the place of a target's `get_executable`."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, library: Any, description: Any, environment: Any) -> Any:
        """Entry point of a compiled function."""
        is_kept = is_part() and _is_of(_callees[-1], description)
        if is_kept or (_outermost and not _is_of(_outermost[-1], description)):
            library.finalize = lambda: _link(library, is_kept=is_kept)
            return _Part().__getitem__
        return self._make(library, description, environment)


def _is_of(dispatcher: Any, description: Any) -> bool:
    function = dispatcher.py_func
    return (description.modname, description.qualname) == (function.__module__, function.__qualname__)


def _link(library: Any, *, is_kept: bool) -> None:
    """Numba's `CPUCodeLibrary.finalize` without machine code.

    Loops of ours are made vectors of before they are inlined, or not at all; Numba's own functions have none.
    """
    for part in dict.fromkeys(library._linking_libraries):
        library._reload_init.update(part._reload_init)
        library._final_module.link_in(part._get_module_for_linking(), preserve=True)
    if is_kept:
        passes, builder = library._codegen._module_pass_manager()
        passes.run(library._final_module, builder)
    library._finalize_dynamic_globals()
    library._finalized = True
