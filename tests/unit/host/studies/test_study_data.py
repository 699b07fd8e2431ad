"""Studies on data of users: files with settings fitted to them, and no code that somebody else may have named."""

import numpy as np
import pytest
from support.tables.sheets import sheets  # noqa: F401 (a fixture)

from hxloop.errors import InvalidInputError
from hxloop_host.studies.study_request import Request, work_of


def test_a_file_of_data_is_studied_with_settings_fitted_to_it(tmp_path, sheets):  # noqa: F811
    label = np.arange(60) % 4
    np.savez(tmp_path / "data.npz", train_features=label[:, None] / 4 + [[0.0, 0.1]], train_label=label)
    work = work_of(Request(study="mismatch", preset="quick", task=str(tmp_path / "data.npz")))
    points = work.points()
    assert points
    for point in points:
        assert point.settings.network.sizes[-1] == 4
        assert point.task == str(tmp_path / "data.npz")


def test_no_code_of_a_file_runs_in_a_study(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "mine.py").write_text(f"open({str(marker)!r}, 'w').close()")
    with pytest.raises(InvalidInputError, match=r"not on .*mine\.py:blobs"):
        work_of(Request(study="mismatch", preset="quick", task=f"{tmp_path / 'mine.py'}:blobs"))
    assert not marker.exists()
