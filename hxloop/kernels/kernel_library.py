"""Kernels that are compiled once: a cache in the place of Numba's own.

Numba's trusts whatever lies in its folder, takes a damaged file for a reason to fail, and is one for all kernels of a
process, also those of a user. Kept are kernels that Python calls, with all that they call in them; one process compiles
one, and others that need it wait. Numba itself is handed in: this package does not use it.
"""

from __future__ import annotations

import hashlib
import io
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hxloop.kernels.compiling import Compilations
from hxloop.kernels.kernel_parts import is_part, made_of_parts
from hxloop.kernels.kernel_store import KernelStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hxloop.files.locks import FileLock

log = logging.getLogger(__name__)

_HERE: Final = Path(__file__).parent


class KernelLibrary:
    """All kernels of one package.

    Parameters
    ----------
    sources : iterable of Path
        Files that hold the kernels, and those whose constants are in them. A kernel contains those it calls, so a
        change of any file makes all stale; so does a change of how they are compiled and kept, which is here.
    numba : module
        Numba.
    """

    def __init__(self, sources: Iterable[Path], numba: Any) -> None:
        digest = hashlib.sha256(f"{numba.__version__} {sys.implementation.cache_tag}".encode())
        files = {*sources, *_HERE.glob("*.py")}
        for name, content in sorted((path.name, path.read_bytes()) for path in files):  # wherever each is installed
            digest.update(name.encode() + content)
        self._store = KernelStore(digest.hexdigest()[:16])
        self._numba = numba
        self._kept: set[Any] = set()
        self.compilations = Compilations(self._kept)
        numba.core.event.register("numba:compile", _listener(numba, self._kept, self.compilations))

    def keep(self, dispatcher: Any, signature: Any = None) -> Any:
        """Give a dispatcher of Numba this cache; with a signature, it is compiled for nothing else."""
        self._kept.add(dispatcher)
        dispatcher._cache = _Cache(dispatcher.py_func, self._store, self._numba)
        made_of_parts(dispatcher, self._numba, dispatcher._cache.unlock)
        if signature is not None:

            def compile_once(*_: Any, **__: Any) -> Any:
                dispatcher.compile(signature)
                dispatcher.disable_compile()
                return dispatcher  # which is called again, and converts what it is given

            dispatcher._compile_for_args = compile_once
        return dispatcher


def _listener(numba: Any, kept: set[Any], compilations: Compilations) -> Any:
    """Hears of every compilation in the process, and counts those of kept dispatchers."""

    class Listener(numba.core.event.Listener):  # type: ignore[misc]
        def on_start(self, event: Any) -> None:
            if event.data["dispatcher"] in kept:
                compilations.began()

        def on_end(self, event: Any) -> None:
            if event.data["dispatcher"] in kept:
                compilations.ended()

    return Listener()


class _Cache:
    """What Numba asks of a cache, for one function."""

    def __init__(self, function: Any, store: KernelStore, numba: Any) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._store, self._numba = store, numba
        self._lock: FileLock | None = None

    @property
    def cache_path(self) -> str:
        """Nothing: there is more than one place."""
        return ""

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Compiled function for a signature, None if it must be compiled; by this process, once this has returned."""
        if is_part():
            return None
        core = self._numba.core
        core.runtime.rtsys.initialize(context)  # the memory that arrays of a kernel are made in
        file = self._file(signature, context.codegen())
        content = self._store.read(file)
        if content is None:
            self._lock = self._store.lock(file)
            content = self._store.read(file)  # another process may have compiled it
        if content is None:
            context.refresh()  # all that can be compiled; it takes 0.4 s, and machine code does not need it
            return None
        try:
            return core.compiler.CompileResult._rebuild(context, *_read(content, self._numba))
        except Exception as error:
            log.warning("the compiled kernel %s cannot be used (%r): it is compiled again", self._name, error)
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what was compiled."""
        if not is_part():
            content = self._numba.core.serialize.dumps(result._reduce())
            self._store.write(self._file(signature, result.codegen), content)

    def unlock(self) -> None:
        """It is compiled, or cannot be: others need not wait any longer."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def enable(self) -> None:
        """Nothing: it always is."""

    def disable(self) -> None:
        """Nothing: it never is."""

    def flush(self) -> None:
        """Nothing: files are replaced one by one."""

    def _file(self, signature: Any, codegen: Any) -> str:
        """Name of the file: function, and digest of argument types and processor."""
        digest = hashlib.sha256(f"{signature} {codegen.magic_tuple()}".encode()).hexdigest()
        return f"{self._name}-{digest[:16]}.kernel"


def _read(content: bytes, numba: Any) -> Any:
    """What makes a compiled function, without the modules of all functions in it: Numba's own alone take 0.2 s.

    Environments of functions hold the globals of their modules, of which machine code makes no use.
    """
    environment, pickle = numba.core.environment, numba.core.caching.pickle

    def rebuilt(module: str, constants: list[Any], name: str) -> Any:
        made = environment.lookup_environment(name)
        if made is None:
            made = environment.Environment({"__name__": module})
            made.consts[:], made.env_name = constants, name
            environment.Environment._memo[name] = made
        return made

    class Unpickler(pickle.Unpickler):  # type: ignore[misc, name-defined]
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) == (environment.__name__, "_rebuild_env"):
                return rebuilt
            return super().find_class(module, name)

    return Unpickler(io.BytesIO(content)).load()
