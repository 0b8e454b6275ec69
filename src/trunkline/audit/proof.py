"""The proof of the audit: the chain is worked out again from its acts and compared with what is stored and signed."""

import contextlib
import dataclasses
import datetime
import itertools
import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, TypeAlias

import asyncpg
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.audit.chain import head
from trunkline.audit.encoding import COLUMNS, START, link_hash
from trunkline.audit.heads import Head, Line, line
from trunkline.storage.database import Database
from trunkline.storage.queries import queries

SQL = queries(__package__)

PAGE = 5_000
SHOWN = 100
QUERY_SECONDS = 3600  # for what looks at whole tables
YOUNG = datetime.timedelta(seconds=60)  # an act may wait this long for its link

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclasses.dataclass(slots=True)
class Verdict:
    """What a look over the whole audit found; ``off`` names the first 100 things that are wrong."""

    ok: bool = True
    entries: int = 0
    linked: int = 0
    unlinked: int = 0
    heads: int = 0  # exported ones that were compared
    off_count: int = 0
    off: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def wrong(self, what: str, count: int = 1, **where: Any) -> None:
        self.ok = False
        self.off_count += count
        if len(self.off) < SHOWN:
            self.off.append({"what": what, **where})


async def verify(
    database: Database,
    trusted: Sequence[Ed25519PublicKey],
    exported: Iterable[str] = (),
    *,
    progress: Callable[[int, int], object] = lambda _done, _all: None,
) -> Verdict:
    """Proves the audit, all from one snapshot and in bounded memory.

    ``trusted`` are the keys whose signatures count, ``exported`` the lines of a file of heads; ``progress`` is told
    how many links are done, of how many.
    """
    async with _snapshot(database) as connection:
        return await prove(connection, trusted, exported, progress)


async def prove(
    connection: Connection,
    trusted: Sequence[Ed25519PublicKey],
    exported: Iterable[str] = (),
    progress: Callable[[int, int], object] = lambda _done, _all: None,
) -> Verdict:
    """The same as one transaction sees it, which must keep to one snapshot."""
    verdict = Verdict()
    counts = await connection.fetchrow(SQL.chain_counts, timeout=QUERY_SECONDS)
    assert counts is not None
    verdict.entries, verdict.linked = counts["entries"], counts["links"]
    last = await _walk(connection, verdict, progress)
    await _find_unlinked(connection, verdict)
    _check_head(await head(connection), last, trusted, verdict)
    for lines in _batches(enumerate(exported, 1)):
        await _check_exported(connection, lines, trusted, verdict)
    return verdict


async def dump(database: Database, actor: Actor) -> AsyncIterator[bytes]:
    """The whole chain as lines of JSON, from one snapshot: ``{"position", "hash", "entry"}``, entries as the texts
    that were hashed. That it is asked for is an act itself."""
    await acts.record(database, actor, "audit.dumped", "audit")
    async with _snapshot(database) as connection:
        async for page in _pages(connection):
            yield b"".join(
                msgspec.json.encode(
                    {
                        "position": position,
                        "hash": stored.hex(),
                        "entry": dict(zip(COLUMNS, entry, strict=True)),
                    }
                )
                + b"\n"
                for position, stored, _, *entry in page
            )


@contextlib.asynccontextmanager
async def _snapshot(database: Database) -> AsyncIterator[Connection]:
    async with database.transaction(seconds=math.inf) as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield connection


async def _pages(connection: Connection) -> AsyncIterator[list[Any]]:
    # Each page is a few thousand look-ups, never a pass over the whole of both tables.
    await connection.execute("SET LOCAL enable_hashjoin = off")
    await connection.execute("SET LOCAL enable_mergejoin = off")
    position = -(2**63)
    while page := await connection.fetch(SQL.links, position, PAGE):
        yield page
        position = page[-1]["position"]
    await connection.execute("SET LOCAL enable_hashjoin = on")
    await connection.execute("SET LOCAL enable_mergejoin = on")
    await connection.execute("SET LOCAL enable_seqscan = on")  # from here on whole tables are what is asked for


async def _walk(connection: Connection, verdict: Verdict, progress: Callable[[int, int], object]) -> tuple[int, bytes]:
    """Works out every link again, from the stored one before it, so that each thing that is off is named once.

    Position and hash of the last link."""
    expected, previous, done = 1, START, 0
    async for page in _pages(connection):
        for position, stored, linked, *entry in page:
            if position != expected:
                verdict.wrong("links_missing", position=expected, up_to=position - 1)
            if entry[0] is None:
                verdict.wrong("entry_missing", position=position, entry_id=linked)
            elif link_hash(previous, position, entry) != stored:
                verdict.wrong("hash_wrong", position=position, entry_id=linked)
            expected, previous = position + 1, stored
        done += len(page)
        progress(done, verdict.linked)
    return expected - 1, previous


async def _find_unlinked(connection: Connection, verdict: Verdict) -> None:
    row = await connection.fetchrow(SQL.unlinked, YOUNG, SHOWN, timeout=QUERY_SECONDS)
    assert row is not None
    verdict.unlinked = row["unlinked"]
    for entry_id in row["first"]:
        verdict.wrong("entry_unlinked", entry_id=entry_id)
    verdict.off_count += row["off"] - len(row["first"])
    for pending in await connection.fetch(SQL.pending_without_entry, SHOWN):
        verdict.wrong("entry_missing", entry_id=pending["entry_id"])


def _check_head(
    signed: Head | None, last: tuple[int, bytes], trusted: Sequence[Ed25519PublicKey], verdict: Verdict
) -> None:
    if signed is None:
        if last != (0, START):
            verdict.wrong("head_missing", position=last[0])
        return
    if (signed.position, signed.hash) != last:
        verdict.wrong("head_is_not_the_end", position=signed.position, links=last[0])
    if signed.signed_by(trusted) is None:
        verdict.wrong("head_signature_wrong", position=signed.position)


async def _check_exported(
    connection: Connection, lines: Sequence[tuple[int, str]], trusted: Sequence[Ed25519PublicKey], verdict: Verdict
) -> None:
    said: list[tuple[int, Line, Head]] = []
    for number, text in lines:
        try:
            read = msgspec.json.decode(text, type=Line)
            said.append((number, read, read.head()))
        except ValueError:  # that JSON, base64 and hexadecimal digits raise
            verdict.wrong("exported_head_unreadable", line=number)
    rows = await connection.fetch(SQL.links_at, [signed.position for *_, signed in said])
    stored = {row["position"]: row["hash"] for row in rows}
    for number, read, signed in said:
        verdict.heads += 1
        key = signed.signed_by(trusted)
        if key is None or line(signed, key) != read:
            verdict.wrong("exported_head_signature_wrong", line=number, position=signed.position)
        elif stored.get(signed.position) != signed.hash:
            verdict.wrong("exported_head_is_not_in_the_chain", line=number, position=signed.position)


def _batches(lines: Iterable[tuple[int, str]]) -> Iterable[list[tuple[int, str]]]:
    lines = iter(lines)
    while batch := list(itertools.islice(lines, PAGE)):
        yield batch
