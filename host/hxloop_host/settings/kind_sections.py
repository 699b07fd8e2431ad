"""Sections of the settings whose keys depend on their ``kind``: which class that is, and what its settings are.

A kind is built in, installed by another package, or ``FILE.py:CLASS``. Code of a file runs only if the user names the
file as an argument (`KindSection.named`). Settings and run files may hold such a kind too; unless the user has named it
before, its values are then kept as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from hxloop.errors import HxloopError, InvalidInputError
from hxloop.kit import arguments
from hxloop.kit.brief import brief
from hxloop.kit.strict import Strict, all_keys
from hxloop.plugins import is_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import GetCoreSchemaHandler
    from pydantic.fields import FieldInfo

    from hxloop.plugins import Registry, Source

T = TypeVar("T")


@brief
@dataclass(frozen=True, eq=False)
class KindSection(Generic[T]):
    """A section with a ``kind``, as the annotation of its field: ``Annotated[Base, KindSection(...)]``.

    Parameters
    ----------
    name : str
        Key of the section in the settings.
    registry : Registry
        Finds the class of a kind. Each has ``Settings``, a subclass of `base` whose default ``kind`` is its name.
    base : subclass of Strict
        Settings that all kinds have, with a field ``kind``.
    default : str
        Kind of a section that names none; empty: it must name one.
    older : callable, optional
        Takes kind and values of a section as it may be in files of earlier versions, and returns those of today.
    """

    name: str
    registry: Registry[Any]
    base: type[Strict]
    default: str = ""
    older: Callable[[str, dict[str, Any]], dict[str, Any]] | None = None
    _own: dict[str, type[T]] = field(default_factory=dict)

    def named(self, kind: str) -> tuple[type[T], Source]:
        """Class of a kind that the user names as an argument; a file is run, and its class known by this name then.

        Raises
        ------
        InvalidInputError, MissingFileError
            As `Registry.find`, and a class whose ``Settings`` are none.
        """
        part, source = self.registry.find(kind, own_code=True)
        self._settings(kind, part)
        if source.is_own:
            self._own[kind] = part
        return part, source

    def chosen(self, named: Any, takes: str, given: Iterable[Strict] = ()) -> Any:
        """Settings of a part that the user names: their kind is what the part is known by from now on.

        Parameters
        ----------
        named : str, object, or class
            A name, ``FILE.py:CLASS`` (which is run), a part, or its class.
        takes : str
            What that may be, for messages.
        given : iterable of Strict
            Settings of before: of a name or a class, the values are those of the first that is of its kind.

        Returns
        -------
        Strict
            Of the part's ``Settings``, with the digest of the file of code of one's own in ``sha256``.

        Raises
        ------
        InvalidInputError, MissingFileError
            No such part, a file that cannot be run, or settings that it refuses.
        """
        is_object = not self.registry.accepts(named) and self.registry.accepts(type(named))
        part: Any = type(named) if is_object else named
        if self.registry.accepts(part):
            source = self.registry.source_of(part)
            kind = source.name
            if source.is_own:
                self.know(kind, part)
        else:
            kind = arguments.text(named, self.name, takes=takes)
            part, source = self.named(kind)
        before = named.settings if is_object else next((one for one in given if vars(one)["kind"] == kind), None)
        values = {} if before is None else before.model_dump()
        try:
            return part.Settings(**(values | {"kind": kind, "sha256": source.sha256 if source.is_own else ""}))
        except InvalidInputError as error:
            raise type(error)(error.message, field=f"{self.name}.{error.field}", hint=error.hint) from None

    def know(self, kind: str, part: type[T]) -> None:
        """Let a class that the user handed over be known by a name."""
        self._own[kind] = part

    def part(self, kind: str) -> type[T]:
        """Class of the kind that settings have; no file is run.

        Raises
        ------
        InvalidInputError
            There is none, or it is in a file that the user has not named.
        """
        part: type[T] = self._own[kind] if kind in self._own else self.registry.find(kind)[0]
        return part

    def models(self) -> dict[str, type[Strict]]:
        """Settings of every kind there is: built in, installed (those that can be loaded), and named by the user."""
        found: dict[str, type[Strict]] = {}
        for kind in [*self.registry.names(), *self._own]:
            try:
                found[kind] = self._settings(kind, self.part(kind))
            except InvalidInputError:
                if kind in self.registry.built_in:
                    raise
        return found

    def takes(self, kind: str, key: str) -> bool:
        """Whether settings of a kind may have a key, if only to be read as those of earlier versions."""
        model = self.models().get(kind)
        if model is None or key in model.model_fields:
            return True
        return self.older is not None and key not in self.older(kind, {key: None})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate by the class of the kind, and write all that an object has."""
        return core_schema.no_info_before_validator_function(
            self._resolved, handler(source), serialization=core_schema.simple_ser_schema("any")
        )

    def _resolved(self, value: Any) -> Any:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            return value
        kind = value.get("kind") or self.default
        if not isinstance(kind, str):
            raise _refusal("kind", "must be the name of a kind")
        if not kind:
            raise _refusal("kind", "Field required", hint="known: " + ", ".join(self.registry.names()))
        values = value | {"kind": kind}
        model = self._model(kind)
        if self.older is not None:
            values = self.older(kind, values)
        try:
            return model.model_validate(values)
        except ValidationError as error:
            raise self._with_keys_of(model, error) from None

    def _model(self, kind: str) -> type[Strict]:
        if is_own(kind) and kind not in self._own and kind not in self.registry.names():
            return _as_it_is(self.base)
        try:
            return self._settings(kind, self.part(kind))
        except HxloopError as error:
            raise _refusal("kind", error.message, hint=error.hint) from None

    def _settings(self, kind: str, part: type[T]) -> type[Strict]:
        settings = getattr(part, "Settings", None)
        if not (isinstance(settings, type) and issubclass(settings, self.base)):
            raise InvalidInputError(
                f"{kind}: its Settings must be a subclass of {self.base.__name__}", field=f"{self.name}.kind"
            )
        return settings

    def _with_keys_of(self, model: type[Strict], error: ValidationError) -> ValidationError:
        """Tell of misspelt keys which ones there are; they come first, as in all settings."""
        unknown = [found for found in error.errors() if found["type"] == "extra_forbidden"]
        if not unknown:
            return error
        kind = PydanticCustomError("extra_forbidden", "unknown key", {"known": all_keys(model, f"{self.name}.")})
        lines = [InitErrorDetails(type=kind, loc=found["loc"], input=found["input"]) for found in unknown]
        return ValidationError.from_exception_data(model.__name__, lines)


def section_of(info: FieldInfo) -> KindSection[Any] | None:
    """What says the kinds of a field of the settings, None of a section whose keys are fixed."""
    return next((found for found in info.metadata if isinstance(found, KindSection)), None)


def _refusal(key: str, text: str, hint: str | None = None) -> ValidationError:
    kind = PydanticCustomError("value_error", "{text}", {"text": text, "hint": hint})
    return ValidationError.from_exception_data("section", [InitErrorDetails(type=kind, loc=(key,), input=None)])


@cache
def _as_it_is(base: type[Strict]) -> type[Strict]:
    """Settings of a kind whose class is not known: what all kinds have is checked, the rest kept."""
    return type(f"Stored{base.__name__}", (base,), {"model_config": ConfigDict(extra="allow"), "__module__": __name__})
