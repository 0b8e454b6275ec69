"""URLs (RFC 3986) as every reader of them understands them: what two readers take for two things is refused.

A host is a name of letters, digits, hyphens and underscores, or an address in its usual form: four decimal numbers, or
IPv6 in brackets. A host whose last label is a number is read as an address by browsers and by the C library, in forms
such as ``0x7f.1``, ``2130706433`` or ``127.0.0.1.``, so it is one here too, or nothing.
"""

import functools
import hashlib
import ipaddress
import re
import unicodedata
import urllib.parse
from ipaddress import IPv6Address
from typing import NamedTuple

from trunkline.egress.errors import UrlRefused
from trunkline.egress.public import Address

LONGEST_URL = 2048
LONGEST_NAME, LONGEST_LABEL = 253, 63  # RFC 1035 §2.3.4

_LABEL = re.compile(r"(?!-)[a-z0-9_-]+")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # https://url.spec.whatwg.org/#ends-in-a-number-checker
_CUT = re.compile(r"…[0-9a-f]{8}\Z")
# Python's idna (RFC 3490) makes other names of these than browsers do: straße is strasse here, and somebody else's.
_DEVIATING = frozenset("ßς\u200c\u200d")


class Target(NamedTuple):
    secure: bool
    host: str  # a name in ASCII, or an address without brackets
    port: int
    path: str  # with its query
    address: Address | None  # where the host is one; else a resolver says what it is


@functools.lru_cache(maxsize=1024)
def read(url: str) -> Target:
    """Raises UrlRefused."""
    parts = _split(url)
    if parts.fragment:
        raise _refused("A URL here has no fragment (#…).")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise _refused("The URL's path is not one that can be asked for: percent-encode what is not ASCII.")
    secure = parts.scheme == "https"
    name = _host(parts)
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        address = None
    return Target(secure, name, parts.port or (443 if secure else 80), path, address)


def check_page(url: str) -> None:
    """Raises UrlRefused for what is no address of a page, which may have a fragment."""
    _host(_split(url))


def discreet(url: str) -> str:
    """A URL without what may be secret in it: scheme, host and port, and eight hexadecimal digits of a SHA-256 over all
    of it, by which two can be told apart. What cannot be read is its digits alone, what is cut already stays."""
    if _CUT.search(url):
        return url
    digits = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return f"…{digits}"
    if not host or parts.scheme not in ("http", "https"):
        return f"…{digits}"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{'' if port is None else f':{port}'}/…{digits}"


def _refused(words: str) -> UrlRefused:
    return UrlRefused(words, field="url")


def _split(url: str) -> urllib.parse.SplitResult:
    if len(url) > LONGEST_URL:
        raise _refused(f"A URL has at most {LONGEST_URL} characters.")
    # which readers of URLs disagree about, or drop
    if any(character in "\\ " or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zs") for character in url):
        if not _DEVIATING.isdisjoint(url):
            raise _deviates()
        raise _refused("A URL has no spaces, control characters and backslashes.")
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("That is no URL: its port is no number up to 65535, or its brackets hold no address.") from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise _refused("A URL begins with https:// and a host.")
    if "@" in parts.netloc:
        raise _refused("A URL here has no user and no password.")
    if port == 0 or parts.netloc.endswith(":"):
        raise _refused("The URL's port is not one that can be asked for.")
    return parts


def _deviates() -> UrlRefused:
    return _refused("A host with ß, ς or a joiner is written as xn--, which has one meaning.")


def _host(parts: urllib.parse.SplitResult) -> str:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        try:
            return str(IPv6Address(host.replace("%", "no zones")))
        except ValueError:
            raise _refused("The URL's host is no IPv6 address; one has no zone (%…) here.") from None
    name = _in_ascii(host)
    labels = name.removesuffix(".").split(".")
    if "" in labels or any(len(label) > LONGEST_LABEL for label in labels) or len(name.rstrip(".")) > LONGEST_NAME:
        raise _refused(
            f"The URL's host is no name: its labels have 1 to {LONGEST_LABEL} characters, all together {LONGEST_NAME}."
        )
    if _NUMBER.fullmatch(labels[-1]):
        return _four_numbers(name)
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused("The URL's host is no name and no address.")
    return name


def _in_ascii(host: str) -> str:
    if not _DEVIATING.isdisjoint(host):
        raise _deviates()
    if any(map(_is_odd, host)):
        raise _refused("The URL's host has a character that is not read as one thing by all; write it as xn--.")
    try:
        name = host.encode("idna").decode().lower() if not host.isascii() else host
        hidden = [label[4:].encode().decode("punycode") for label in name.split(".") if label.startswith("xn--")]
    except ValueError:
        raise _refused("The URL's host is no name: its letters cannot be written in ASCII.") from None
    if any(label.isascii() for label in hidden):
        raise _refused("The URL's host is no name: a label with xn-- says nothing that needs it.")
    return name


def _is_odd(character: str) -> bool:
    """RFC 3490 leaves what Unicode 3.2 did not know as it is, and makes two labels of ⒈."""
    if character.isascii():
        return False
    mapped = unicodedata.normalize("NFKC", character)
    return unicodedata.ucd_3_2_0.category(character) == "Cn" or (len(mapped) > 1 and "." in mapped)


def _four_numbers(name: str) -> str:
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        raise _refused(
            "The URL's host ends in a number, so it is an address, and not one in its usual form: four decimal numbers"
            " from 0 to 255 without a dot at the end, as 192.0.2.1."
        ) from None
