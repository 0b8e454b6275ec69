"""Proof that a customer controls a service: a token of theirs in its DNS, or in a file on its site.

With it they may lease numbers on real carriers for the service, as their own: it needs no enabling by the operator, and
the caps on leases do not count it. A proof lasts a year (``purchase`` looks), and checking again renews it.
"""

import asyncio
import dataclasses
import datetime
import hmac
import secrets
from collections.abc import Sequence
from typing import Any, Literal, get_args

from trunkline import egress
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.catalog.problems import ControlNotProved, UnknownService
from trunkline.egress import Network
from trunkline.egress.names import Names
from trunkline.egress.shares import Shares
from trunkline.errors import InvalidRequest, NotFound
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

Method = Literal["dns", "file"]
METHODS = get_args(Method)
LASTS = datetime.timedelta(days=365)
DNS_SECONDS = 5.0
TURN_SECONDS = 5.0  # that a check waits for others of its account
MOST_LOOKS, LOOKS_SHARE = 32, 2  # at a time: in all, and for one account
MOST_SHOWN = 10  # of the TXT records that were found instead
LONGEST_SHOWN = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Control:
    """A proof, or what is asked for one. The token is the account's own: what another put there proves nothing."""

    account_id: int
    service_id: int
    service: str
    domain: str
    method: Method
    token: str
    created_at: datetime.datetime
    proved_at: datetime.datetime | None

    @property
    def expires_at(self) -> datetime.datetime | None:
        return self.proved_at + LASTS if self.proved_at is not None else None

    @property
    def record_name(self) -> str:
        """Where the TXT record stands."""
        return f"_trunkline.{self.domain}"

    @property
    def record_value(self) -> str:
        return f"trunkline-control={self.token}"

    @property
    def file_url(self) -> str:
        """Where the file stands that holds the token and nothing else."""
        return f"https://{self.domain}/.well-known/trunkline-control.txt"


async def ask(connection: Querier, actor: Actor, account_id: int, slug: str, method: Method) -> Control:
    """What is to be put where. Asked again, the token and an earlier proof stay.

    Raises UnknownService, and InvalidRequest where the catalog knows no domain of the service.
    """
    row = await connection.fetchrow(
        *bind(SQL.ask_control, account=account_id, service=slug, method=method, token=secrets.token_hex(16))
    )
    if row is None:
        raise UnknownService(f"There is no service {slug!r}.")
    if row["account_id"] is None:
        raise InvalidRequest(f"No domain is known for {slug!r} that could be proved; ask the operator to enable it.")
    asked = _control(row)
    data = {"method": asked.method, "domain": asked.domain}
    await acts.record(connection, actor, "control.asked", f"service:{asked.service}", data)
    return asked


async def find(connection: Querier, account_id: int, slug: str) -> Control:
    """Raises NotFound."""
    row = await connection.fetchrow(SQL.control, account_id, slug)
    if row is None:
        raise NotFound(f"No proof of control of {slug!r} has been asked for.")
    return _control(row)


async def listing(connection: Querier, account_id: int) -> list[Control]:
    return [_control(row) for row in await connection.fetch(SQL.controls, account_id)]


async def look(control: Control, turns: Shares, *, names: Names, records: Names, allow: Sequence[Network] = ()) -> None:
    """Looks for the token, for 15 seconds at most and in no transaction. Raises ControlNotProved with what was found.

    ``names``: who looks up the site's host; ``records``: and TXT records. ``allow``: see ``egress``.
    """
    try:
        async with asyncio.timeout(TURN_SECONDS):
            await turns.take(control.account_id)
    except TimeoutError:
        raise ControlNotProved("Other checks of yours are under way: wait for them, and ask again.", found=[]) from None
    try:
        found, missing = await _found(control, names, records, allow)
    finally:
        turns.give_back(control.account_id)
    wanted = control.record_value if control.method == "dns" else control.token
    if not any(hmac.compare_digest(wanted.encode(), each.encode("utf-8", "replace")) for each in found):
        raise ControlNotProved(missing, found=[each[:LONGEST_SHOWN] for each in found[:MOST_SHOWN]])


async def prove(connection: Querier, actor: Actor, control: Control) -> Control:
    """Writes down that the token was found. Raises ControlNotProved where something else is asked for by now."""
    row = await connection.fetchrow(
        *bind(
            SQL.prove_control,
            account=control.account_id,
            service=control.service_id,
            token=control.token,
            domain=control.domain,
        )
    )
    if row is None:
        raise ControlNotProved("The proof was given up, or its domain changed, while it was looked for.")
    proved = _control(row)
    data = {"method": proved.method, "domain": proved.domain}
    await acts.record(connection, actor, "control.proved", f"service:{proved.service}", data)
    return proved


async def give_up(connection: Querier, actor: Actor, account_id: int, slug: str) -> Control:
    """Its owner ends a proof; leases that run go on. Raises NotFound."""
    ended = await _end(connection, account_id, slug)
    await acts.record(connection, actor, "control.given_up", f"service:{ended.service}")
    return ended


async def revoke(connection: Querier, actor: Actor, account_id: int, slug: str) -> None:
    """The operator ends a proof, which may be made again; leases that run go on. Raises NotFound."""
    await _end(connection, account_id, slug)
    whose = {"account_id": str(account_id)}
    await acts.record(connection, actor, "control.revoked", f"service:{slug}", whose, account_id=account_id)


async def every(connection: Querier, limit: int) -> Sequence[Row]:
    """Proofs and what is asked for one, of all accounts: email, slug, domain, method, created_at, proved_at."""
    return await connection.fetch(SQL.all_controls, limit)


async def _end(connection: Querier, account_id: int, slug: str) -> Control:
    row = await connection.fetchrow(SQL.give_up_control, account_id, slug)
    if row is None:
        raise NotFound(f"No proof of control of {slug!r} has been asked for.")
    return _control(row)


def _control(row: Any) -> Control:
    return Control(**dict(row))


async def _found(control: Control, names: Names, records: Names, allow: Sequence[Network]) -> tuple[list[str], str]:
    """And what to say where the token is not among it."""
    if control.method == "dns":
        name, account_id = control.record_name, control.account_id
        try:
            found = await records.texts(name, account_id, seconds=DNS_SECONDS)
        except egress.NoAnswer as error:
            raise ControlNotProved(error.detail, found=[]) from None
        return found, f"{name} has no TXT record {control.record_value}."
    url = control.file_url
    try:
        answer = await egress.fetch("GET", url, allow=allow, resolve=names.of(control.account_id))
    except (egress.UrlRefused, egress.NoAnswer) as error:
        raise ControlNotProved(f"{url}: {error.detail}", found=[]) from None
    if answer.status != 200:
        raise ControlNotProved(f"{url} answered {answer.status}, and 200 is asked for.", found=[])
    if not answer.whole:
        raise ControlNotProved(f"{url} answered 200, but its answer {answer.lacks}.", found=[])
    return [answer.body.decode("utf-8", "replace").strip()], f"{url} does not hold the token alone."
