"""Published files: where they are looked for, downloaded from (a server of the test) and what is said if not found."""

import gzip
import hashlib
import http.server
import os
import socket
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.places import ROOT
from support.strangers.second_user import as_second_user, needs_second_user

from hxloop.errors import DataError
from hxloop_host.tasks import mnist
from hxloop_host.tasks.published_files import DATA_DIR, PublishedFiles

CONTENT = bytes(range(256)) * 40
MD5 = hashlib.md5(CONTENT).hexdigest()
FILE = "numbers.gz"


ORIGINALS = Path(os.environ.get(DATA_DIR) or ROOT.parent / "shared" / "data") / "mnist"


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """No data folder, a cache of the test's own, and no proxy between the test and its server."""
    monkeypatch.delenv(DATA_DIR, raising=False)
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / FILE).write_bytes(CONTENT)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as running:
        running.asked, running.folder = [], folder
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def address(server):
    return f"http://127.0.0.1:{server.server_port}/"


def nobody():
    """Address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def files(*mirrors):
    return PublishedFiles("numbers", {FILE: MD5}, mirrors or (nobody(),))


@pytest.mark.parametrize("folder", ["data", "data/numbers"])
def test_the_data_folder_comes_first(folder, tmp_path, monkeypatch):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / FILE).write_bytes(CONTENT)
    monkeypatch.setenv(DATA_DIR, str(tmp_path / "data"))
    assert files().path(FILE) == tmp_path / folder / FILE
    assert not (tmp_path / "cache").exists()


UNZIPPED = b"numbers"


@pytest.mark.parametrize("folder", ["", "MNIST/raw", "mnist/MNIST/raw", "mnist", "MNIST"])
@pytest.mark.parametrize("name", ["a-idx1.gz", "a-idx1", "a.idx1.gz", "a.idx1"])
def test_other_layouts_of_the_data_folder(folder, name, tmp_path, monkeypatch):
    """As torchvision leaves its files, zipped and not, and as other collections call them; each by its own hash."""
    zipped = gzip.compress(UNZIPPED)
    published = replace(
        mnist.FILES, md5={"a-idx1.gz": hashlib.md5(zipped).hexdigest()}, mirrors=(nobody(),),
        unzipped={"a-idx1": hashlib.md5(UNZIPPED).hexdigest()},
    )  # fmt: skip
    path = tmp_path / "data" / folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(zipped if name.endswith(".gz") else UNZIPPED)
    monkeypatch.setenv(DATA_DIR, str(tmp_path / "data"))
    assert published.path("a-idx1.gz") == path
    path.write_bytes(UNZIPPED if name.endswith(".gz") else zipped)
    with pytest.raises(DataError, match="damaged or another version"):
        published.path("a-idx1.gz")


def test_a_damaged_file_does_not_hide_a_good_one(tmp_path, monkeypatch):
    for folder, content in (("numbers", CONTENT[1:]), ("", CONTENT)):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / FILE).write_bytes(content)
    monkeypatch.setenv(DATA_DIR, str(tmp_path))
    assert files().path(FILE) == tmp_path / FILE


def test_unzipped_mnist_is_mnist(tmp_path, monkeypatch):
    """The hashes of the unzipped files are those of the published ones."""
    if not ORIGINALS.is_dir():
        pytest.skip("the MNIST files are not on this machine; set HXLOOP_DATA_DIR to a folder with mnist/")
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    monkeypatch.setenv(DATA_DIR, str(tmp_path))
    for file in mnist.FILES.md5:
        path = tmp_path / "MNIST" / "raw" / file.removesuffix(".gz")
        path.write_bytes(gzip.decompress((ORIGINALS / file).read_bytes()))
        assert mnist.FILES.path(file) == path
        n_dimensions = 3 if "images" in file else 1
        assert np.array_equal(mnist.read_idx(path, n_dimensions), mnist.read_idx(ORIGINALS / file, n_dimensions))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (bytes((0, 0, 8, 3)) + b"\xff" * 12, "its header says"),
        (gzip.compress(bytes(2**26 + 1), mtime=0), "unpacks to more than"),
        (gzip.compress(bytes(100), mtime=0)[:-5], "not one whole gzip file"),
        (gzip.compress(bytes(100), mtime=0) * 2, "not one whole gzip file"),
        (b"\x1f\x8b" + bytes(50), "cannot read"),
        (b"", "cannot read|no idx file"),
    ],
    ids=["header", "bomb", "cut", "twice", "damaged", "empty"],
)
def test_hostile_files(tmp_path, content, word):
    path = tmp_path / ("a.gz" if content[:2] == b"\x1f\x8b" else "a")
    path.write_bytes(content)
    with pytest.raises(DataError, match=word) as caught:
        mnist.read_idx(path, 3)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("root", "said"), [(None, "is not set"), ("nowhere", "there is no folder"), ("", "nor in MNIST/raw")]
)
def test_offline_says_what_was_looked_for_and_where(root, said, tmp_path, monkeypatch):
    if root is not None:
        monkeypatch.setenv(DATA_DIR, str(tmp_path / root))
    published = replace(mnist.FILES, mirrors=(nobody(),), folders=("MNIST/raw", ""))
    with pytest.raises(DataError, match=said) as caught:
        published.path("t10k-labels-idx1-ubyte.gz")
    if root == "":
        assert "t10k-labels.idx1-ubyte" in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_damaged_file_in_the_data_folder_is_an_error_not_a_download(tmp_path, monkeypatch, server):
    (tmp_path / FILE).write_bytes(CONTENT[:-1])
    monkeypatch.setenv(DATA_DIR, str(tmp_path))
    with pytest.raises(DataError, match=rf"{FILE} is damaged or another version: .* published is {MD5}") as caught:
        files(address(server)).path(FILE)
    assert caught.value.field == DATA_DIR
    assert server.asked == []


def test_download_once_into_the_cache(tmp_path, monkeypatch, server):
    monkeypatch.setenv(DATA_DIR, str(tmp_path / "empty"))
    path = files(address(server)).path(FILE)
    assert path == tmp_path / "cache" / "data" / "numbers" / FILE
    assert path.read_bytes() == CONTENT
    assert files(nobody()).path(FILE) == path
    assert server.asked == [f"/{FILE}"]


def test_a_damaged_file_in_the_cache_is_downloaded_again(server):
    path = files(address(server)).path(FILE)
    path.write_bytes(CONTENT[1:])
    assert files(address(server)).path(FILE).read_bytes() == CONTENT


def test_the_next_mirror_is_tried(server):
    (server.folder / "bad").mkdir()
    (server.folder / "bad" / FILE).write_bytes(b"something else")
    mirrors = (nobody(), address(server) + "nowhere/", address(server) + "bad/", address(server))
    assert files(*mirrors).path(FILE).read_bytes() == CONTENT
    assert server.asked == [f"/nowhere/{FILE}", f"/bad/{FILE}", f"/{FILE}"]


def test_offline_says_what_where_and_what_to_do(tmp_path):
    mirrors = (nobody(), nobody())
    with pytest.raises(DataError) as caught:
        files(*mirrors).path(FILE)
    text = str(caught.value)
    for part in (FILE, str(tmp_path / "cache" / "data" / "numbers"), *mirrors, DATA_DIR, f"numbers/{FILE}"):
        assert part in text
    assert "\n" not in text
    assert not list((tmp_path / "cache").rglob(FILE))


def test_a_wrong_download_is_not_kept(tmp_path, server):
    (server.folder / FILE).write_bytes(b"something else")
    with pytest.raises(DataError, match="hash"):
        files(address(server)).path(FILE)
    assert not list((tmp_path / "cache").rglob(FILE))


def test_a_cache_that_cannot_be_written_costs_downloads(tmp_path, server, caplog):
    (tmp_path / "cache").write_text("a file, not a folder")
    path = files(address(server)).path(FILE)
    assert path.read_bytes() == CONTENT and path.parent.stat().st_mode & 0o022 == 0
    assert files(address(server)).path(FILE) == path
    assert f"cannot use the directory {tmp_path}/cache/data/numbers" in caplog.messages[0]


def test_a_cache_that_others_can_write_to_is_neither_read_nor_written(tmp_path, server):
    cache = tmp_path / "cache" / "data" / "numbers"
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(CONTENT)
    cache.chmod(0o777)
    path = files(address(server)).path(FILE)
    assert cache not in path.parents and path.read_bytes() == CONTENT
    cache.chmod(0o755)
    assert files(nobody()).path(FILE) == cache / FILE, "a folder made by hand will do"


def test_the_cache_is_its_owners_whatever_the_umask(tmp_path, server, umask):
    path = files(address(server)).path(FILE)
    assert [folder.stat().st_mode & 0o777 for folder in list(path.parents)[:3]] == [0o700] * 3


@needs_second_user
def test_a_cache_of_root_is_read_by_others(square, server, monkeypatch):
    """As in a container image, where it is read-only."""
    cache = square / "cache" / "data" / "numbers"
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(CONTENT)
    for path in (cache, cache.parent, cache.parent.parent):
        path.chmod(0o755)
    (cache / FILE).chmod(0o644)
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(square / "cache"))
    assert as_second_user(lambda: str(files(nobody()).path(FILE))) == str(cache / FILE)
