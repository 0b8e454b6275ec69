"""The ASGI application of all surfaces: finds the route, knows the caller, counts the request, runs it, answers.

Written against ASGI itself (docs/decisions/0004): the table of typed routes is ours, and what a framework would add
between it and the socket would cost more than the handlers do.
"""

import contextlib
import dataclasses
import hashlib
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from trunkline import ids, logs, metrics, refusals
from trunkline.accounts.bulkheads import Bulkheads, Share
from trunkline.accounts.keys import FRESH_SECONDS, Keyring
from trunkline.accounts.limits import Limiter
from trunkline.accounts.shared_limits import SharedLimiter
from trunkline.errors import (
    Forbidden,
    InvalidSignature,
    NotFound,
    RateLimited,
    TrunklineError,
)
from trunkline.storage.database import Database, Querier
from trunkline.surfaces.http import bodies, idempotency, probes, responses, streaming, wire
from trunkline.surfaces.http.addresses import Addresses
from trunkline.surfaces.http.callers import Callers, Headers
from trunkline.surfaces.http.documents import document
from trunkline.surfaces.http.holds import Holds
from trunkline.surfaces.http.problems import MethodNotAllowed, PathTooLong
from trunkline.surfaces.http.responses import Response
from trunkline.surfaces.http.route import END_OF_STREAM, Call, Callback, Document, Route, Stream
from trunkline.surfaces.http.router import Paths
from trunkline.surfaces.http.strangers import Strangers
from trunkline.surfaces.http.streaming import Receive, Send
from trunkline.surfaces.http.surface import Surface

log = logging.getLogger("trunkline.api")

LONGEST_PATH = 8 * 1024
SLOW_SECONDS = 1.0  # from when on a request gets a line in the log

Scope = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Came:
    """A request as it came, before it is known whose."""

    method: str
    path: str
    query: bytes
    asked: Mapping[bytes, bytes]  # its header fields
    address: str
    request: logs.Request


class Application:
    """Serves surfaces, and files (the documentation) beside them; the first speaks where no other one does."""

    def __init__(
        self,
        surfaces: Sequence[Surface],
        *,
        database: Database,
        keyring: Keyring,
        limiter: Limiter | SharedLimiter,
        addresses: Addresses,
        appeal: str,
        files: Mapping[str, tuple[bytes, bytes]],
        probes: probes.Probes | None = None,
        strangers: Strangers | None = None,
        bulkheads: Bulkheads | None = None,
    ) -> None:
        self._database = database
        self._bulkheads = bulkheads or Bulkheads(concurrency=sys.maxsize, held=sys.maxsize)
        self._strangers = strangers or Strangers(0)
        self._callers = Callers(keyring, limiter, self._strangers, appeal)
        self._holds = Holds(database, self._callers.refusal)
        self._addresses = addresses
        self._files = {path: (kind, document(body, 0)) for path, (kind, body) in files.items()}
        self._probes = probes
        self._paths = Paths(surfaces)
        self.refusals = refusals.Refusals(log)

    def cached(self, scope: Scope) -> tuple[Headers, bytes] | None:
        """Headers and body of a success that is known without a wait; None: ask the application as usual.

        Most polls are answered here, before there is a task (docs/decisions/0016).
        """
        if scope["query_string"] or scope["method"] != "GET":
            return None
        before, _, last = scope["path"].rpartition("/")
        found = self._paths.cached.get(before)
        if found is None:
            return None
        surface, route = found
        assert route.scope is not None
        assert route.cached is not None
        started = time.perf_counter()
        secret = surface.secret(dict(scope["headers"]))
        key = self._callers.recognise(route.scope, secret, self._addresses.of(scope["client"], scope["headers"]))
        body = route.cached(key, last) if key is not None else None
        headers: Headers = []
        if key is None or body is None or not self._callers.count(key, headers):
            return None
        headers += (
            *responses.PRIVATE,
            (b"x-request-id", ids.request_id().encode()),
            (b"content-type", surface.media),
            (b"content-length", b"%d" % len(body)),
        )
        metrics.request_ended(route.path, "GET", 200, time.perf_counter() - started)
        return headers, body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = ids.request_id()
        request = logs.begin(request_id, metrics.UNMATCHED)
        started = time.perf_counter()
        head = scope["method"] == "HEAD"
        headers: Headers = []
        try:
            status, content_type, body, more = await self._respond(scope, receive, headers, request)
        except bodies.Disconnected:
            metrics.request_ended(request.route, scope["method"], 499, None)
            return
        headers += more
        _note(request, scope["method"], status, time.perf_counter() - started)
        headers.append((b"x-request-id", request_id.encode()))
        if isinstance(body, Stream):
            headers.append((b"content-type", content_type))
            metrics.STREAMS.add(1)
            try:
                abort = scope.get("extensions", {}).get(streaming.ABORT)
                await streaming.send_stream(receive, send, status, headers, body, head=head, abort=abort)
            finally:
                metrics.STREAMS.add(-1)
            logs.end(request)
            return
        if status not in (204, 304):
            headers += (b"content-type", content_type), (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else body})
        logs.end(request)

    async def _respond(self, scope: Scope, receive: Receive, headers: Headers, request: logs.Request) -> Response:
        """What a surface or the server itself answers; an error becomes a problem in the words of its surface."""
        surface: Surface | None = None
        try:
            if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_PATH:
                raise PathTooLong(f"A path and its query have at most {LONGEST_PATH} bytes.")
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            came = Came(
                method, scope["path"], scope["query_string"], dict(scope["headers"]),
                self._addresses.of(scope["client"], scope["headers"]), request,
            )  # fmt: skip
            own = await self._own(came, scope, headers)
            if own is not None:
                return own
            try:
                surface, route, values = self._paths.find(method, came.path)
            except (NotFound, MethodNotAllowed):
                await self._strangers.admit(came.address, headers)
                raise
            request.route = route.path
            if surface.signed:
                return await self._callback(surface, route, receive, came)
            if route.scope is None:
                await self._strangers.admit(came.address, headers)
                return await self._public(surface, route, came)
            return await self._called(surface, route, values, receive, came, headers)
        except bodies.Disconnected:
            raise
        except TrunklineError as error:
            if error.status in (401, 403):
                address = self._addresses.of(scope["client"], scope["headers"])
                self.refusals.note(address, f"{error.status} {error.code}")
            return self._refused(surface, scope, error, headers, request.request_id)
        except Exception:
            log.exception("the request failed")
            crash = TrunklineError("Something went wrong on our side; the request id names it in the log.")
            return self._refused(surface, scope, crash, headers, request.request_id)

    def _refused(
        self, surface: Surface | None, scope: Scope, error: TrunklineError, sent: Headers, request_id: str
    ) -> Response:
        _count(error)
        surface = surface or self._paths.surface_at(scope["path"])
        content_type, body = surface.problem(error, request_id)
        more = [*responses.of_an_error(error, sent, surface.challenge), *responses.PRIVATE]
        return Response(error.status, content_type, body, more)

    async def _own(self, came: Came, scope: Scope, headers: Headers) -> Response | None:
        """What is no surface's: files, and the probes of whoever runs the server."""
        file = self._files.get(came.path)
        if file is not None and came.method == "GET":
            came.request.route = came.path
            await self._strangers.admit(came.address, headers)
            return responses.unless_known(file[0], file[1], came.asked, responses.OF_A_FILE)
        if came.path in probes.PATHS and self._probes is not None:
            await self._strangers.slow_probes(came.address)
            return await self._probe(self._probes, came.method, came.path, scope, came.request)
        return None

    async def _called(
        self,
        surface: Surface,
        route: Route,
        values: Mapping[str, str],
        receive: Receive,
        came: Came,
        headers: Headers,
    ) -> Response:
        """A call with a key: admitted, read whole, in its account's share, run."""
        assert route.scope is not None
        secret, request = surface.secret(came.asked), came.request
        key = await self._callers.admit(route.scope, secret, surface.advice, came.address, headers)
        admitted = time.monotonic()
        request.key_id = key.key_id
        if route.cached is not None and not came.query:
            known = route.cached(key, next(iter(values.values())))
            if known is not None:
                return Response(200, surface.media, known, responses.PRIVATE)
        raw = await bodies.whole(receive, came.asked) if came.method != "GET" else b""
        if time.monotonic() - admitted > FRESH_SECONDS:  # a body may take its time, and a key may end meanwhile
            key = await self._callers.still(route.scope, secret, came.address)
        query = wire.read_query(came.query, route.query)
        request.held = bool(getattr(query, "wait", 0))
        body = surface.body(route, raw, came.asked)
        call = Call(key, self._database, values, query, body, came.address, request.request_id)
        if route.streams_events and b"last-event-id" in came.asked:
            call.last_event_id = came.asked[b"last-event-id"].decode("latin-1")
        if route.check_first is not None:
            with contextlib.ExitStack() as place:
                place.callback(await self._bulkheads.enter("outside", key.account_id))
                call.checked = await route.check_first(call)
        claim = None
        if route.idempotent and b"idempotency-key" in came.asked:
            claim = idempotency.claim(
                key,
                came.asked[b"idempotency-key"],
                hashlib.sha256(b"\0".join((came.method.encode(), came.path.encode(), raw))).digest(),
                sealed_under=secret.strip().encode("latin-1") if route.shows_secret else None,
            )
        share: Share | None = "held" if request.held else route.share
        if share is None:
            return await self._run(surface, route, call, claim, held=request.held)
        with contextlib.ExitStack() as place:
            weight = route.weight(body) if route.weight else 1
            place.callback(await self._bulkheads.enter(share, key.account_id, weight))
            if time.monotonic() - admitted > FRESH_SECONDS:  # so may a turn
                await self._callers.still(route.scope, secret, came.address)
            answer = await self._run(surface, route, call, claim, held=request.held)
            if isinstance(answer.body, Stream):  # which has its place until it ends
                answer = answer._replace(body=answer.body.and_then(place.pop_all().close))
            return answer

    async def _run(
        self, surface: Surface, route: Route, call: Call, claim: idempotency.Claim | None, *, held: bool
    ) -> Response:
        assert route.scope is not None
        if route.live_only and call.key.test:
            raise Forbidden("A test key cannot change this: it is for live leases. Use a live key.")
        answer: Response | TrunklineError
        if claim is not None:
            answer = await (self._once_outside if route.asks_outside else self._once)(surface, route, call, claim)
        elif route.transacts:
            answer = await self._database.transact(lambda connection: self._handle(surface, route, call, connection))
        elif held:
            async with self._holds.over(call.key, route.scope, call.address):
                answer = await self._handle(surface, route, call, self._database)
        else:
            answer = await self._handle(surface, route, call, self._database)
        if isinstance(answer, TrunklineError):
            if call.after_commit is not None:
                call.after_commit()
            raise answer
        if isinstance(answer.body, Stream):
            answer = answer._replace(body=self._holds.follow(call.key, route.scope, call.address, answer.body))
        if call.after_commit is not None:
            call.after_commit()
        return answer

    async def _probe(
        self, asked: probes.Probes, method: str, path: str, scope: Scope, request: logs.Request
    ) -> Response:
        address = self._addresses.vouched(scope["client"], scope["headers"])
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        status, content_type, body = await asked.answer(path, method, address, accept)
        request.route = path
        again = [responses.soon()] if status == 503 else []
        return Response(status, content_type, body, [*responses.PRIVATE, *again])

    async def _handle(
        self, surface: Surface, route: Route, call: Call, connection: Querier
    ) -> Response | TrunklineError:
        """An error that a handler returns, instead of raising it, has an effect that is to be kept."""
        call.connection = connection
        answer = await route.handler(call)
        if isinstance(answer, TrunklineError):
            return answer
        if isinstance(answer, Stream):
            return Response(200, answer.content_type.encode(), answer, responses.PRIVATE)
        if answer is END_OF_STREAM:
            return Response(204, b"", b"", responses.PRIVATE)
        return Response(200, surface.media, surface.rendered(route, answer), responses.PRIVATE)

    async def _callback(self, surface: Surface, route: Route, receive: Receive, came: Came) -> Response:
        """What another system tells; an address whose signatures are wrong is slowed."""
        wire.read_query(came.query, None)
        await self._strangers.slow_failures(came.address)
        raw = await bodies.whole(receive, came.asked)
        wire.check_escapes(raw)
        told = Callback(came.asked, raw, came.address, came.request.request_id)
        try:
            return Response(200, surface.media, surface.rendered(route, await route.handler(told)), responses.PRIVATE)
        except InvalidSignature:
            self._strangers.failed(came.address)
            raise

    async def _public(self, surface: Surface, route: Route, came: Came) -> Response:
        found: Document = await route.handler(wire.read_query(came.query, route.query))
        caching = [(b"cache-control", b"public, max-age=%d" % found.max_age_seconds), responses.NOSNIFF]
        return responses.unless_known(surface.media, found, came.asked, caching)

    async def _once(
        self, surface: Surface, route: Route, call: Call, claim: idempotency.Claim
    ) -> Response | TrunklineError:
        """The effect and the record of its answer, in one transaction; or the first answer again."""

        async def once(connection: Querier) -> Response | TrunklineError:
            call.after_commit = None  # of an attempt that lost a race
            earlier = await idempotency.take(connection, claim)
            replayed = (
                [*responses.PRIVATE, (b"idempotent-replayed", b"true")] if earlier is not None else responses.PRIVATE
            )
            if earlier is not None and not route.repeatable:
                return Response(200, surface.media, earlier, replayed)
            call.connection = connection
            result = await route.handler(call)
            if isinstance(result, TrunklineError):
                return result
            rendered = surface.rendered(route, result)
            if earlier is None:
                await idempotency.record(connection, claim, b"" if route.repeatable else rendered)
            return Response(200, surface.media, rendered, replayed)

        return await self._database.transact(once)

    async def _once_outside(self, surface: Surface, route: Route, call: Call, claim: idempotency.Claim) -> Response:
        """As ``_once``, with no transaction open around a handler that asks somebody outside.

        Until its answer is recorded, it is the handler that does nothing twice, by the key.
        """

        async def claimed(connection: Querier, rendered: bytes | None) -> bytes | None:
            earlier = await idempotency.take(connection, claim)
            if earlier is None and rendered is not None:
                await idempotency.record(connection, claim, rendered)
            return earlier

        earlier = await self._database.transact(lambda connection: claimed(connection, None))
        if earlier is None:
            call.idempotency_key = claim.key
            rendered = surface.rendered(route, await route.handler(call))
            earlier = await self._database.transact(lambda connection: claimed(connection, rendered))
            if earlier is None:  # nobody else with this key was faster
                return Response(200, surface.media, rendered, responses.PRIVATE)
        return Response(200, surface.media, earlier, [*responses.PRIVATE, (b"idempotent-replayed", b"true")])


def _count(error: TrunklineError) -> None:
    if error.status >= 500:
        metrics.HTTP_ERRORS.add(1, error.code)
    elif isinstance(error, RateLimited):
        metrics.HTTP_REFUSED.add(1, error.code)
    elif error.status in (401, 403):
        metrics.HTTP_DENIED.add(1, error.code)


def _note(request: logs.Request, method: str, status: int, seconds: float) -> None:
    """Counts a request, and writes a line about one that failed on our side or took long without being asked to."""
    metrics.request_ended(request.route, method, status, None if request.held else seconds)
    is_remarkable = status >= 500 or (seconds > SLOW_SECONDS and not request.held)
    if is_remarkable and request.route not in probes.PATHS:
        key_id = str(request.key_id) if request.key_id is not None else None
        facts = {
            "method": method,
            "route": request.route,
            "status": status,
            "ms": round(seconds * 1000),
            "key_id": key_id,
        }
        by = f"key {key_id}" if key_id else "no key"
        log.warning("%s %s: %d after %d ms, %s", method, request.route, status, facts["ms"], by, extra={"facts": facts})
