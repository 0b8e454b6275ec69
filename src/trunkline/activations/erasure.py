"""Erases texts and codes that were kept long enough, and throws their keys away."""

from trunkline.activations.vault import SQL
from trunkline.storage.database import Database

GROUP = 500


async def erase_due(database: Database) -> int:
    """Erases the texts of leases that ended long enough ago, and old texts that are nobody's; how many of both.

    Each group is one statement; several processes pass each other by.
    """
    erased = 0
    for statement in (SQL.erase_of_leases, SQL.erase_nobodys):
        while count := await database.fetchval(statement, GROUP):
            erased += count
    return erased


async def throw_keys_away(database: Database) -> int:
    """Throws away the keys whose texts are all due to be erased; how many keys are gone from the table's file too.

    A key's row outlives the key until the file is written anew, so that whoever is killed in between is made up for.
    """
    await database.execute(SQL.throw_keys_away)
    thrown = [row["key_id"] for row in await database.fetch(SQL.thrown_keys)]
    if not thrown or not await database.write_anew("text_key"):
        return 0
    await database.execute(SQL.forget_keys, thrown)
    return len(thrown)
