"""Kernels that other kernels call become part of them, and are nothing by themselves.

Numba makes machine code of every kernel, and of a wrapper for calls from Python, also where only other kernels call it.
Here a kernel that is compiled because another one calls it ends as optimised code that is linked into its callers; the
outermost one alone becomes machine code, and is kept. That saves more than a third of the time. A part that is called
from Python after all is compiled anew, as what it then is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_callees: Final[list[Any]] = []
"""Dispatchers that are being compiled for their callers, the innermost last; Numba compiles under one lock."""


class _Part:
    """Stands for the entry point that a part does not have; Numba finds a kernel's code by it."""


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
            return get_call_template(arguments, keywords)
        finally:
            _callees.pop()
            del options["no_cpython_wrapper"]

    def added(result: Any) -> None:
        if isinstance(result.entry_point, _Part):  # nothing that Python could call
            dispatcher.overloads[tuple(result.signature.args)] = result
        else:
            add_overload(result)

    def compiled(signature: Any) -> Any:
        if is_part():
            return compile_(signature)
        with numba.core.compiler_lock.global_compiler_lock:
            arguments = tuple(numba.core.sigutils.normalize_signature(signature)[0])
            known = dispatcher.overloads.get(arguments)
            if known is not None and isinstance(known.entry_point, _Part):
                del dispatcher.overloads[arguments]
            try:
                return compile_(signature)
            finally:
                when_compiled()

    dispatcher.get_call_template, dispatcher.add_overload, dispatcher.compile = called_by_a_kernel, added, compiled


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
        if _callees:
            function = _callees[-1].py_func
            if (description.modname, description.qualname) == (function.__module__, function.__qualname__):
                library.finalize = lambda: _link(library)
                return _Part()
        return self._make(library, description, environment)


def _link(library: Any) -> None:
    """Numba's `CPUCodeLibrary.finalize` without machine code."""
    for part in dict.fromkeys(library._linking_libraries):
        library._reload_init.update(part._reload_init)
        library._final_module.link_in(part._get_module_for_linking(), preserve=True)
    library._optimize_final_module()  # loops are made vectors of before they are inlined, or not at all
    library._finalize_dynamic_globals()
    library._finalized = True
