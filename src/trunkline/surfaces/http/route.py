"""What the API offers, one typed line for each route: the server runs it, and OpenAPI is derived from it."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from trunkline import ids, paging
from trunkline.accounts.bulkheads import Share
from trunkline.accounts.keys import Key
from trunkline.audit.acts import Actor
from trunkline.errors import TrunklineError
from trunkline.storage.database import Querier

EVENT_STREAM = "text/event-stream"


@dataclasses.dataclass(slots=True)
class Call:
    """One request, checked: who calls, with what, and the connection on which its effect is to be."""

    key: Key
    connection: Querier  # the database, or the transaction in which an idempotent answer is recorded with its effect
    path: Mapping[str, str]  # the values of {names} in the route's path
    query: Any  # the route's query struct
    body: Any  # the route's body struct
    address: str  # the caller's, as trusted proxies tell it
    request_id: str
    idempotency_key: str | None = None  # of a route that asks outside
    last_event_id: str | None = None  # of a route that streams events: the header
    checked: Any = None  # what the route's check_first brought
    after_commit: Callable[[], None] | None = None  # what the handler leaves to be done once its effect is for good

    @property
    def actor(self) -> Actor:
        """The caller, for the audit."""
        return Actor(f"key:{self.key.key_id}", self.key.account_id, self.key.test, self.address, self.request_id)


@dataclasses.dataclass(frozen=True, slots=True)
class Callback:
    """What another system tells (a webhook that comes in), as it came: its signature is for the handler to prove."""

    headers: Mapping[bytes, bytes]
    body: bytes
    address: str
    request_id: str


class PageQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The query of a list; a list with filters adds them."""

    limit: Annotated[int, Meta(ge=1, le=100, description="Rows in a page.")] = 25
    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] | None = None

    @property
    def before(self) -> int:
        """The position that the cursor stands for. Raises InvalidRequest where it is none of ours."""
        return ids.from_cursor(self.cursor) if self.cursor is not None else paging.NEWEST


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """What a public, cacheable handler returns: bytes made once, and how they may be cached."""

    body: bytes
    etag: str
    max_age_seconds: int

    def is_known(self, if_none_match: bytes) -> bool:
        """Whether the caller's copy is still good (RFC 9110 §13.1.2)."""
        tags = [tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")]
        return if_none_match == b"*" or self.etag.encode() in tags


@dataclasses.dataclass(frozen=True, slots=True)
class Stream:
    """What a handler of a long answer returns: bytes as they come, sent as fast as the caller reads them."""

    content_type: str
    chunks: AsyncGenerator[bytes, None]
    file_name: str | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()
    deadline: asyncio.Timeout = dataclasses.field(default_factory=lambda: asyncio.timeout(None))  # moved up, it ends
    closed: Callable[[], None] = lambda: None  # called once, however it ends, also where none of it was sent

    def and_then(self, closed: Callable[[], None]) -> "Stream":
        """The same, with something more to be done when it is closed."""

        def both() -> None:
            try:
                self.closed()
            finally:
                closed()

        return dataclasses.replace(self, closed=both)


class EndOfStream:
    """What a handler of a stream returns where nothing more will come: 204, which tells a client to stop asking."""


END_OF_STREAM = EndOfStream()


Handler = Callable[[Any], Awaitable[Any]]
"""Takes a Call; on a public route its query struct, and answers with a Document; on a signed surface a Callback.

An error that it raises takes back what it did; one that it returns is told once that is committed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A line of the table. ``scope`` None: public, no key and no limit. ``answer``: the type of ``data``."""

    method: str
    path: str  # below the base of its surface, with {names}
    scope: str | None
    handler: Handler
    summary: str
    description: str = ""
    tag: str
    answer: Any
    query: type[Any] | None = None
    body: type[Any] | None = None
    is_list: bool = False
    idempotent: bool = False  # honours Idempotency-Key
    repeatable: bool = False  # by nature: its answer is made again, not recorded, because it holds texts
    shows_secret: bool = False  # in its answer; the record of it for an Idempotency-Key is sealed
    live_only: bool = False  # what it changes is for live leases alone: a test key may not
    transacts: bool = False  # its handler runs several statements that are one change
    check_first: "Callable[[Call], Awaitable[Any]] | None" = None  # looks outside before a transaction is open
    asks_outside: bool = False  # so no transaction is open around its handler, which does nothing twice by itself
    cached: Callable[[Key, str], bytes | None] | None = None  # the body, where it is there already for what is named
    content_type: str = "application/json"  # of the answer; another one: the handler returns a Stream
    may_end: bool = False  # of a stream: its handler may return END_OF_STREAM
    share: Share | None = (
        "work"  # which places of its account a call takes; None: what it reads is read for many at once
    )
    weight: Callable[[Any], int] | None = None  # how many places a call takes, by its body; None: one
    errors: tuple[type[TrunklineError], ...] = ()

    @property
    def streams_events(self) -> bool:
        return self.content_type == EVENT_STREAM

    @property
    def may_be_empty(self) -> bool:
        """Whether a request without a body says all that its struct needs."""
        return self.body is not None and not any(field.required for field in msgspec.structs.fields(self.body))
