"""Rules, tasks and other parts by name: built in, installed by another package, or a class in a file of the user's.

Code of a file runs only if the user names the file: a run file, which may be a stranger's, only says which source it
was trained with, and whoever goes on with it must name that source again.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hxloop.errors import InvalidInputError
from hxloop.files.reading import MIB, read_file
from hxloop.kit import arguments
from hxloop.kit.strict import Strict
from hxloop.kit.suggest import suggestion
from hxloop.text import one_line
from hxloop.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

T = TypeVar("T")

_LARGEST_FILE = 4 * MIB


class Source(Strict):
    """Where a part comes from, as run files hold it.

    Attributes
    ----------
    name : str
        What finds it: a name, or ``FILE:CLASS``.
    module : str
        Module, or file.
    version : str
        Version of the package it is part of, empty for a file.
    sha256 : str
        Of the source, empty for what is built in: that is told by the program's version.
    """

    name: str
    module: str = ""
    version: str = ""
    sha256: str = ""

    def __str__(self) -> str:
        return one_line(f"{self.name} ({self.sha256[:12]})" if self.sha256 else self.name)

    @property
    def is_own(self) -> bool:
        """Whether it is the user's own code, which only the user may name."""
        return bool(self.sha256) and not self.version


class Registry(Generic[T]):
    """Parts of one kind, by name.

    Parameters
    ----------
    what : str
        What one is called in messages, and the argument that names it: ``rule``.
    built_in : mapping of str to str
        Name to ``module:attribute``.
    accepts : callable
        Whether an object is such a part.
    is_called : str
        What an object must be, after "must be", in messages.
    """

    def __init__(self, what: str, built_in: Mapping[str, str], accepts: Any, is_called: str) -> None:
        self.what, self.built_in, self._accepts, self._is_called = what, built_in, accepts, is_called

    @property
    def group(self) -> str:
        """Entry-point group of installed packages: ``hxloop.rules``."""
        return f"hxloop.{self.what}s"

    def names(self) -> list[str]:
        """What is built in, and then what other packages bring."""
        return [*self.built_in, *(name for name in self._installed() if name not in self.built_in)]

    def find(self, name: str, *, own_code: bool = False) -> tuple[T, Source]:
        """Part of that name.

        Parameters
        ----------
        name : str
            Built in or installed, or ``FILE.py:NAME``.
        own_code : bool
            The user named it just now, as an argument: only then a file is run. Names in settings and run files may be
            a stranger's.

        Raises
        ------
        InvalidInputError
            There is none, the file cannot be run, or holds something else.
        MissingFileError
            No such file.
        """
        arguments.text(name, self.what, takes=f"the name of a {self.what}, or FILE.py:NAME")
        if name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            found = getattr(importlib.import_module(module), attribute)
            return found, Source(name=name, module=module, version=__version__)
        if name in self._installed():
            return self._from_package(name)
        file, _, attribute = name.rpartition(":")
        if is_own(name):
            if own_code:
                return self._from_file(Path(file), attribute)
            raise InvalidInputError(
                f"{arguments.shown(name)} is code in a file, which runs only if you name it yourself",
                field=self.what,
                hint=f"add --{self.what} {one_line(name)}",
            )
        hint = suggestion(name, self.names(), cutoff=0.4)
        raise InvalidInputError(
            f"no {self.what} is called {arguments.shown(name)}",
            field=self.what,
            hint=f"{hint}; your own is FILE.py:NAME",
        )

    def _installed(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {point.name: point for point in importlib.metadata.entry_points(group=self.group)}

    def _from_package(self, name: str) -> tuple[T, Source]:
        point = self._installed()[name]
        try:
            found = point.load()
        except Exception as error:
            raise InvalidInputError(
                f"the {self.what} {name!r} of another package cannot be loaded: {_reason(error)}", field=self.what
            ) from error
        version = point.dist.version if point.dist else "?"
        origin = inspect.getsourcefile(sys.modules[point.module])
        digest = hashlib.sha256(Path(origin).read_bytes()).hexdigest() if origin else ""
        return self._accept(found, name), Source(name=name, module=point.module, version=version, sha256=digest)

    def _from_file(self, file: Path, attribute: str) -> tuple[T, Source]:
        content = read_file(file, limit_bytes=_LARGEST_FILE, field=self.what)
        module = _run(file, content, self.what)
        if not hasattr(module, attribute):
            known = [name for name, value in vars(module).items() if not name.startswith("_") and self._accepts(value)]
            raise InvalidInputError(
                f"{file} has no {arguments.shown(attribute)}",
                field=self.what,
                hint=suggestion(attribute, known) if known else f"it holds no {self.what}",
            )
        found = self._accept(getattr(module, attribute), f"{file}:{attribute}")
        digest = hashlib.sha256(content).hexdigest()
        return found, Source(name=f"{file}:{attribute}", module=str(file), sha256=digest)

    def _accept(self, found: Any, name: str) -> T:
        if not self._accepts(found):
            raise InvalidInputError(f"{name} must be {self._is_called}", field=self.what)
        accepted: T = found
        return accepted


def is_own(name: str) -> bool:
    """Whether a name stands for something in a file of the user's: ``FILE.py:NAME``."""
    file, colon, attribute = name.rpartition(":")
    return bool(colon and attribute) and file.endswith(".py")


def source_of(kind: type) -> Source:
    """Source of a class that was handed over as an object: of its file, or of what was typed into a notebook.

    Raises
    ------
    InvalidInputError
        Its source cannot be read, so that nobody could tell later what trained.
    """
    top = kind.__module__.partition(".")[0]
    if top in {"hxloop", "hxloop_host"}:
        return Source(name=f"{kind.__module__}:{kind.__qualname__}", module=kind.__module__, version=__version__)
    try:
        file = inspect.getsourcefile(kind)
        content = Path(file).read_bytes() if file and Path(file).is_file() else inspect.getsource(kind).encode()
    except (OSError, TypeError):
        raise InvalidInputError(
            f"the source of {kind.__qualname__} cannot be found, so no run file could say what trained",
            field="rule",
            hint="define it in a file or in a notebook",
        ) from None
    name = f"{file}:{kind.__qualname__}" if file and Path(file).is_file() else f"{kind.__module__}:{kind.__qualname__}"
    return Source(name=name, module=file or kind.__module__, sha256=hashlib.sha256(content).hexdigest())


def _run(file: Path, content: bytes, what: str) -> ModuleType:
    """Module of a file, run once for each content."""
    digest = hashlib.sha256(content).hexdigest()
    name = f"hxloop_own_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InvalidInputError(f"{file} is no Python file", field=what)
    module = importlib.util.module_from_spec(spec)
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # at the end: what lies beside the file hides nothing that is installed
    sys.modules[name] = module
    try:
        exec(compile(content, str(file), "exec"), vars(module))  # the user named this file to be run
    except Exception as error:
        del sys.modules[name]
        raise InvalidInputError(f"{file} cannot be run: {_reason(error)}", field=what) from error
    return module


def _reason(error: BaseException) -> str:
    """Type, text and line of an error in foreign code."""
    trace, line = error.__traceback__, ""
    while trace is not None:
        line = f", line {trace.tb_lineno} of {Path(trace.tb_frame.f_code.co_filename).name}"
        trace = trace.tb_next
    return one_line(f"{type(error).__name__}: {error}{line}")
