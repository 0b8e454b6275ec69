"""Texts on their way in: put together, read, matched, and committed in groups before their carrier hears yes.

A commit costs one wait for the disk, however many texts it holds, so the texts that come while one group is being
committed make up the next. A number's texts always go through the same lane, which keeps them in order; two lanes let
one be read and matched while the other is on disk.
"""

import asyncio
import dataclasses
import datetime
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from trunkline import metrics, phone
from trunkline.activations import long_texts
from trunkline.activations.matching import Candidate, Match, Senders, match
from trunkline.activations.repeats import Repeats
from trunkline.carriers import alphabets
from trunkline.carriers.carrier import SIMULATED, Identity, InboundText, StoreAway
from trunkline.catalog import recipients
from trunkline.catalog.prices import Catalog, Snapshot
from trunkline.catalog.recipients import Found
from trunkline.codes import Brands, extract
from trunkline.errors import Unavailable
from trunkline.storage.database import Database, Querier
from trunkline.storage.queries import bind, queries
from trunkline.storage.vault import Vault

SQL = queries(__package__)
log = logging.getLogger("trunkline.inbox")

LANES = 2
LONGEST_TEXT = 20_000  # characters kept; the longest text that 255 parts can carry is 39,015
ALWAYS = "{(,)}"  # a multirange of times


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a text: delivered, repeated, late, unmatched, or kept as a part of one that is not whole."""

    what: str
    activation_id: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class _Text:
    """A whole text, read."""

    carrier: str
    sender: str
    recipient: str
    body: str
    activation_id: int | None = None  # the one lease that it is for; None: matching decides
    identity: Identity | None = None
    began_at: datetime.datetime | None = None  # when its first part came: it is for no lease that began later
    incomplete: bool = False
    others: tuple[str, ...] = ()  # as InboundText has them
    written: str = ""
    local: bool = False
    machine: str | None = None  # why it is for no person; no lease gets it

    @property
    def legible(self) -> str:
        """What a code may be read from."""
        if self.machine is not None:
            return ""
        return long_texts.legible(self.body) if self.incomplete else self.body


class _Reader:
    """What reading needs of the catalog, made anew when its services change."""

    def __init__(self, catalog: Snapshot) -> None:
        self.services = catalog.by_id
        self.brands = Brands(
            (service.slug, service.name, service.domain or "", service.aliases)
            for service in catalog.services.values()
            if service.service_id
        )
        self.senders = Senders({slug: service.senders for slug, service in catalog.services.items()}, self.brands)


class Inbox:
    """Takes texts from any carrier; ``put`` is the ``deliver`` that carriers are given."""

    def __init__(
        self,
        database: Database,
        catalog: Catalog,
        *,
        group_size: int = 256,
        backlog: int = 10_000,
        retention_days: int = 1,
        part_wait_seconds: float = 300,
        secret: bytes = b"",
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._vault = Vault()
        self.secret = secret  # with which is hashed what erased texts are known by
        self._repeats = Repeats(secret)
        self._part_wait_seconds = part_wait_seconds
        self._retention_days = retention_days  # of texts that are nobody's; a lease has its own
        self._reader: _Reader | None = None
        self._preparing = asyncio.Lock()
        self._follower: Callable[[Iterable[int]], None] = _nobody
        self._group_size = group_size
        self._backlog = backlog
        self._lanes: list[deque[tuple[InboundText, asyncio.Future[None]]]] = [deque() for _ in range(LANES)]
        self._running: list[asyncio.Task[None] | None] = [None] * LANES

    def follow(self, follower: Callable[[Iterable[int]], None]) -> None:
        """Lets somebody in this process know at once which leases got a text that is committed."""
        self._follower = follower

    @property
    def waiting(self) -> int:
        """Texts that wait for their commit."""
        return sum(map(len, self._lanes))

    def put(self, text: InboundText) -> "asyncio.Future[None]":
        """The future is done once the text is committed; it raises StoreAway where the carrier must send it again."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        lane = hash(text.recipient) % LANES
        queue = self._lanes[lane]
        if len(queue) >= self._backlog:
            metrics.TEXTS.add(1, text.carrier, "put_off")
            done.set_exception(StoreAway("More texts are waiting for a commit than may."))
            return done
        queue.append((text, done))
        if self._running[lane] is None:
            self._running[lane] = loop.create_task(self._run(lane))
        return done

    async def _run(self, lane: int) -> None:
        queue = self._lanes[lane]
        try:
            await asyncio.sleep(0)  # what the same read of the socket brought goes into one group
            while queue:
                group = [queue.popleft() for _ in range(min(len(queue), self._group_size))]
                await self._commit([text for text, _ in group], [done for _, done in group])
        finally:
            self._running[lane] = None

    async def _commit(self, texts: list[InboundText], futures: "list[asyncio.Future[None]]") -> None:
        try:
            await self.receive(texts)
        except Exception as error:
            if len(texts) > 1 and not isinstance(error, Unavailable):
                # one text that cannot be stored must not hold up its neighbours
                for text, future in zip(texts, futures, strict=True):
                    await self._commit([text], [future])
                return
            if not isinstance(error, Unavailable):
                # the kind of error alone: the database's words may hold the text
                to, kind = phone.mask(texts[0].recipient), type(error).__name__
                log.error("a text from %s to %s cannot be stored: %s", texts[0].carrier, to, kind)
            for text in texts:
                metrics.TEXTS.add(1, text.carrier, "put_off")
            for future in futures:
                if not future.done():
                    future.set_exception(StoreAway("The text cannot be stored now."))
            return
        for future in futures:
            if not future.done():
                future.set_result(None)

    async def receive(self, texts: Sequence[InboundText]) -> list[Outcome]:
        """Stores texts in one transaction; what became of each. Raises Unavailable where the database is away."""
        reader = await self._current_reader()
        if all(text.part is None for text in texts):
            outcomes = await self._store(self._database, reader, [_read(text) for text in texts])
        else:
            async with self._database.transaction() as connection:
                whole = [await self._assembled(connection, text) for text in texts]
                stored = iter(await self._store(connection, reader, [text for text in whole if text is not None]))
                outcomes = [next(stored) if text is not None else Outcome("part", None) for text in whole]
        for text, outcome in zip(texts, outcomes, strict=True):
            metrics.TEXTS.add(1, text.carrier, outcome.what if text.machine is None else "machine")
        self._follower({outcome.activation_id for outcome in outcomes if outcome.activation_id is not None})
        return outcomes

    async def give_incomplete(self) -> int:
        """Gives the long texts whose missing parts do not come to their leases; how many. Raises Unavailable.

        Each in a transaction of its own; several processes pass each other by.
        """
        given = 0
        reader = await self._current_reader()
        while True:
            async with self._database.transaction() as connection:
                rows = await connection.fetch(SQL.incomplete_text, self._part_wait_seconds)
                if not rows:
                    return given
                first = rows[0]
                text = _Text(
                    first["carrier"],
                    first["sender"],
                    first["recipient"],
                    _kept(long_texts.joined(rows, first["total"])),
                    began_at=first["began_at"],
                    incomplete=len(rows) < first["total"],
                )
                [outcome] = await self._store(connection, reader, [text])
            metrics.TEXTS.add(1, text.carrier, "incomplete" if text.incomplete else outcome.what)
            if outcome.activation_id is not None:
                self._follower([outcome.activation_id])
            given += 1

    async def _current_reader(self) -> _Reader:
        catalog = await self._catalog.snapshot()
        if self._reader is None or self._reader.services is not catalog.by_id:
            async with self._preparing:
                if self._reader is None or self._reader.services is not catalog.by_id:
                    # thousands of names take a while, in which polls are to be answered
                    self._reader = await asyncio.to_thread(_Reader, catalog)
        return self._reader

    async def _store(self, connection: Querier, reader: _Reader, texts: Sequence[_Text]) -> list[Outcome]:
        if not texts:
            return []
        numbers: dict[str, int] = {}
        simulated: set[str] = set()
        frozen: set[str] = set()
        leases: dict[str, list[Candidate]] = {}
        began: dict[int, datetime.datetime] = {}
        kept: dict[int | None, tuple[datetime.date | None, int]] = {None: (None, self._retention_days)}
        rows = await connection.fetch(SQL.candidates, list({text.recipient for text in texts}))
        meant = await recipients.elsewhere(connection, texts, {row["e164"]: row["carrier"] for row in rows})
        if meant:
            texts = [_addressed(text, meant.get(place)) for place, text in enumerate(texts)]
            rows = await connection.fetch(SQL.candidates, list({text.recipient for text in texts}))
        for row in rows:
            numbers[row["e164"]] = row["number_id"]
            if row["carrier"] == SIMULATED:
                simulated.add(row["e164"])
            if row["frozen"]:
                frozen.add(row["e164"])
            service = reader.services.get(row["service_id"])
            if service is not None:
                leases.setdefault(row["e164"], []).append(
                    Candidate(
                        row["activation_id"], service, row["sender_filter"], row["contains_filter"], row["named_only"]
                    )
                )
                kept[row["activation_id"]] = (row["day"], row["retain_days"])
                began[row["activation_id"]] = row["created_at"]
        matches, codes = [], []
        for text in texts:
            found = extract(text.legible, reader.brands)
            codes.append(found.code)
            if text.machine is not None:
                matches.append(Match(None, text.machine))
            elif text.recipient not in numbers:
                matches.append(Match(None, "the number is not in the pool"))
            elif text.recipient in frozen:
                matches.append(Match(None, "the number is frozen"))
            elif (text.carrier == SIMULATED) != (text.recipient in simulated):
                matches.append(Match(None, "simulated and real numbers do not reach each other"))
            else:
                sent_by = reader.senders.service(text.sender)
                live = [
                    lease
                    for lease in leases.get(text.recipient, ())
                    if text.activation_id in (None, lease.activation_id)
                    and (text.began_at is None or began[lease.activation_id] <= text.began_at)
                ]
                matches.append(match(text.body, text.sender, found.services, sent_by, live, signed=found.signed))
        days = [kept[matched.activation_id] for matched in matches]
        keys = [await self._vault.key(connection, *each) for each in days]
        hasher = await self._repeats.hasher(connection)
        known = [hasher.fingerprints(text.carrier, text.sender, text.recipient, text.body) for text in texts]
        rows = await connection.fetch(
            *bind(
                SQL.receive,
                numbers=[numbers.get(text.recipient) for text in texts],
                activations=[matched.activation_id for matched in matches],
                carriers=[text.carrier for text in texts],
                senders=[text.sender for text in texts],
                recipients=[text.recipient for text in texts],
                reasons=[matched.reason for matched in matches],
                fingerprints=[each.new for each in known],
                elders=[each.elder for each in known],
                erased=[each.erased for each in known],
                elders_erased=[each.elder_erased for each in known],
                sessions=[text.identity and text.identity.session for text in texts],
                identities=[text.identity and text.identity.name for text in texts],
                doubtful=[_doubtful(text.identity) for text in texts],
                incomplete=[text.incomplete for text in texts],
                sealed=[key.seal(text.body, code) for text, code, key in zip(texts, codes, keys, strict=True)],
                keys=[key.key_id for key in keys],
                days=[retained for _, retained in days],
            ),
        )
        outcomes = [Outcome(row["outcome"], row["activation_id"]) for row in rows]
        for text, outcome, matched in zip(texts, outcomes, matches, strict=True):
            if outcome.what == "delivered" and text.carrier != SIMULATED:
                metrics.TEXTS_SHOWN.add(1, matched.by)
            if outcome.what != "delivered":
                why = "it came before" if outcome.what == "repeated" else matched.reason
                log.info("a text from %s to %s is %s: %s", text.carrier, phone.mask(text.recipient), outcome.what, why)
        return outcomes

    async def _assembled(self, connection: Querier, text: InboundText) -> _Text | None:
        """The whole text, if this was all of it or its last missing part; None where parts are still to come."""
        part = text.part
        if part is None or text.machine is not None:
            return _read(text)
        text = await self._addressed_part(connection, text)
        key = await self._vault.key(connection, None, self._retention_days)
        sender = text.sender.replace("\0", "")
        place = (text.carrier, sender, text.recipient, part.kind, *map(str, (part.reference, part.total, part.number)))
        known = (await self._repeats.hasher(connection)).fingerprints(*place, text.alphabet, text.payload.hex())
        rows = await connection.fetch(
            *bind(
                SQL.assemble,
                carrier=text.carrier,
                sender=sender,
                recipient=text.recipient,
                kind=part.kind,
                reference=part.reference,
                total=part.total,
                number=part.number,
                alphabet=text.alphabet,
                payload=key.seal_part(text.payload),
                key=key.key_id,
                telling=any(map(str.isdigit, alphabets.decode(text.payload, text.alphabet))),
                known=[known.new, known.elder, known.erased, known.elder_erased],
            ),
        )
        if not rows:
            return None
        return _text(text, long_texts.joined(rows, part.total), rows[0]["began_at"])

    async def _addressed_part(self, connection: Querier, text: InboundText) -> InboundText:
        """With the number that is meant: the parts of a text wait there, and its lease is told of them."""
        every = dataclasses.replace(text, others=(text.recipient, *text.others))
        found = (await recipients.elsewhere(connection, [every], {})).get(0)
        return dataclasses.replace(text, recipient=found.e164, written="") if found and found.e164 else text


def _nobody(_: Iterable[int]) -> None:
    """Follows where nobody else does."""


def _read(text: InboundText) -> _Text:
    return _text(text, alphabets.decode(text.payload, text.alphabet))


def _text(text: InboundText, body: str, began_at: datetime.datetime | None = None) -> _Text:
    sender = text.sender.replace("\0", "")
    return _Text(
        text.carrier, sender, text.recipient, _kept(body), text.activation_id, text.identity, began_at,
        others=text.others, written=text.written, local=text.local, machine=text.machine,
    )  # fmt: skip


def _kept(body: str) -> str:
    """NUL is the one character that PostgreSQL cannot keep."""
    return body.replace("\0", "\N{REPLACEMENT CHARACTER}")[:LONGEST_TEXT]


def _addressed(text: _Text, found: Found | None) -> _Text:
    if found is None:
        return text
    return dataclasses.replace(text, recipient=found.e164 or text.recipient, machine=text.machine or found.reason)


def _doubtful(identity: Identity | None) -> str:
    """The times of an identity as a multirange; without one any earlier text may be the same."""
    if identity is None:
        return ALWAYS
    spans = (f"[{since.isoformat() if since else ''},{until.isoformat()})" for since, until in identity.doubtful)
    return "{" + ",".join(spans) + "}"
