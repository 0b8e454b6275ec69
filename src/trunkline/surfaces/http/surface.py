"""A surface: one protocol of clients as an adapter of the engine; what differs between two of them and nothing else.

The engine does sockets, limits, deadlines, idempotency and streams for all. A surface says where it stands, how callers
prove who they are, how bodies are read, what answers stand in, and how errors look. As it is written here it speaks the
house's own JSON: keys as bearer tokens (RFC 6750), an envelope, errors by RFC 9457. Another one overrides what differs.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from trunkline import ids
from trunkline.errors import InvalidRequest, TrunklineError
from trunkline.paging import Page
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.problems import ContentCodingUnknown, UnsupportedMediaType
from trunkline.surfaces.http.route import Route


class Surface:
    """A table of routes below ``base``, and how they are spoken to."""

    media = wire.JSON  # of its answers, but for streams
    challenge = b'Bearer realm="trunkline"'  # WWW-Authenticate (RFC 9110 §11.6.1)
    advice = "Send your API key as «Authorization: Bearer KEY»."
    signed = False  # its callers are other systems, without keys: a handler gets a Callback, and proves the signature
    enveloped = True  # an answer stands in an envelope, as the document shows it
    headers: tuple[str, ...] = ()  # that its callers send besides, by the names of the document's parameters

    def __init__(self, base: str, routes: Iterable[Route]) -> None:
        self.base = base
        self.routes = list(routes)

    def secret(self, asked: Mapping[bytes, bytes]) -> str:
        """The API key that a request carries; empty: none."""
        scheme, _, secret = asked.get(b"authorization", b"").decode("latin-1").partition(" ")
        return secret if scheme == "Bearer" or scheme.lower() == "bearer" else ""

    def body(self, route: Route, raw: bytes, asked: Mapping[bytes, bytes]) -> Any:
        """The struct of a route's body. Raises InvalidRequest and its heirs, UnsupportedMediaType."""
        if route.body is None:
            if raw.strip() not in (b"", b"{}"):  # which many clients send where there is nothing to say
                raise InvalidRequest("This path takes no body.")
            return None
        if not raw and route.may_be_empty:
            return wire.read_body(b"{}", route.body)
        if asked.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
            raise ContentCodingUnknown("Send the body as it is, without a Content-Encoding.")
        self.check_kind(asked.get(b"content-type", self.media).split(b";")[0].strip().lower())
        return self.decoded(route, raw)

    def check_kind(self, kind: bytes) -> None:
        """Raises UnsupportedMediaType for a body of another kind than this surface reads."""
        if kind != wire.JSON:
            raise UnsupportedMediaType("Send the body as application/json.")

    def decoded(self, route: Route, raw: bytes) -> Any:
        return wire.read_body(raw, route.body)

    def rendered(self, route: Route, result: Any) -> bytes:
        """What a handler returned, as it is sent."""
        if route.is_list:
            assert isinstance(result, Page)
            return wire.page(result.data, ids.cursor(result.next_before) if result.next_before is not None else None)
        return wire.success(result)

    def problem(self, error: TrunklineError, request_id: str) -> tuple[bytes, bytes]:
        """An error's content type and body."""
        return wire.PROBLEM, wire.problem(error, request_id)
