"""Studies on data of users: files with settings fitted to them, and no code that somebody else may have named."""

import numpy as np
import pytest
from support.tables.sheets import sheets  # noqa: F401 (a fixture)

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
