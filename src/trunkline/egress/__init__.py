"""Calls to addresses that customers name: dialled so that nobody reaches what only this machine or its network may.

A name is resolved once, every answer must be public, and the connection goes to an address that was checked: a name
that answers otherwise a moment later changes nothing. Only HTTPS, and only its own port where the caller does not say
otherwise, unless the operator's list of networks covers the address. No redirect is followed, no proxy variable read,
no body unpacked; 64 KiB of answer are read at most, and everything together has 15 seconds.
"""

import asyncio
import functools
import os
import re
import ssl
from collections.abc import Mapping, Sequence

from trunkline.egress import dialling, names, urls
from trunkline.egress.answers import Answer, Exchange
from trunkline.egress.errors import NoAnswer, UrlRefused
from trunkline.egress.names import Resolve
from trunkline.egress.public import Address, Network, is_public, networks
from trunkline.egress.urls import Target

__all__ = [
    "Address",
    "Answer",
    "Network",
    "NoAnswer",
    "Resolve",
    "UrlRefused",
    "check",
    "fetch",
    "is_public",
    "networks",
    "reason",
]

SECONDS = 15.0  # for everything: name, connection, TLS, request, answer
ADDRESS_SECONDS = 5.0  # for one address, where a name has several
CHECK_SECONDS = 3.0  # for a name that is only looked up

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


async def fetch(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    allow: Sequence[Network] = (),
    any_port: bool = False,
    seconds: float = SECONDS,
    body_seconds: float | None = None,
    resolve: Resolve = names.of_system,
) -> Answer:
    """One request and its answer, whatever its status. Raises UrlRefused and NoAnswer.

    ``allow``: the networks of the operator's own that may be dialled besides, over HTTP and on any port too.
    ``any_port``: public addresses may be asked on other ports than 443, over HTTPS as ever. ``body_seconds``: of these
    seconds, how many the answer's body may take. ``resolve``: who looks names up; see ``names``.
    """
    target = urls.read(url)
    request = _request(method, target, headers or {}, body)
    exchange: Exchange | None = None
    address: Address | None = None
    try:
        async with asyncio.timeout(seconds) as deadline:
            addresses = await _addresses(target, resolve)
            _check(target, addresses, allow, any_port)
            exchange, address = await dialling.dial(
                Exchange,
                target.host,
                target.port,
                addresses,
                tls=_trust() if target.secure else None,
                seconds=ADDRESS_SECONDS,
            )
            await exchange.ask(request)
        left = (deadline.when() or 0) - asyncio.get_running_loop().time()
        return await exchange.answer(str(address), left if body_seconds is None else min(left, body_seconds))
    except (OSError, NoAnswer) as error:
        if address is not None:  # which connects, and does not answer
            dialling.avoid(target.host, target.port, address)
        if isinstance(error, NoAnswer):
            raise
        if isinstance(error, TimeoutError):
            raise NoAnswer(f"There was no whole answer within {seconds:g} seconds.") from None
        raise NoAnswer(f"The connection failed: {reason(error)}.") from None
    finally:
        if exchange is not None:
            exchange.transport.abort()  # a goodbye would be one more wait for the other side


async def check(url: str, *, allow: Sequence[Network] = (), resolve: Resolve = names.of_system) -> None:
    """Raises UrlRefused for what ``fetch`` with ``any_port`` would not dial; nothing is dialled here.

    A name that cannot be resolved at the moment passes: whether it leads astray is seen each time it is dialled.
    """
    target = urls.read(url)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            addresses = await _addresses(target, resolve)
    except (TimeoutError, NoAnswer):
        addresses = []
    _check(target, addresses, allow, any_port=True)


async def _addresses(target: Target, resolve: Resolve) -> Sequence[Address]:
    return await resolve(target.host) if target.address is None else [target.address]


def _check(target: Target, addresses: Sequence[Address], allow: Sequence[Network], any_port: bool) -> None:
    """An address that is nobody's yet (none resolved) is taken for a public one, unless it may be the operator's."""
    for address in addresses:
        if any(address in network for network in allow):
            continue
        if not is_public(address):
            raise UrlRefused("The URL leads to an address that is not public.", field="url")
        if not target.secure or (target.port != 443 and not any_port):
            raise UrlRefused("The URL is not https://" + ("." if any_port else " on port 443."), field="url")
    if not addresses and not target.secure and not allow:
        raise UrlRefused("The URL is not https://.", field="url")


@functools.cache
def _trust() -> ssl.SSLContext:
    """The system's certificates, or those that SSL_CERT_FILE names."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _request(method: str, target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    """Raises UrlRefused for a header that would be more than one."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    if target.port != (443 if target.secure else 80):
        host += f":{target.port}"
    lines = {"Host": host, "Connection": "close", "User-Agent": "Trunkline", "Accept-Encoding": "identity", **headers}
    if body or method != "GET":
        lines["Content-Length"] = str(len(body))
    for name, value in lines.items():
        if not _HEADER.fullmatch(name) or not _VALUE.fullmatch(value):
            raise UrlRefused(f"The header {name!r} cannot be sent.", field="headers")
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target.path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def reason(error: Exception) -> str:
    """What is wrong with a connection, as a part of a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason}"
    if isinstance(error, OSError) and (error.errno or 0) > 0:  # else a resolver's own numbers
        return os.strerror(error.errno or 0)
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
