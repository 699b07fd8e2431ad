import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from support.places import ROOT

from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop.task import Dataset
from hxloop_host.tasks.yin_yang import generate_yin_yang, yin_yang

# Of the published arrays: sha256 of the features' bytes followed by the labels', and samples per class.
PUBLISHED = {
    "train": ("3dcfbb1895fd5f753d5591e1b4c3c7d98666e04ed91a50569185f2c0a3fcbb48", [1681, 1702, 1617]),
    "validation": ("03d1c9e01d7b2ab9d4d200f84632d8ec8a9fe9e72a75043542a21589507de339", None),
    "test": ("01e8a4f15d4b0d4df3d4f94fb67f5167e7b7783a7eeb3329e4e61e8c07ebb9eb", [350, 316, 334]),
}
SPLITS = pytest.mark.parametrize("split", list(PUBLISHED))


def published_folder():
    root = ROOT
    data = Path(os.environ.get("HXLOOP_DATA_DIR", root.parent / "shared" / "data"))
    return data / "yin_yang" / "publication_data"


@SPLITS
def test_splits_have_the_published_bytes(split):
    data = yin_yang(split)
    sha256, counts = PUBLISHED[split]
    assert data.features.dtype == np.float64
    assert data.label.dtype == np.int64
    little_endian = data.features.astype("<f8").tobytes() + data.label.astype("<i8").tobytes()
    assert hashlib.sha256(little_endian).hexdigest() == sha256
    if counts:
        assert np.bincount(data.label).tolist() == counts


@SPLITS
def test_splits_equal_the_published_files(split):
    folder = published_folder()
    if not folder.is_dir():
        pytest.skip("the published arrays are not on this machine; set HXLOOP_DATA_DIR to a folder with yin_yang/")
    np.testing.assert_array_equal(yin_yang(split).features, np.load(folder / f"{split}_samples.npy"))
    np.testing.assert_array_equal(yin_yang(split).label, np.load(folder / f"{split}_labels.npy"))


def test_labels_follow_the_symbol():
    # Drawn the other way round: a white disc, a black upper half, two half discs and two dots painted over it.
    data = generate_yin_yang(3000, 7)
    x, y = data.features[:, 0], data.features[:, 1]
    assert (np.hypot(x - 0.5, y - 0.5) <= 0.5).all()
    painted = np.where(y > 0.5, 1, 0)
    painted[np.hypot(x - 0.75, y - 0.5) <= 0.25] = 0
    painted[np.hypot(x - 0.25, y - 0.5) <= 0.25] = 1
    painted[np.hypot(x - 0.75, y - 0.5) < 0.1] = 2
    painted[np.hypot(x - 0.25, y - 0.5) < 0.1] = 2
    np.testing.assert_array_equal(data.label, painted)
    np.testing.assert_array_equal(data.features[:, 2:], 1 - data.features[:, :2])


def test_same_seed_same_samples_and_the_global_generator_untouched():
    before = np.random.get_state()[1].copy()
    first, again, other = generate_yin_yang(50, 3), generate_yin_yang(50, 3), generate_yin_yang(50, 4)
    np.testing.assert_array_equal(first.features, again.features)
    assert (first.features != other.features).any()
    np.testing.assert_array_equal(generate_yin_yang(20, 3).features, first.features[:20])
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_splits_are_shared_and_so_cannot_be_changed():
    assert yin_yang("test") is yin_yang("test")
    with pytest.raises(ValueError, match="read-only"):
        yin_yang("test").features[0, 0] = 0.0


def test_dataset_knows_its_sizes():
    data = yin_yang("test")
    assert isinstance(data, Dataset)
    assert (data.n_samples, data.n_classes, data.class_names) == (1000, 3, ("yin", "yang", "dot"))
    assert generate_yin_yang(0, 1).features.shape == (0, 4)


def test_bad_arguments_are_named():
    with pytest.raises(InvalidInputError, match="valid"):
        yin_yang("valid")
    with pytest.raises(OutOfRangeError, match="size"):
        generate_yin_yang(-1, 0)
    with pytest.raises(OutOfRangeError, match="seed"):
        generate_yin_yang(1, 2**32)
