"""Erases texts and codes that were kept long enough, and throws their keys away."""

from trunkline.storage.database import Database
from trunkline.storage.queries import queries

SQL = queries(__package__)

GROUP = 500


async def erase_due(database: Database, secret: bytes = b"") -> int:
    """Erases the texts of leases that ended long enough ago, and old texts that are nobody's; how many of both.

    Each group is one statement; several processes pass each other by. What a carrier's repetition is known by is left,
    hashed with the secret.
    """
    erased = 0
    for statement in (SQL.erase_of_leases, SQL.erase_nobodys):
        while count := await database.fetchval(statement, GROUP, secret):
            erased += count
    return erased


async def forget_repeats(database: Database, secret: bytes) -> None:
    """Forgets what no carrier repeats any more, and the keys that it was known by."""
    while await database.fetchval(SQL.forget_repeats, GROUP):
        pass
    await database.execute(SQL.forget_finished_parts)
    await database.execute(SQL.erase_finished_parts, secret)
    await database.execute(SQL.throw_repeat_keys_away)
    thrown = [row["day"] for row in await database.fetch(SQL.thrown_repeat_keys)]
    if thrown and await database.write_anew("repeat_key"):
        await database.execute(SQL.forget_repeat_keys, thrown)
