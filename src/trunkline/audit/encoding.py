"""What the audit's hashes and signatures are made over (docs/audit.md has it for outsiders, with a program).

A text is written as its length in bytes, ``:``, its UTF-8 and ``,``; what is absent as ``-``. So no two lists of texts
are written alike. Each use begins with a line of its own that names the version.
"""

import hashlib
from collections.abc import Iterable, Sequence

COLUMNS = (
    "entry_id", "at", "actor", "account_id", "test", "action", "target", "data", "address", "request_id",
)  # fmt: skip
START = bytes(32)  # the hash before the first link
LINK = b"trunkline-audit-link-1\n"
HEAD = b"trunkline-audit-head-1\n"


def canonical(texts: Iterable[str | None]) -> bytes:
    written = []
    for text in texts:
        if text is None:
            written.append(b"-")
        else:
            raw = text.encode()
            written.append(b"%d:%b," % (len(raw), raw))
    return b"".join(written)


def link_hash(previous: bytes, position: int, entry: Sequence[str | None]) -> bytes:
    """SHA-256 of a link; ``entry`` are its COLUMNS as texts."""
    return hashlib.sha256(LINK + previous + canonical((str(position), *entry))).digest()


def head_message(position: int, hash_: bytes, signed_at: str) -> bytes:
    """What is signed; ``signed_at`` as ISO 8601 in UTC with Z."""
    return HEAD + canonical((str(position), hash_.hex(), signed_at))
