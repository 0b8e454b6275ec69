"""The end of the audit chain, signed: with Ed25519 (RFC 8032), by a key in a file that the database does not have.

The key's file is PEM: one private key, by which heads are signed, and after it any number of public ones, whose heads
are accepted too: those of keys that were used before.
"""

import base64
import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import re
import tempfile
from collections.abc import Sequence
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta

from trunkline.audit.encoding import head_message
from trunkline.errors import OperatorError
from trunkline.storage import unprivileged

TAIL = 4096  # bytes; more than a line of the heads' file
_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The chain's last link and a signature over it. ``signed_at`` is ISO 8601 in UTC with Z."""

    position: int
    hash: bytes
    signed_at: str
    signature: bytes

    def signed_by(self, keys: Sequence[Ed25519PublicKey]) -> Ed25519PublicKey | None:
        """The one of these keys that made the signature."""
        message = head_message(self.position, self.hash, self.signed_at)
        for key in keys:
            with contextlib.suppress(InvalidSignature):
                key.verify(self.signature, message)
                return key
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Keys:
    """Those of one file."""

    private: Ed25519PrivateKey | None
    trusted: list[Ed25519PublicKey]

    def sign(self, position: int, hash_: bytes, signed_at: str) -> Head:
        assert self.private is not None
        return Head(position, hash_, signed_at, self.private.sign(head_message(position, hash_, signed_at)))


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A head as it is exported. ``hash`` is hexadecimal; ``signature`` and ``public_key`` (32 bytes) are base64."""

    position: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    hash: str
    signed_at: str
    key_id: str
    signature: str
    public_key: str

    def head(self) -> Head:
        """Raises ValueError."""
        return Head(
            self.position, bytes.fromhex(self.hash), self.signed_at, base64.b64decode(self.signature, validate=True)
        )


def line(head: Head, key: Ed25519PublicKey) -> Line:
    raw = key.public_bytes_raw()
    return Line(
        head.position,
        head.hash.hex(),
        head.signed_at,
        key_id(key),
        base64.b64encode(head.signature).decode(),
        base64.b64encode(raw).decode(),
    )


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def read_keys(file: pathlib.Path) -> Keys | None:
    """The keys of a PEM file; None where there is no such file. Raises OperatorError."""
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperatorError(f"The audit's key {file} cannot be read: {error.strerror}.") from None
    private: Ed25519PrivateKey | None = None
    trusted = []
    for block in _PEM.finditer(text):
        try:
            if block[1] == b"PUBLIC KEY":
                public = serialization.load_pem_public_key(block[0])
            else:
                secret = serialization.load_pem_private_key(block[0], password=None)
                if not isinstance(secret, Ed25519PrivateKey) or private is not None:
                    raise ValueError
                private, public = secret, secret.public_key()
            if not isinstance(public, Ed25519PublicKey):
                raise ValueError
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise OperatorError(f"In {file} is something other than one Ed25519 key and public ones.") from None
        trusted.append(public)
    if not trusted:
        raise OperatorError(f"There is no Ed25519 key in {file}.")
    return Keys(private, trusted)


def make_keys(file: pathlib.Path) -> Keys:
    """The keys of a file, with a new private key where there is no file; of two who make it at once one is first."""
    found = read_keys(file)
    if found is None:
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=file.parent) as fresh:  # only its owner may read it
                unprivileged.give(fresh.fileno(), file.parent)
                fresh.write(pem)
                fresh.flush()
                os.fsync(fresh.fileno())
                with contextlib.suppress(FileExistsError):
                    os.link(fresh.name, file)
            _sync_folder(file.parent)
        except OSError as error:
            raise OperatorError(f"The audit's key {file} cannot be made: {error.strerror}.") from None
        found = read_keys(file)
        assert found is not None
    return found


def export(file: pathlib.Path, head: Line) -> bool:
    """Appends a head to a file, durably; False where it stands at the file's end already. Raises OperatorError."""
    text = msgspec.json.encode(head) + b"\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = not file.exists()
        with open(unprivileged.open_beside(file, os.O_RDWR | os.O_APPEND | os.O_CREAT), "a+b") as heads:
            fcntl.flock(heads, fcntl.LOCK_EX)
            size = heads.seek(0, os.SEEK_END)
            heads.seek(max(0, size - TAIL))
            *whole, torn = heads.read().split(b"\n")
            if torn:  # by a crash in the middle of a line, which nobody has been told is there
                heads.truncate(size - len(torn))
            if whole and whole[-1] + b"\n" == text:
                return False
            heads.write(text)
            heads.flush()
            os.fsync(heads.fileno())
        if made:
            _sync_folder(file.parent)
    except OSError as error:
        raise OperatorError(f"The audit's heads cannot be written to {file}: {error.strerror}.") from None
    return True


def _sync_folder(folder: pathlib.Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
