"""How a Dask scheduler may be reached: with certificates, or with a word that it has none."""

import pytest
from distributed.security import Security

from hxloop.errors import InvalidInputError, MissingFileError
from hxloop_host.studies.points.cluster import TLS_FILES, Remote, remote_scheduler

ENCRYPTED, PLAIN = "tls://127.0.0.1:9", "tcp://127.0.0.1:9"


@pytest.fixture
def keys(tmp_path):
    made = Security.temporary()
    for name, text in zip(TLS_FILES, (made.tls_ca_file, made.tls_client_cert, made.tls_client_key), strict=True):
        (tmp_path / name).write_text(text)
    (tmp_path / "key.pem").chmod(0o600)
    return tmp_path


def test_none_is_none():
    assert remote_scheduler(None) is None


def test_certificates_are_shown_and_asked_for(keys):
    remote = remote_scheduler(ENCRYPTED, keys)
    assert remote == Remote(ENCRYPTED, keys)
    assert remote.security().require_encryption
    assert remote.security().get_connection_args("client")["ssl_context"] is not None


def test_without_tls_only_if_somebody_says_so():
    with pytest.raises(InvalidInputError, match="can run programs as you") as refused:
        remote_scheduler(PLAIN)
    assert "--insecure" in refused.value.hint
    assert remote_scheduler(PLAIN, insecure=True) == Remote(PLAIN)
    assert remote_scheduler("127.0.0.1:9", insecure=True) == Remote("127.0.0.1:9")


@pytest.mark.parametrize("name", TLS_FILES)
def test_files_that_are_missing_or_no_certificates_are_named(keys, name):
    (keys / name).write_text("nothing")
    with pytest.raises(InvalidInputError, match="cannot use the certificates"):
        remote_scheduler(ENCRYPTED, keys)
    (keys / name).unlink()
    with pytest.raises(MissingFileError, match=name):
        remote_scheduler(ENCRYPTED, keys)


def test_certificates_that_others_can_use_or_replace_are_refused(keys):
    (keys / "key.pem").chmod(0o640)
    with pytest.raises(InvalidInputError, match="others can read"):
        remote_scheduler(ENCRYPTED, keys)
    (keys / "key.pem").chmod(0o600)
    keys.chmod(0o777)
    with pytest.raises(InvalidInputError, match="others can write"):
        remote_scheduler(ENCRYPTED, keys)


def test_tls_without_certificates_anywhere():
    with pytest.raises(InvalidInputError, match="no certificates"):
        remote_scheduler(ENCRYPTED)


def test_words_without_effect_are_refused(keys):
    for arguments, insecure in (
        ((None,), True),
        ((ENCRYPTED, keys), True),
        ((None, keys), False),
        ((PLAIN, keys), True),
    ):
        with pytest.raises(InvalidInputError):
            remote_scheduler(*arguments, insecure=insecure)
