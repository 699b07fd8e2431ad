"""Rules, tasks and other parts by name: built in, installed by another package, or a class in a file of the user's.

Code of a file runs only if the user names the file: a run file, which may be a stranger's, only says which source it
was trained with, and whoever goes on with it must name that source again.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import linecache
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hxloop.errors import HxloopError, InvalidInputError
from hxloop.files.reading import MIB, read_file
from hxloop.kit import arguments
from hxloop.kit.strict import Strict
from hxloop.kit.suggest import suggestion
from hxloop.text import one_line
from hxloop.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

T = TypeVar("T")

_NOTEBOOK = "__main__"
_LARGEST_FILE = 4 * MIB
_FRAMES = 6
"""Latest calls on the way to an error that are told."""
_PROGRAM = ("hxloop", "hxloop_host")


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
    option : str
        The option of commands that names one in a file; by default ``--rule`` of a rule. Empty: none does, and one's
        own comes by an installed package.
    """

    def __init__(
        self, what: str, built_in: Mapping[str, str], accepts: Any, is_called: str, option: str | None = None
    ) -> None:
        self.what, self.built_in, self._takes, self._is_called = what, built_in, accepts, is_called
        self._option = f"--{what}" if option is None else option

    @property
    def group(self) -> str:
        """Entry-point group of installed packages: ``hxloop.rules``."""
        return f"hxloop.{self.what}s"

    def accepts(self, found: Any) -> bool:
        """Whether an object is such a part."""
        return bool(self._takes(found))

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
                hint=f"add {self._option} {one_line(name)}" if self._option else f"your own {self._from_packages}",
            )
        hint = suggestion(name, self.names(), cutoff=0.4)
        raise InvalidInputError(
            f"no {self.what} is called {arguments.shown(name)}",
            field=self.what,
            hint=f"{hint}; your own {'is FILE.py:NAME' if self._option else self._from_packages}",
        )

    @property
    def _from_packages(self) -> str:
        return f"comes by an installed package (entry points {self.group})"

    def source_of(self, kind: type) -> Source:
        """Source of a class that was handed over as an object: by name what has one, else as `source_of`."""
        where = f"{kind.__module__}:{kind.__qualname__}"
        if where in self.built_in.values():
            return self.find(next(name for name, at in self.built_in.items() if at == where))[1]
        known = next((name for name, point in self._installed().items() if point.value == where), None)
        return source_of(kind) if known is None else self.find(known)[1]

    def _installed(self) -> Mapping[str, importlib.metadata.EntryPoint]:
        return _installed_parts(self.group, tuple(sys.path))

    def _from_package(self, name: str) -> tuple[T, Source]:
        point = self._installed()[name]
        with foreign_code(f"the {self.what} {name!r} of another package cannot be loaded", self.what):
            found = point.load()
        version = point.dist.version if point.dist else "?"
        origin = inspect.getsourcefile(sys.modules[point.module])
        digest = hashlib.sha256(Path(origin).read_bytes()).hexdigest() if origin else ""
        return self._accept(found, name), Source(name=name, module=point.module, version=version, sha256=digest)

    def _from_file(self, file: Path, attribute: str) -> tuple[T, Source]:
        content = read_file(file, limit_bytes=_LARGEST_FILE, field=self.what)
        module = _run(file, content, self.what)
        if not hasattr(module, attribute):
            known = [name for name, value in vars(module).items() if not name.startswith("_") and self.accepts(value)]
            raise InvalidInputError(
                f"{file} has no {arguments.shown(attribute)}",
                field=self.what,
                hint=suggestion(attribute, known) if known else f"it holds no {self.what}",
            )
        found = self._accept(getattr(module, attribute), f"{file}:{attribute}")
        digest = hashlib.sha256(content).hexdigest()
        return found, Source(name=f"{file}:{attribute}", module=str(file), sha256=digest)

    def _accept(self, found: Any, name: str) -> T:
        if not self.accepts(found):
            raise InvalidInputError(f"{name} must be {self._is_called}", field=self.what)
        accepted: T = found
        return accepted


def is_of_program(kind: type) -> bool:
    """Whether a class is part of this program."""
    return kind.__module__.partition(".")[0] in _PROGRAM


def made_with(kind: type[T], settings: Any, field: str, check: Callable[[T], None] | None = None) -> T:
    """Object of a class with these settings, checked; what code that is not ours raises is told as `foreign_code` does.

    Parameters
    ----------
    kind : type
        Takes ``settings``, and keeps them as its attribute.
    settings : Strict
    field : str
        Of errors.
    check : callable, optional
        Refuses an object that does not suit.

    Raises
    ------
    InvalidInputError
        Its constructor or its check fails, or it forgets the settings.
    """
    if is_of_program(kind):
        return _checked(kind, settings, check)
    with foreign_code(f"{kind.__qualname__} cannot be made", field, file_of(kind)):
        found = _checked(kind, settings, check)
    if getattr(found, "settings", None) is not settings:
        raise InvalidInputError(
            f"{kind.__qualname__}.__init__ must take settings=None, **values and hand them to super().__init__: it is "
            "made again from the settings of its run",
            field=field,
        )
    return found


def _checked(kind: Callable[[Any], T], settings: Any, check: Callable[[T], None] | None) -> T:
    found = kind(settings)
    if check is not None:
        check(found)
    return found


@functools.cache
def _installed_parts(group: str, _path: tuple[str, ...]) -> Mapping[str, importlib.metadata.EntryPoint]:
    """What installed packages offer; looked up once for each search path, for all of it is read from files."""
    return {point.name: point for point in importlib.metadata.entry_points(group=group)}


def is_own(name: str) -> bool:
    """Whether a name stands for something of the user's: ``FILE.py:NAME``, or ``__main__:NAME`` in a notebook."""
    file, colon, attribute = name.rpartition(":")
    return bool(colon and attribute) and (file.endswith(".py") or file == _NOTEBOOK)


def source_of(kind: type) -> Source:
    """Source of a class that was handed over as an object: of its file, or of what was typed into a notebook.

    Raises
    ------
    InvalidInputError
        Its source cannot be read, so that nobody could tell later what trained.
    """
    if is_of_program(kind):
        return Source(name=f"{kind.__module__}:{kind.__qualname__}", module=kind.__module__, version=__version__)
    file = file_of(kind)
    on_disk = bool(file) and Path(file).is_file()
    content = Path(file).read_bytes() if on_disk else "".join(linecache.getlines(file)).encode()
    if not content:
        raise InvalidInputError(
            f"the source of {kind.__qualname__} cannot be found, so no run file could say what trained",
            field="rule",
            hint="define it in a file or in a notebook",
        )
    where = file if on_disk else _NOTEBOOK
    return Source(name=f"{where}:{kind.__qualname__}", module=where, sha256=hashlib.sha256(content).hexdigest())


def file_of(kind: type) -> str:
    """File or cell of a notebook that a class is written in, empty if that cannot be told.

    Its methods know: `inspect` looks for the file of the module, which a notebook does not have.
    """
    for value in vars(kind).values():
        method = inspect.unwrap(value) if callable(value) else None
        if inspect.isfunction(method) and method.__qualname__ == f"{kind.__qualname__}.{method.__name__}":
            return method.__code__.co_filename
    try:
        return inspect.getsourcefile(kind) or ""
    except (OSError, TypeError):
        return ""


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
        with foreign_code(f"{file} cannot be run", what, str(file)):
            exec(compile(content, str(file), "exec"), vars(module))  # the user named this file to be run
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def foreign_code(failed: str, field: str, file: str = "") -> Iterator[None]:
    """Turn whatever code that is not ours raises into an error that says where, in one line.

    Parameters
    ----------
    failed : str
        What could not be done.
    field : str
        Of the error.
    file : str
        The file of that code: the line that is told is its last one on the way to the error.

    Raises
    ------
    InvalidInputError
        In place of any `Exception` that is none of `hxloop.errors`; the way to it is below the line.
    """
    try:
        yield
    except HxloopError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[1:]
        first = next((number for number, frame in enumerate(frames) if frame.filename == file), 0)
        frames = frames[first:]
        last = next((frame for frame in reversed(frames) if frame.filename == file), frames[-1] if frames else None)
        if isinstance(error, SyntaxError):
            where = f", line {error.lineno} of {Path(error.filename or file).name}"
        else:
            where = f", line {last.lineno} of {Path(last.filename).name}" if last else ""
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        below = "".join(traceback.format_list(frames[-_FRAMES:])).rstrip() if len(frames) > 1 else ""
        raise InvalidInputError(
            f"{failed}: {one_line(f'{type(error).__name__}: {text}{where}')}", field=field, details=below
        ) from error
