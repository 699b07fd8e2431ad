"""Files as a stranger would make them: with a right manifest, whatever lies behind it."""

import hashlib
import io
import json

import h5py

from hxloop.files.records import FORMAT, USER_BLOCK_BYTES


def sealed(body, kind="run"):
    """Bytes of a record with this HDF5 body: the hash in a manifest keeps nobody out, everybody can compute it."""
    manifest = {"format": FORMAT, "kind": kind, "sha256": hashlib.sha256(body).hexdigest()}
    return json.dumps(manifest).encode().ljust(USER_BLOCK_BYTES - 1) + b"\n" + body


def hdf5(fill, **options):
    """Body of an HDF5 file that `fill(file)` writes into."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        fill(file)
    return buffer.getvalue()
