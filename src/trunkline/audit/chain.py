"""The chain over the acts: every act that is committed gets a link, whose hash covers the act and the link before.

Acts do not wait for each other: they leave their ids in ``audit_pending``, and one process at a time makes links of
what it finds there (docs/decisions/0011). It goes on only from an end that is signed, so that a chain which somebody
has rewritten is not signed anew.
"""

import asyncio
import logging
import pathlib

import asyncpg

from trunkline.audit import heads
from trunkline.audit.encoding import START, link_hash
from trunkline.audit.heads import Head, Keys
from trunkline.errors import OperatorError, Unavailable
from trunkline.storage.database import Database, Querier
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.audit")

LOCK = 0x6175646974
BATCH = 5_000
EVERY_SECONDS = 0.5
REFUSED_SECONDS = 60
LAST_EXPORT_SECONDS = 5


async def head(connection: Querier) -> Head | None:
    row = await connection.fetchrow(SQL.head)
    return None if row is None else Head(**dict(row))


async def keys(connection: Querier, file: pathlib.Path) -> Keys:
    """The keys by which heads are signed, made where nothing has been signed. Raises OperatorError."""
    found = heads.read_keys(file)
    if found is None:
        if await head(connection) is not None:
            raise OperatorError(f"The key that signs the audit is not there: {file}.")
        found = await asyncio.to_thread(heads.make_keys, file)
    if found.private is None:
        raise OperatorError(f"There is no private key in {file}, so it signs nothing.")
    return found


async def link(database: Database, signing: Keys) -> int:
    """Links every act that is committed; how many. Safe to run in several processes at once.

    Raises OperatorError where the chain does not end as it was signed.
    """
    linked = 0
    while await database.fetch(SQL.pending, 1):
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            batch = await _link_some(connection, signing)
        if not batch:
            break
        linked += batch
    return linked


async def _link_some(connection: "asyncpg.Connection[asyncpg.Record]", signing: Keys) -> int:
    pending = [row["entry_id"] for row in await connection.fetch(SQL.pending, BATCH)]
    entries = await connection.fetch(SQL.entries, pending)
    if not entries:
        return 0
    position, previous = await _end(connection, signing)
    positions, ids, hashes = [], [], []
    for entry in entries:
        position += 1
        previous = link_hash(previous, position, tuple(entry))
        positions.append(position)
        ids.append(int(entry["entry_id"]))
        hashes.append(previous)
    await connection.execute(SQL.add_links, positions, ids, hashes)
    await connection.execute(SQL.no_longer_pending, ids)
    signed = signing.sign(position, previous, await connection.fetchval(SQL.now))
    await connection.execute(
        *bind(
            SQL.put_head,
            position=signed.position,
            hash=signed.hash,
            signed_at=signed.signed_at,
            signature=signed.signature,
        )
    )
    return len(entries)


async def _end(connection: "asyncpg.Connection[asyncpg.Record]", signing: Keys) -> tuple[int, bytes]:
    """Position and hash from which the chain goes on. Raises OperatorError where that is not what was signed."""
    signed, last = await head(connection), await connection.fetchrow(SQL.last_link)
    if signed is None and last is None:
        return 0, START
    if signed is None or last is None or (signed.position, signed.hash) != tuple(last):
        raise OperatorError("The audit chain does not end as it was signed; trunkline audit verify says what is off.")
    if signed.signed_by(signing.trusted) is None:
        raise OperatorError("The audit chain's end is signed by a key that is not in the file of keys.")
    return signed.position, signed.hash


async def export(database: Database, key_file: pathlib.Path, heads_file: pathlib.Path) -> Head | None:
    """Appends the signed head to a file outside the database; None where there is none yet. Raises OperatorError."""
    signed = await head(database)
    if signed is not None:
        signing = await keys(database, key_file)
        key = signed.signed_by(signing.trusted)
        if key is None:
            raise OperatorError(f"The audit chain's end is signed by a key that is not in {key_file}.")
        await asyncio.to_thread(heads.export, heads_file, heads.line(signed, key))
    return signed


async def keep(database: Database, key_file: pathlib.Path, heads_file: pathlib.Path, *, export_seconds: float) -> None:
    """Links acts within a second and exports heads, until cancelled; then exports the last one."""
    clock = asyncio.get_running_loop().time
    export_at = clock() + export_seconds
    try:
        while True:
            wait = EVERY_SECONDS
            try:
                if await database.fetch(SQL.pending, 1):
                    await link(database, await keys(database, key_file))
                if clock() >= export_at:
                    export_at = clock() + export_seconds
                    await export(database, key_file, heads_file)
            except Unavailable as error:
                log.warning("the audit chain waits: %s", error.detail)
            except OperatorError as error:
                log.error("%s Acts are still written down, and linked once this is mended.", error.detail)
                wait = REFUSED_SECONDS
            except Exception:
                log.exception("linking the audit failed")
            await asyncio.sleep(wait)
    finally:
        try:
            async with asyncio.timeout(LAST_EXPORT_SECONDS):
                if await database.fetch(SQL.pending, 1):
                    await link(database, await keys(database, key_file))
                await export(database, key_file, heads_file)
        except (OperatorError, Unavailable, TimeoutError):
            log.warning("the audit's last head was not exported")
