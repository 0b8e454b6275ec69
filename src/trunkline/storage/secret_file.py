"""A secret of the server that the database does not have: 256 random bits in a file, the same on all nodes.

What is keyed with it (a fingerprint, a mac, a seal) says nothing to whoever has the database alone.
"""

import contextlib
import os
import pathlib
import secrets
import tempfile

from trunkline.storage import unprivileged

OCTETS = 32


def read(file: pathlib.Path) -> bytes:
    """The secret of a file, which is made where there is none; of two who make it at once one is first.

    Raises OSError, with ``strerror`` in words, where it cannot be read or made.
    """
    with contextlib.suppress(FileNotFoundError):
        return _checked(file.read_bytes(), file)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=file.parent) as fresh:  # only its owner may read it
        unprivileged.give(fresh.fileno(), file.parent)
        fresh.write(secrets.token_bytes(OCTETS))
        fresh.flush()
        os.fsync(fresh.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh.name, file)
    return _checked(file.read_bytes(), file)


def _checked(secret: bytes, file: pathlib.Path) -> bytes:
    if len(secret) != OCTETS:
        raise OSError(None, f"it is not {OCTETS} octets", str(file))
    return secret
