"""The head of a request: what RFC 9110 and RFC 9112 demand of it beyond its grammar, which the parser checks.

A proxy before us and we must read the same request, so whatever two readers could take for two things is refused.
"""

import re

from trunkline.surfaces.http.problems import MalformedRequest, TransferCodingUnknown

Fields = list[tuple[bytes, bytes]]  # names in lower case, values without the blanks around them

_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")  # RFC 3986 §3.2.2
_ABSOLUTE = re.compile(rb"https?://([^/?]+)(.*)", re.IGNORECASE | re.DOTALL)

# Fields that are no lists (RFC 9110 §5.3), as no signature is: of two, it cannot be told which one counts.
_SINGLE = frozenset(
    b"authorization content-length content-type date expect from host idempotency-key if-modified-since if-range"
    b" if-unmodified-since last-event-id max-forwards origin proxy-authorization referer"
    b" user-agent".split()
)


def together(fields: Fields) -> Fields:
    """One line for each name: lists that came in several lines are joined (RFC 9110 §5.3).

    Raises MalformedRequest for a field that may stand there once.
    """
    lines: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        lines.setdefault(name, []).append(value)
    for name, values in lines.items():
        if len(values) > 1 and (name in _SINGLE or name.endswith(b"-signature")):
            raise MalformedRequest(f"The header {name.decode('ascii')!r} is given twice.", field=name.decode("ascii"))
    return [(name, (b"; " if name == b"cookie" else b", ").join(values)) for name, values in lines.items()]


def check_host(host: bytes | None) -> None:
    """RFC 9112 §3.2: a request of HTTP/1.1 has one. Raises MalformedRequest."""
    if host is None:
        raise MalformedRequest("A request of HTTP/1.1 has a Host header.", field="host")
    if not _HOST.fullmatch(host):
        raise MalformedRequest("The Host header is not a name or an address.", field="host")


def check_coding(coding: bytes, version: str) -> None:
    """RFC 9112 §6.1: chunked is the only transfer coding here. Raises TransferCodingUnknown and MalformedRequest."""
    if version == "1.0":
        raise MalformedRequest("HTTP/1.0 has no Transfer-Encoding.", field="transfer-encoding")
    if coding.lower() != b"chunked":
        raise TransferCodingUnknown("The only Transfer-Encoding here is chunked.", field="transfer-encoding")


def target(method: bytes, text: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request target (RFC 9112 §3.2). Raises MalformedRequest."""
    if method == b"CONNECT":
        raise MalformedRequest("This server is no proxy.")
    if b"#" in text:
        raise MalformedRequest("A request target has no fragment.")
    if text[:1] != b"/":
        if text == b"*" and method == b"OPTIONS":
            return text, b""
        absolute = _ABSOLUTE.fullmatch(text)
        if absolute is None:
            raise MalformedRequest("The request target is neither a path nor a URL of http or https.")
        if not _HOST.fullmatch(absolute[1]) or absolute[1].startswith(b":"):
            raise MalformedRequest("The host in the request target is not a name or an address.")
        text = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    path, _, query = text.partition(b"?")
    return path, query
