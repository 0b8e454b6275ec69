"""Gives texts whose missing parts do not come, ends leases whose time is over, erases texts that were kept long enough,
forgets what nobody will ask for again.
"""

import asyncio
import dataclasses
import logging

from trunkline.activations import erasure
from trunkline.activations.inbox import Inbox
from trunkline.errors import Unavailable
from trunkline.storage import vault
from trunkline.storage.database import Database
from trunkline.storage.queries import queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.sweeper")

EVERY_SECONDS = 1.0
GROUP = 500
MOST_GROUPS = 4  # of old rows in a round, so that what is due in time does not wait for them
CLEAN_EVERY = 600  # rounds
FORGET_SECONDS = 60.0  # that forgetting may take, of however much there is


@dataclasses.dataclass(frozen=True, slots=True)
class Keep:
    """How long rows are kept; ``warn_bytes``: of the whole database, from when on the log has a warning."""

    test_days: int  # a test key's leases, after their end
    label_days: int  # usage by the values of labels, and all usage by test keys
    warn_bytes: float


async def expire_due(database: Database) -> int:
    """Expires every lease that is due, in groups; how many. Safe to run in several processes at once."""
    ended = 0
    while count := await database.fetchval(SQL.expire, GROUP):
        ended += count
    return ended


async def forget_old(database: Database, keep: Keep) -> int:
    """Removes test leases with their texts, and folds usage, a few groups of each; how many rows of both.

    Live leases stay: the books are proved against them.
    """
    forgotten = 0
    for statement, days in (
        (SQL.forget_test_leases, keep.test_days),
        (SQL.fold_labels, keep.label_days),
        (SQL.forget_test_usage, keep.label_days),
    ):
        for _ in range(MOST_GROUPS):
            count: int = await database.fetchval(statement, days, GROUP)
            forgotten += count
            if count < GROUP:
                break
    return forgotten


async def clean(database: Database, inbox: Inbox, keep: Keep) -> None:
    """What is worth a look every ten minutes."""
    for statement in (SQL.forget_stale_parts, SQL.forget_old_answers, SQL.forget_label_days):
        async with database.transaction(seconds=FORGET_SECONDS) as connection:
            await connection.execute(statement)
    await erasure.forget_repeats(database, inbox.secret)
    if thrown := await vault.throw_keys_away(database):
        log.info("%d keys of erased texts thrown away", thrown)
    size: int = await database.fetchval(SQL.database_bytes)
    if size > keep.warn_bytes:
        facts = {"database_bytes": size}
        log.warning("the database has grown to %.1f GB (docs/retention.md)", size / 1e9, extra={"facts": facts})


async def sweep(database: Database, inbox: Inbox, keep: Keep) -> None:
    """Runs until cancelled; a database that is away is tried again."""
    rounds = 0
    while True:
        try:
            if given := await inbox.give_incomplete():  # before a lease ends for which they may be
                log.info("%d incomplete texts given", given)
            if ended := await expire_due(database):
                log.info("%d leases expired", ended)
            if erased := await erasure.erase_due(database, inbox.secret):
                log.info("the texts of %d leases and numbers erased", erased)
            if forgotten := await forget_old(database, keep):
                log.info("%d old test leases and counts of labels removed", forgotten)
            if rounds % CLEAN_EVERY == 0:
                await clean(database, inbox, keep)
        except Unavailable as error:
            log.warning("the sweep is put off: %s", error.detail)
        except Exception:
            log.exception("the sweep failed")
        rounds += 1
        await asyncio.sleep(EVERY_SECONDS)
