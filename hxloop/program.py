"""What a chip is told: its configuration."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.errors import ArrayError
from hxloop.kit.arguments import of_type, require_arrays
from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray


WEIGHT_CODE: Final = "synapses.weight_code"
"""Name of the array that a training changes."""
COUNTER: Final = "neurons.refractory_counter"
"""Name of the array that a training of delays changes."""
DELAYED: Final = "delayed"
"""Name of the array that only configurations with delay neurons have."""


@brief
@dataclass(frozen=True, eq=False)
class Routes:
    """Where the events of sources go: each entry lets one source drive one synapse driver under one label.

    Attributes
    ----------
    source : int32 [n]
        Input channel; neuron circuit for on-chip routes; 64 x generator + label for background routes.
    driver : int16 [n]
        Synapse driver ``hemisphere * n_rows / 2 + d``, which drives the rows 2 d and 2 d + 1 of its hemisphere.
    label : uint8 [n]
        6-bit label the event carries there; only synapses with the same label respond.
    """

    source: NDArray[np.int32]
    driver: NDArray[np.int16]
    label: NDArray[np.uint8]

    def __post_init__(self) -> None:
        require_arrays(self)

    @classmethod
    def none(cls) -> Routes:
        """No routes."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int16), np.empty(0, np.uint8))


@brief
@dataclass(frozen=True, eq=False)
class Synapses:
    """Synapses in use.

    Attributes
    ----------
    circuit : int16 [n]
        Neuron circuit (synapse column) 0..511; its hemisphere is ``circuit // n_columns``.
    row : int16 [n]
        Row of that hemisphere, 0..255.
    label : uint8 [n]
        Label the synapse responds to, 0..63.
    weight_code : int8 [n] (float64 where the datasheet allows continuous weights)
        Signed weight code -63..63; the sign must be that of the row.
    """

    circuit: NDArray[np.int16]
    row: NDArray[np.int16]
    label: NDArray[np.uint8]
    weight_code: NDArray[np.int8] | NDArray[np.float64]

    def __post_init__(self) -> None:
        require_arrays(self)


@brief
@dataclass(frozen=True, eq=False)
class NeuronCodes:
    """Neuron circuits in use and what is written to them, one entry per circuit.

    Where the datasheet says `ChipSpec.continuous_codes`, CapMem codes, capacitance and counter are float64 and may be
    any real number.

    Attributes
    ----------
    circuit : int16 [n]
        Circuit 0..511, each at most once.
    head : int16 [n]
        Circuit that spikes for this one: itself, or the first circuit of the merged neuron it belongs to.
    capmem_code : int16 [n, len(Cell)]
        10-bit codes 0..1022 of the analog cells (`hxloop.codes.capmem.Cell`).
    capacitance_code : uint8 [n]
        Membrane capacitance, 0..63.
    leak_range : uint8 [n]
        `hxloop.codes.capmem.LeakRange`.
    refractory_counter : uint8 [n]
        Refractory period in cycles of the circuit's clock, 0..255.
    refractory_clock : uint8 [n]
        0: fast, 1: slow clock of the backend block (`SharedCodes.clock_scale`).
    switches : uint8 [n]
        `hxloop.codes.capmem.Switch`.
    cadc_offset_code : int8 [n]
        Digital offset added to the reading of the circuit's CADC channel.
    """

    circuit: NDArray[np.int16]
    head: NDArray[np.int16]
    capmem_code: NDArray[np.int16] | NDArray[np.float64]
    capacitance_code: NDArray[np.uint8] | NDArray[np.float64]
    leak_range: NDArray[np.uint8]
    refractory_counter: NDArray[np.uint8] | NDArray[np.float64]
    refractory_clock: NDArray[np.uint8]
    switches: NDArray[np.uint8]
    cadc_offset_code: NDArray[np.int8]

    def __post_init__(self) -> None:
        require_arrays(self)

    def take(self, index: NDArray[np.int64]) -> NeuronCodes:
        """Entries at these positions."""
        return NeuronCodes(*(getattr(self, item.name)[index] for item in fields(self)))


@brief
@dataclass(frozen=True, eq=False)
class SharedCodes:
    """What is written to the cells that many circuits share.

    Attributes
    ----------
    quadrant_code : int16 [n_quadrants, len(QuadrantCell)] (float64 where the datasheet says `continuous_codes`)
        10-bit codes 0..1022 (`hxloop.codes.capmem.QuadrantCell`).
    clock_scale : uint8 [n_hemispheres, 2]
        Scale 0..15 of the fast and the slow refractory clock of each backend block: a cycle lasts 8 ns x 2^scale.
    """

    quadrant_code: NDArray[np.int16] | NDArray[np.float64]
    clock_scale: NDArray[np.uint8]

    def __post_init__(self) -> None:
        require_arrays(self)


@brief
@dataclass(frozen=True, eq=False)
class Background:
    """Background generators in use; they spike on their own all through a run.

    Attributes
    ----------
    generator : int16 [n]
        Generator 0..7, each at most once; generator ``g`` feeds PADI bus ``g``.
    poisson : uint8 [n]
        0: one event every period; 1: in every period an event with probability ``rate / 256``.
    period_ticks : int32 [n]
        1..65535.
    rate : uint8 [n]
        For Poisson generators.
    seed : int64 [n]
        0..2^32 - 1.
    label, label_mask : uint8 [n]
        An event carries the label, with the bits of the mask (0..63) drawn at random.
    """

    generator: NDArray[np.int16]
    poisson: NDArray[np.uint8]
    period_ticks: NDArray[np.int32]
    rate: NDArray[np.uint8]
    seed: NDArray[np.int64]
    label: NDArray[np.uint8]
    label_mask: NDArray[np.uint8]

    def __post_init__(self) -> None:
        require_arrays(self)

    @classmethod
    def none(cls) -> Background:
        """All generators off."""
        empty = np.empty(0, np.uint8)
        return cls(empty.astype(np.int16), empty, empty.astype(np.int32), empty, empty.astype(np.int64), empty, empty)


@brief
@dataclass(frozen=True, eq=False)
class ChipConfig:
    """Everything that is written to a chip before it runs.

    Attributes
    ----------
    neurons : NeuronCodes
    shared : SharedCodes
    synapses : Synapses
    row_sign : int8 [n_hemispheres, n_rows]
        Sign of each synapse row: 1 excitatory, -1 inhibitory, 0 off.
    input_routes : Routes
        From input channels to drivers.
    neuron_routes : Routes
        From neuron circuits back to drivers (layers and recurrence), `ChipSpec.routing_delay_ticks` later.
    background : Background
        Generators in use.
    background_routes : Routes
        From the generators to drivers.
    delayed : int16 [n]
        Heads of delay neurons, pairs of circuits whose spikes leave when their refractory period ends; each at most
        once. A configuration without any has no such array.
    """

    neurons: NeuronCodes
    shared: SharedCodes
    synapses: Synapses
    row_sign: NDArray[np.int8]
    input_routes: Routes
    neuron_routes: Routes
    background: Background = field(default_factory=Background.none)
    background_routes: Routes = field(default_factory=Routes.none)
    delayed: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))

    def __post_init__(self) -> None:
        self._check(_PARTS)

    def _check(self, names: Iterable[str]) -> None:
        for name in names:
            of_type(getattr(self, name), name, _PARTS[name], f"of type {_PARTS[name].__name__}")

    def with_weight_codes(self, weight_code: NDArray[np.int8] | NDArray[np.float64]) -> ChipConfig:
        """Return the same wiring with other weights; what is known of the hash of the wiring goes with it."""
        return self.with_arrays({WEIGHT_CODE: weight_code})

    def with_arrays(self, changed: Mapping[str, NDArray[Any]]) -> ChipConfig:
        """Return the same configuration with some arrays replaced, by their dotted names.

        Raises
        ------
        ArrayError
            A configuration has no array of that name.
        """
        unknown = changed.keys() - self.digests.keys()
        if unknown:
            raise ArrayError("a configuration has no such array", field=min(unknown)[:200])
        parts: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in changed.items():
            part, _, inner = name.partition(".")
            parts.setdefault(part, {})[inner] = array
        new: dict[str, Any] = {
            part: arrays[""] if "" in arrays else _replaced(getattr(self, part), arrays)
            for part, arrays in parts.items()
        }
        config = object.__new__(ChipConfig)  # like `_replaced`, but what stays is not looked at again
        vars(config).update(vars(self), **new)
        config._check(new)
        vars(config).pop("_sha256", None)
        vars(config)["digests"] = self.digests | {name: digest_array(name, array) for name, array in changed.items()}
        return config

    def array(self, name: str) -> NDArray[Any]:
        """Array of this dotted name."""
        found: NDArray[Any] = attrgetter(name)(self)
        return found

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All arrays by their dotted names, in canonical order."""
        found = flatten(self)
        if not self.delayed.size:
            del found[DELAYED]
        return found

    @cached_property
    def digests(self) -> dict[str, bytes]:
        """SHA-256 of every array (`digest_array`) by name, in canonical order; arrays are read-only from then on."""
        return {name: digest_array(name, array) for name, array in self.arrays().items()}

    def sha256(self) -> str:
        """Hash of the digests of all arrays; the configuration's name on the wire."""
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        return hashlib.sha256(b"".join(self.digests.values())).hexdigest()


_PARTS: Final[dict[str, type]] = {
    "neurons": NeuronCodes,
    "shared": SharedCodes,
    "synapses": Synapses,
    "row_sign": np.ndarray,
    "input_routes": Routes,
    "neuron_routes": Routes,
    "background": Background,
    "background_routes": Routes,
    "delayed": np.ndarray,
}
"""What the fields of a configuration are."""


def _replaced(value: Any, changes: dict[str, Any]) -> Any:
    """`dataclasses.replace` in a fraction of its time, with which every step of a training begins."""
    new = object.__new__(type(value))
    vars(new).update(vars(value), **changes)
    new.__post_init__()
    return new


def digest_array(name: str, array: NDArray[np.generic]) -> bytes:
    """SHA-256 of name, dtype, shape and values; makes the array read-only, so that it stays true."""
    array.flags.writeable = False
    return _updated(hashlib.sha256(), name, array).digest()


def hash_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """SHA-256, in hex digits, of names, dtypes, shapes and values in the order given."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        _updated(digest, name, array)
    return digest.hexdigest()


def _updated(digest: hashlib._Hash, name: str, array: NDArray[np.generic]) -> hashlib._Hash:
    digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest


def flatten(value: object, prefix: str = "") -> dict[str, NDArray[np.generic]]:
    """Arrays of a nested dataclass under dotted names, in field order."""
    if isinstance(value, np.ndarray):
        return {prefix: value}
    if not is_dataclass(value):
        raise TypeError(f"{prefix}: {type(value)} is neither an array nor a dataclass")
    found: dict[str, NDArray[np.generic]] = {}
    for item in fields(value):
        found |= flatten(getattr(value, item.name), f"{prefix}.{item.name}" if prefix else item.name)
    return found
