"""One-time passcodes: drawn without modulo bias, kept as an HMAC (RFC 2104), and sealed as long as they live.

The database has no key to either, so that whoever has a copy of it cannot try the million codes of a number. The mac
covers verification, number and code, and what a payment is bound to, so that none can be put in another's place.
"""

import hashlib
import hmac
import pathlib
import secrets
import unicodedata

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from trunkline.errors import InvalidRequest, OperatorError
from trunkline.storage import secret_file

DIGITS = "0123456789"
LETTERS = "ACDEFGHJKLMNPQRTUVWXY34679"  # no two that look or sound alike: 0 O, 1 I, 2 Z, 5 S, 8 B
ALPHABETS = {"digits": DIGITS, "letters": LETTERS}

SHORTEST, LONGEST = 4, 10
NONCE = 12  # octets; NIST SP 800-38D
_LONGEST_TYPED = 64
_IGNORED = frozenset(" -\u2010\u2011\u2012\u2013\u2014\u2212\u00a0\u2009\u202f\u2007\u200b\u200e\u200f\u2068\u2069")


def draw(alphabet: str, length: int) -> str:
    """A code of ``length`` characters, each of them as likely as any other."""
    characters = ALPHABETS[alphabet]
    return "".join(secrets.choice(characters) for _ in range(length))


def as_typed(text: str) -> str:
    """What a person typed, as it was sent: digits of any script are digits, letters of either case are capitals, and
    spaces and hyphens between them are nothing.

    Raises InvalidRequest for what can be no code.
    """
    if len(text) > _LONGEST_TYPED:
        raise InvalidRequest("A code has at most 10 characters.", field="code")
    read = ""
    for character in unicodedata.normalize("NFKC", text.strip()):
        if character in _IGNORED:
            continue
        value = unicodedata.decimal(character, None)
        read += str(value) if value is not None else character.upper()
    if not SHORTEST <= len(read) <= LONGEST or not (read.isascii() and read.isalnum()):
        raise InvalidRequest(f"A code has {SHORTEST} to {LONGEST} digits or letters.", field="code")
    return read


def read_secret(file: pathlib.Path) -> bytes:
    """The server's secret, which is made where there is none. Raises OperatorError where it cannot be kept: codes that
    one process draws are checked by another."""
    try:
        return secret_file.read(file)
    except OSError as error:
        raise OperatorError(
            f"The secret {file}, which codes are kept under, cannot be used: {error.strerror}."
        ) from None


class Seals:
    """Macs and seals under keys that are derived (HKDF, RFC 5869) from one secret of the server."""

    def __init__(self, secret: bytes) -> None:
        self._mac_key = HKDF(SHA256(), 32, salt=None, info=b"trunkline verify: mac").derive(secret)
        self._seal = AESGCM(HKDF(SHA256(), 32, salt=None, info=b"trunkline verify: seal").derive(secret))

    def mac(self, verification_id: int, e164: str, code: str, bound_to: str = "") -> bytes:
        """32 octets. ``bound_to``: the amount and the payee of a payment (PSD2), or nothing."""
        words = "\0".join((str(verification_id), e164, code, bound_to))
        return hmac.digest(self._mac_key, words.encode(), hashlib.sha256)

    def seal(self, verification_id: int, text: str) -> bytes:
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._seal.encrypt(nonce, text.encode(), str(verification_id).encode())

    def unseal(self, verification_id: int, sealed: bytes) -> str | None:
        """The text; None where it was sealed under another secret, or for another verification."""
        try:
            return self._seal.decrypt(sealed[:NONCE], sealed[NONCE:], str(verification_id).encode()).decode()
        except InvalidTag:
            return None
