"""Gives texts whose missing parts do not come, ends leases whose time is over, erases texts that were kept long enough,
forgets what nobody will ask for again.
"""

import asyncio
import logging

from trunkline.activations import erasure
from trunkline.activations.inbox import Inbox
from trunkline.errors import Unavailable
from trunkline.storage.database import Database
from trunkline.storage.queries import queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.sweeper")

EVERY_SECONDS = 1.0
GROUP = 500
CLEAN_EVERY = 600  # rounds


async def expire_due(database: Database) -> int:
    """Expires every lease that is due, in groups; how many. Safe to run in several processes at once."""
    ended = 0
    while count := await database.fetchval(SQL.expire, GROUP):
        ended += count
    return ended


async def sweep(database: Database, inbox: Inbox) -> None:
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
            if rounds % CLEAN_EVERY == 0:
                await database.execute(SQL.forget_stale_parts)
                await database.execute(SQL.forget_old_answers)
                await erasure.forget_repeats(database, inbox.secret)
                if thrown := await erasure.throw_keys_away(database):
                    log.info("%d keys of erased texts thrown away", thrown)
        except Unavailable as error:
            log.warning("the sweep is put off: %s", error.detail)
        except Exception:
            log.exception("the sweep failed")
        rounds += 1
        await asyncio.sleep(EVERY_SECONDS)
