"""MNIST at 16 x 16 pixels, as it was shown to the chip: 256 pixels, one spike each, ink first, paper silent.

The 28 x 28 images are cut to their central 24 x 24 pixels and scaled to 16 x 16 (bilinear, antialiased) by Pillow.
Its integer arithmetic gives the same bytes everywhere, and it is what the published transformation calls (torchvision's
CenterCrop and Resize of 8-bit images).

References
----------
LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998:
the data. Goeltz et al., Nature Machine Intelligence 3, 823-835 (2021), code of the chip runs: size, inversion, silence.
"""

from __future__ import annotations

import math
import zlib
from functools import cache, partial
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from hxloop.errors import DataError, InvalidInputError
from hxloop.files.reading import MIB, read_file
from hxloop.task import Dataset, Split, Task, check_split
from hxloop_host.tasks.published_files import PublishedFiles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FILES: Final = PublishedFiles(
    "mnist",
    {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    unzipped={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    # As torchvision leaves them, given its folder or one above; and with the names of other collections.
    folders=("mnist", "", "MNIST/raw", "mnist/MNIST/raw", "mnist/raw", "MNIST", "raw"),
    spellings=(("-idx", ".idx"),),
)
"""The four original files."""

MAX_BYTES: Final = 64 * MIB
"""More than the largest of them has, unzipped."""

SPLITS: Final[dict[Split, tuple[str, slice]]] = {
    "train": ("train", slice(0, 50_000)),
    "validation": ("train", slice(50_000, 60_000)),
    "test": ("t10k", slice(0, 10_000)),
}
"""Files and images of each split; the sizes are the published ones."""

CLASS_NAMES: Final = tuple("0123456789")

CROP: Final = 24
SIDE: Final = 16


@cache
def mnist16(split: Split, data_dir: Path | None = None) -> Dataset:
    """One split of MNIST at 16 x 16 pixels (read-only arrays).

    Parameters
    ----------
    split : {"train", "validation", "test"}
        50000, 10000 and 10000 images.
    data_dir : Path, optional
        Where the files are looked for first, instead of ``HXLOOP_DATA_DIR``.

    Returns
    -------
    Dataset
        256 features, row by row: ``1 - ink``, 0 for full ink, NaN (no spike) for blank paper.

    Raises
    ------
    InvalidInputError
        No such split.
    DataError
        The files are neither there nor to be had, or damaged.
    """
    check_split(split)
    files, part = SPLITS[split]
    images = read_idx(FILES.path(f"{files}-images-idx3-ubyte.gz", data_dir), 3)[part]
    label = read_idx(FILES.path(f"{files}-labels-idx1-ubyte.gz", data_dir), 1)[part].astype(np.int64)
    features = features_of(images)
    features.flags.writeable = False
    label.flags.writeable = False
    return Dataset(features, label, CLASS_NAMES)


def mnist16_task(data_dir: Path | None = None) -> Task:
    """The task, its files in a folder that the user names."""
    return Task(
        "mnist16",
        partial(mnist16, data_dir=data_dir),
        SIDE**2,
        10,
        presets=(
            "mnist16",
            "mnist16_surrogate",
            "mnist16_augmented",
            "mnist16_rate",
            "mnist16_multi_spike",
            "mnist16_desire",
            "mnist16_long",
        ),
        grid=(SIDE, SIDE),
        n_samples=tuple(part.stop - part.start for _, part in SPLITS.values()),
        source="MNIST, the four original files (70000 images), at 16 x 16 pixels",
        licence="CC BY-SA 3.0",
        reference="LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86:2278 (1998)",
    )


def features_of(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Images uint8 [n, 28, 28], ink 255, to features float64 [n, 256]; see `mnist16`."""
    margin = (images.shape[1] - CROP) // 2
    cut = np.ascontiguousarray(images[:, margin : margin + CROP, margin : margin + CROP])
    ink = np.empty((len(cut), SIDE * SIDE), np.uint8)
    for k, image in enumerate(cut):
        ink[k] = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)).ravel()
    features = 1.0 - ink / 255.0
    features[ink == 0] = np.nan
    return features


def read_idx(path: Path, n_dimensions: int) -> NDArray[np.uint8]:
    """Array of bytes in a file of LeCun's idx format, gzipped if it is called so.

    Raises
    ------
    DataError
        Not such a file, other than bytes, or another number of dimensions.
    """
    try:
        raw = read_file(path, limit_bytes=MAX_BYTES, field=path.name)
    except InvalidInputError as error:
        raise DataError(error.message, field=path.name) from None
    if path.suffix == ".gz":
        raw = _unzipped(raw, path)
    header = 4 + 4 * n_dimensions
    if raw[:4] != bytes((0, 0, 8, n_dimensions)) or len(raw) < header:
        raise DataError(f"{path} is no idx file of bytes with {n_dimensions} dimensions", field=path.name)
    shape = np.frombuffer(raw, ">u4", n_dimensions, offset=4).tolist()
    if len(raw) != header + math.prod(shape):
        raise DataError(f"{path} has {len(raw) - header} bytes of data, its header says {shape}", field=path.name)
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _unzipped(raw: bytes, path: Path) -> bytes:
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = stream.decompress(raw, MAX_BYTES + 1)
    except zlib.error as error:
        raise DataError(f"cannot read {path}: {error}", field=path.name) from None
    if len(content) > MAX_BYTES:
        raise DataError(f"cannot read {path}: it unpacks to more than {MAX_BYTES} bytes", field=path.name)
    if not stream.eof or stream.unused_data:
        raise DataError(f"cannot read {path}: it is not one whole gzip file", field=path.name)
    return content
