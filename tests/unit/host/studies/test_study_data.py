"""Studies on data of users: files with settings fitted to them, and no code that somebody else may have named."""

from pathlib import Path

import numpy as np
import pytest
from support.tables.sheets import sheets  # noqa: F401 (a fixture)

import hxloop_host
from hxloop.errors import InvalidInputError
from hxloop_host.studies.study_request import Request, read_request, work_of


def test_a_file_of_data_is_studied_with_settings_fitted_to_it(tmp_path, sheets):  # noqa: F811
    label = np.arange(60) % 4
    np.savez(tmp_path / "data.npz", train_features=label[:, None] / 4 + [[0.0, 0.1]], train_label=label)
    work = work_of(Request(study="mismatch", preset="quick", task=str(tmp_path / "data.npz")))
    points = work.points()
    assert points
    for point in points:
        assert point.settings.network.sizes[-1] == 4
        assert point.task == str(tmp_path / "data.npz")


@pytest.mark.parametrize("what", ["task", "rule"])
def test_no_code_of_a_file_runs_because_a_stored_study_names_it(tmp_path, what):
    marker, own = tmp_path / "ran", f"{tmp_path / 'mine.py'}:blobs"
    (tmp_path / "mine.py").write_text(f"open({str(marker)!r}, 'w').close()")
    (tmp_path / "study.toml").write_text(f'study = "mismatch"\n{what} = "{own}"\n')
    with pytest.raises(InvalidInputError, match="only if you name it yourself") as caught:
        read_request(str(tmp_path / "study.toml"), {})
    assert caught.value.field == what
    assert caught.value.hint == f"add --{what} {own}"
    assert not marker.exists()
    asked = read_request(str(tmp_path / "study.toml"), {what: own})
    assert getattr(asked, what) == own
    with pytest.raises(InvalidInputError, match="has no 'blobs'"):
        work_of(asked)
    assert marker.exists()


def test_steps_that_cannot_change_the_samples_are_refused_before_anything_runs(tmp_path, sheets):  # noqa: F811
    text = (Path(hxloop_host.__file__).parent / "presets" / "quick.toml").read_text()
    (tmp_path / "turned.toml").write_text(text + '\n[[augmentation]]\nkind = "rotate"\ndegrees = 5.0\n')
    with pytest.raises(InvalidInputError, match="needs pictures") as caught:
        work_of(Request(study="mismatch", preset="quick", training=str(tmp_path / "turned.toml")))
    assert caught.value.field == "augmentation.0.grid"
