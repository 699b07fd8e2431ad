import subprocess
import sys

import pytest

import hxloop

HIGHER = {"calibrate", "connect", "launch", "train", "evaluate", "load_calibration", "load_run", "measure", "fit_chip"}


@pytest.mark.parametrize("name", hxloop.__all__)
def test_every_public_name_resolves(name):
    value = getattr(hxloop, name)
    assert value is not None
    if name in HIGHER:
        assert callable(value)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = hxloop.nonsense


def test_dir_lists_the_public_names():
    assert set(hxloop.__all__) <= set(dir(hxloop))


@pytest.mark.parametrize(
    "statement",
    [
        "import hxloop",
        "import hxloop; hxloop.SpikeBatch, hxloop.HICANN_X, hxloop.Chip, hxloop.CalibrationTable",
        "import hxloop.protocol.codec",
    ],
)
def test_the_vocabulary_is_light(statement):
    heavy = "{'zmq', 'numba', 'matplotlib', 'scipy', 'hxloop_host', 'hxloop_chip', 'h5py'}"
    code = f"import sys; {statement}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
