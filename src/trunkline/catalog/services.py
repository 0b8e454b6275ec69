"""Services: the starter set, an operator's own, and which are open on real carriers."""

import dataclasses
import importlib.resources
import re
from collections.abc import Iterable, Sequence

from trunkline import tables
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.catalog.problems import UnknownService
from trunkline.egress import UrlRefused, urls
from trunkline.errors import InvalidRequest
from trunkline.storage.database import Querier
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

ANY = "any"  # leases a number alone: every text on it counts
RESERVED = (ANY, "control")  # the second would be a path of the API
COLUMNS = ("slug", "name", "domain", "senders", "aliases")
SLICE = 500  # read at a time
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """A service whose texts can be received."""

    service_id: int
    slug: str
    name: str
    domain: str | None
    senders: Sequence[str]  # patterns: case does not matter, * stands at the start or the end
    aliases: Sequence[str]  # other names by which a text may call it, in any script
    magic: bool = False  # of the test mode: for test keys alone, and in no list


def read_csv(lines: Iterable[str]) -> list[dict[str, str]]:
    """Rows ``slug,name[,domain,senders,aliases]`` (lists with ``;``). Raises InvalidRequest, naming the line."""
    found = tables.records(lines, COLUMNS)
    names = [cell.lower() for cell in next(found, tables.Record(1, [])).cells]
    if not {"slug", "name"} <= set(names) <= set(COLUMNS):
        raise InvalidRequest(f"The first line must name the columns: {','.join(COLUMNS)} (slug and name at least).")
    rows: dict[str, dict[str, str]] = {}
    for record in found:
        where = f"Line {record.line}: "
        if record.fault:
            raise InvalidRequest(f"{where}{record.fault}.")
        if len(record.cells) > len(names):
            raise InvalidRequest(where + "more cells than columns.")
        row = dict.fromkeys(COLUMNS, "") | dict(zip(names, record.cells, strict=False))
        if not _SLUG.fullmatch(row["slug"]) or row["slug"] in RESERVED or row["slug"].startswith("test_"):
            raise InvalidRequest(
                where
                + f"{row['slug']!r} is no slug for a service (a-z, 0-9, _ and -; any, control and test_… are reserved)."
            )
        if not row["name"] or len(row["name"]) > 100:
            raise InvalidRequest(where + "a service has a name of 1 to 100 characters.")
        if row["domain"]:
            _check_domain(row["domain"], where)
        if row["slug"] in rows:
            raise InvalidRequest(where + f"{row['slug']} stands in the file already.")
        rows[row["slug"]] = row
    return list(rows.values())


def _check_domain(domain: str, where: str) -> None:
    """A proof of control asks its site and its name servers."""
    try:
        target = urls.read(f"https://{domain}/")
    except UrlRefused as error:
        raise InvalidRequest(f"{where}{domain!r} is no domain. {error.detail}") from None
    if target.path != "/":
        raise InvalidRequest(f"{where}{domain!r} is no domain: it is a host alone, as in example.com.")


def starter_set() -> list[dict[str, str]]:
    """The services that come with the product."""
    text = importlib.resources.files(__package__).joinpath("services.csv").read_text("utf-8")
    return read_csv(text.splitlines())


async def put(connection: Querier, rows: Sequence[dict[str, str]]) -> int:
    """Adds services, or replaces those of the same slug; how many."""
    await connection.execute(SQL.put_services, *([row[column] for row in rows] for column in COLUMNS))
    return len(rows)


async def bring_in(connection: Querier, actor: Actor, rows: Sequence[dict[str, str]]) -> int:
    """The operator's own catalog, as ``put`` takes it; how many."""
    count = await put(connection, rows)
    await acts.record(connection, actor, "catalog.imported", "catalog", {"services": count})
    return count


async def switch(connection: Querier, actor: Actor, slug: str, country: str | None, *, enabled: bool) -> None:
    """Opens or closes a service on real carriers, everywhere or in one country. Raises UnknownService."""
    if await connection.fetchval(*bind(SQL.switch, service=slug, country=country, enabled=enabled)) is None:
        raise UnknownService(f"There is no service {slug!r}.")
    action = "service.enabled" if enabled else "service.disabled"
    await acts.record(connection, actor, action, f"service:{slug}", {"country": country})


async def load(connection: Querier) -> list[Service]:
    """All of them, by slug. Read in slices, so that thousands hold up nobody else on the caller's event loop."""
    found: list[Service] = []
    while True:
        rows = await connection.fetch(SQL.services, found[-1].slug if found else "", SLICE)
        found += [Service(*row) for row in rows]
        if len(rows) < SLICE:
            return found
