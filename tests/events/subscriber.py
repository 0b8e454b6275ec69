"""Somebody who wants to be told everything."""

from trunkline.storage.database import Database


async def subscribed(database: Database) -> None:
    """The account 1 with the webhook 1001, so that what fan_out takes can be seen."""
    await database.execute(
        "INSERT INTO account (account_id, email, currency, per_minute) OVERRIDING SYSTEM VALUE"
        " VALUES (1, 'one@example.com', 'USD', 60)"
    )
    await database.execute(
        "INSERT INTO webhook_endpoint (account_id, test, url, events) VALUES (1, false, 'https://example.com', '{*}')"
    )
