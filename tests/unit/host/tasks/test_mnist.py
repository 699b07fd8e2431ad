"""MNIST at 16 x 16 pixels: against the original files and a scaling written in another way."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from support.places import ROOT

from hxloop.errors import DataError, InvalidInputError
from hxloop_host.coding.codings import build_coding
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.tasks.mnist import FILES, features_of, mnist16, read_idx
from hxloop_host.tasks.published_files import DATA_DIR

# Images per digit, known since 1998: of the 60000 training and of the 10000 test images.
PER_DIGIT = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "t10k": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}
# sha256 of the 16 x 16 bytes of ink, all images of a split one after the other: the same with any version of Pillow.
INK = {
    "train": "4edf10349758e108a7d981e3d6ec9d6f07f77ca8099af0b1688a35b6bf2867c3",
    "validation": "86e5a13ce1c316447f1fe45e3ae4b28c9a396db14d32f069ad0310687ead9ee7",
    "test": "049961bd18a69b5341c4de7c3e1eaec728a311c539329ba68be13221461d4ff6",
}


CODING = build_coding(load_settings("mnist16").coding, 6.0)


@pytest.fixture
def folder(monkeypatch):
    """Folder of the original files."""
    root = ROOT
    data = Path(os.environ.get(DATA_DIR) or root.parent / "shared" / "data")
    for candidate in (data / "mnist", data):
        if (candidate / "t10k-labels-idx1-ubyte.gz").is_file():
            monkeypatch.setenv(DATA_DIR, str(data))
            return candidate
    return pytest.skip(f"the MNIST files are not on this machine; set {DATA_DIR} to a folder with mnist/")


def scaling_matrix(n_in, n_out):
    """Weights [n_out, n_in] of the antialiased triangle: as wide as two output pixels, cut at the border."""
    scale = n_in / n_out
    distance = (np.arange(n_in) + 0.5) - scale * (np.arange(n_out)[:, None] + 0.5)
    weights = np.maximum(0.0, 1.0 - np.abs(distance) / scale)
    return weights / weights.sum(axis=1, keepdims=True)


def scaled_bytes(images):
    """Central 24 x 24 pixels at 16 x 16: rows first, then columns, rounded to bytes (halves up) after each."""
    matrix, half = scaling_matrix(24, 16), 0.5 + 1e-9  # sums are multiples of 1/9, or of 1/8 at the border
    rows = np.floor(images[:, 2:26, 2:26] @ matrix.T + half)
    return np.floor(matrix @ rows + half).reshape(len(images), 256)


def ink_bytes(features):
    return np.rint(255 * (1 - np.nan_to_num(features, nan=1.0))).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_scaling_is_the_direct_sum(seed):
    g = np.random.default_rng(seed)
    images = g.integers(0, 256, (200, 28, 28), np.uint8)
    images[:, 5:15] = 0
    features = features_of(images)
    np.testing.assert_array_equal(ink_bytes(features), scaled_bytes(images))
    np.testing.assert_array_equal(np.isnan(features), ink_bytes(features) == 0)
    assert np.isnan(features).any()


def test_full_ink_is_first_and_paper_silent():
    images = np.zeros((2, 28, 28), np.uint8)
    images[1] = 255
    images[0, :2] = 255  # outside the cut
    times = CODING.times(features_of(images))
    assert np.isinf(times[0]).all()
    np.testing.assert_array_equal(times[1], np.full(256, 0.15))


def test_faint_ink_is_late():
    images = np.zeros((1, 28, 28), np.uint8)
    images[0, 14, 14] = 9
    times = CODING.times(features_of(images))
    heard = np.isfinite(times)
    assert 1 <= heard.sum() <= 4
    # All of the pixel's ink is there: an output pixel is 1.5 x 1.5 input pixels large.
    ink = (2.0 - times[heard]) / 1.85 * 255
    assert abs(ink.sum() - 9 / 1.5**2) <= 0.5 * 4
    assert times[heard].min() > 1.9


def test_original_files_are_the_published_ones(folder):
    for file, md5 in FILES.md5.items():
        assert hashlib.md5((folder / file).read_bytes()).hexdigest() == md5
        assert FILES.path(file) == folder / file


@pytest.mark.parametrize(("split", "size"), [("train", 50_000), ("validation", 10_000), ("test", 10_000)])
def test_splits(split, size, folder):
    data = mnist16(split)
    assert data.features.shape == (size, 256)
    assert data.label.shape == (size,)
    assert data.features.dtype == np.float64
    assert data.label.dtype == np.int64
    assert (data.n_classes, data.class_names[7]) == (10, "7")
    assert np.nanmin(data.features) == 0.0
    assert np.nanmax(data.features) == 1 - 1 / 255
    assert hashlib.sha256(ink_bytes(data.features).tobytes()).hexdigest() == INK[split]


def test_images_and_labels_belong_together(folder):
    """Splits against the files read and scaled in another way; digits by the counts everyone knows."""
    raw = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    images = np.frombuffer(raw, np.uint8, offset=16).reshape(60_000, 28, 28)
    for split, first in (("train", 0), ("train", 49_900), ("validation", 50_000), ("validation", 59_900)):
        start = first - 50_000 * (split == "validation")
        ours = ink_bytes(mnist16(split).features[start : start + 100])
        np.testing.assert_array_equal(ours, scaled_bytes(images[first : first + 100]))
    train = np.bincount(mnist16("train").label) + np.bincount(mnist16("validation").label)
    assert train.tolist() == PER_DIGIT["train"]
    assert np.bincount(mnist16("test").label).tolist() == PER_DIGIT["t10k"]
    assert mnist16("train").label[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist16("test").label[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_splits_are_shared_and_so_cannot_be_changed(folder):
    assert mnist16("test") is mnist16("test")
    with pytest.raises(ValueError, match="read-only"):
        mnist16("test").features[0, 0] = 0.0


def test_unknown_split_is_named():
    with pytest.raises(InvalidInputError, match="valid"):
        mnist16("valid")


def idx(values, shape=None):
    values = np.asarray(values, np.uint8)
    header = bytes((0, 0, 8, values.ndim)) + np.array(shape or values.shape, ">u4").tobytes()
    return gzip.compress(header + values.tobytes(), mtime=0)


def test_idx_files_are_read(tmp_path):
    values = np.random.default_rng(1).integers(0, 256, (3, 5, 4), np.uint8)
    (tmp_path / "a.gz").write_bytes(idx(values))
    np.testing.assert_array_equal(read_idx(tmp_path / "a.gz", 3), values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no gzip", "cannot read"),
        (idx([[1, 2], [3, 4]])[:-9], "cannot read"),
        (idx([1, 2, 3]), "no idx file of bytes with 2 dimensions"),
        (gzip.compress(b"\0\0\x0d\2" + bytes(16), mtime=0), "no idx file of bytes with 2 dimensions"),
        (gzip.compress(b"\0\0\x08\2\0\0", mtime=0), "no idx file"),
        (idx([[1, 2], [3, 4]], (2, 3)), r"has 4 bytes of data, its header says \[2, 3\]"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "a.gz", 2)
