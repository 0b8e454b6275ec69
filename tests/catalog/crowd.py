"""A catalog as large as they get: thousands of services, and stock in every country."""

from collections.abc import Iterator

from trunkline.catalog import services
from trunkline.catalog.countries import countries
from trunkline.storage.database import Database

SERVICES = 5_000  # beside the starter set


def rows(count: int = SERVICES) -> Iterator[dict[str, str]]:
    for place in range(count):
        yield {
            "slug": f"shop-{place}",
            "name": f"Shop {place} Market",
            "domain": f"shop-{place}.example",
            "senders": f"SHOP{place}",
            "aliases": f"Laden {place};Магазин {place}",
        }


async def fill(database: Database, count: int = SERVICES) -> None:
    async with database.transaction() as connection:
        await services.put(connection, list(rows(count)))
        for place, country in enumerate(countries()):
            await connection.execute(
                "INSERT INTO shelf (country, carrier, operator, numbers) VALUES ($1, 'simulated', 'crowd', $2)",
                country,
                place + 1,
            )
