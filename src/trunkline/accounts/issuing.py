"""API keys: made, listed, rotated, revoked. Each act tells itself to the outbox and to the audit in its transaction.

``by`` is the key that asks. It reaches the keys of its own account and mode, and gives no key more than it has itself:
capabilities are attenuated as they are handed on. Without it the operator asks, who may do everything.
"""

import dataclasses
import datetime
import hashlib
import ipaddress
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from trunkline import clock, ids, paging
from trunkline.accounts import views
from trunkline.accounts.keys import ALL_SCOPES, Key, Mode, Network
from trunkline.accounts.problems import InsufficientScope, KeyEnded, TooManyKeys
from trunkline.accounts.views import ApiKey, NewApiKey
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.errors import Forbidden, InvalidRequest, NotFound
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

LONGEST_NAME = 100
MOST_CIDRS = 100
MOST_OVERLAP_HOURS = 72
OVERLAP_HOURS = 24  # of a rotation that names none


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """How many keys an account may have, of each mode."""

    most: int  # that work at a time
    per_day: int  # made or rotated within 24 hours


async def create(
    connection: Querier,
    actor: Actor,
    account_id: int,
    mode: Mode,
    *,
    name: str,
    scopes: Sequence[str],
    cidrs: Sequence[str] = (),
    expires_at: datetime.datetime | None = None,
    cap_day_micros: int | None = None,
    cap_month_micros: int | None = None,
    by: Key | None = None,
    room: Room | None = None,
) -> NewApiKey:
    """``connection`` is a transaction. A ``room`` is kept however many ask at once.

    Raises InvalidRequest with the field that is wrong, InsufficientScope and Forbidden for more than ``by`` has,
    TooManyKeys.
    """
    wanted, networks, expiry = _scopes(scopes), _networks(cidrs), _expiry(expires_at)
    _may_give(by, wanted, networks, expiry, cap_day_micros, cap_month_micros)
    if room is not None:
        await _keep(room, connection, account_id, mode, is_new=True)
    terms = (_name(name), wanted, networks, expiry, cap_day_micros, cap_month_micros)
    row, secret = await _insert(connection, account_id, mode, *terms, by.key_id if by is not None else None)
    made = views.new_api_key(row, secret)
    await _record(connection, actor, "key.created", row, made.terms())
    return made


async def first(connection: Querier, account_id: int, mode: Mode) -> NewApiKey:
    """The key that an account begins with, which may do everything; the act is the account's."""
    name, scopes = f"first {mode} key", list(ALL_SCOPES)
    return views.new_api_key(*await _insert(connection, account_id, mode, name, scopes, [], None, None, None, None))


async def _insert(
    connection: Querier,
    account_id: int,
    mode: Mode,
    name: str,
    scopes: list[str],
    networks: list[Network],
    expires_at: datetime.datetime | None,
    cap_day_micros: int | None,
    cap_month_micros: int | None,
    made_by: int | None,
) -> tuple[Row, str]:
    secret, secret_hash = _new_secret(mode)
    row = await connection.fetchrow(
        *bind(
            SQL.create_key,
            account=account_id,
            mode=mode,
            name=name,
            secret_hash=secret_hash,
            scopes=scopes,
            cidrs=networks,
            expires_at=expires_at,
            cap_day_micros=cap_day_micros,
            cap_month_micros=cap_month_micros,
            made_by=made_by,
        )
    )
    assert row is not None
    return row, secret


async def page(
    connection: Querier,
    account_id: int,
    mode: Mode | None,
    *,
    ended: bool,
    before: int = paging.NEWEST,
    limit: int,
) -> paging.Page[ApiKey]:
    """An account's keys, newest first; those of both modes where none is named."""
    rows = await connection.fetch(
        *bind(SQL.keys, account=account_id, mode=mode, ended=ended, before=before, limit=limit + 1)
    )
    return paging.cut(rows, limit, views.api_key, lambda row: row["key_id"])


async def show(connection: Querier, key_id: int | None, by: Key) -> ApiKey:
    """Raises NotFound, also for a key of somebody else and of the other mode."""
    return views.api_key(await _find(connection, key_id, by))


async def _find(connection: Querier, key_id: int | None, by: Key | None) -> Row:
    row = None
    if key_id is not None:
        whose = (by.account_id, by.mode) if by is not None else (None, None)
        row = await connection.fetchrow(SQL.key, key_id, *whose)
    if row is None:
        raise NotFound("There is no such key.")
    return row


async def rotate(
    connection: Querier,
    actor: Actor,
    key_id: int | None,
    overlap_hours: int,
    by: Key | None = None,
    room: Room | None = None,
) -> NewApiKey:
    """A new key in the place of one that goes on for the overlap, and ends at once where that is 0.

    ``connection`` is a transaction: of several rotations at the same time one wins. Raises KeyEnded for a key that is
    revoked, expired or rotated already, Forbidden for one that has more than ``by`` or that a limited ``by`` has not
    made, TooManyKeys.
    """
    if not 0 <= overlap_hours <= MOST_OVERLAP_HOURS:
        raise InvalidRequest(f"overlap_hours is 0 to {MOST_OVERLAP_HOURS}.", field="overlap_hours")
    old = await _find(connection, key_id, by)
    _may_give(
        by, old["scopes"], old["cidrs"], old["expires_at"], old["cap_day_micros"], old["cap_month_micros"]
    )  # fmt: skip
    if by is not None and by.is_limited and by.key_id not in (old["key_id"], *old["elders"]):
        raise Forbidden("A key with limits of its own rotates itself and those that it has made, and no others.")
    if room is not None:
        await _keep(room, connection, old["account_id"], old["mode"], is_new=False)
    await connection.execute(SQL.lock_key, old["key_id"])
    secret, secret_hash = _new_secret(old["mode"])
    row = await connection.fetchrow(
        *bind(SQL.rotate_key, key=old["key_id"], secret_hash=secret_hash, overlap_hours=overlap_hours)
    )
    if row is None:
        raise KeyEnded("The key is revoked, expired or rotated already; create another one.")
    what = {"key_id": str(row["key_id"]), "overlap_hours": overlap_hours}
    await _record(connection, actor, "key.rotated", old, what)
    return views.new_api_key(row, secret)


async def revoke(
    connection: Querier, actor: Actor, key_id: int | None, by: Key | None = None, *, children: bool = False
) -> tuple[ApiKey, list[str]]:
    """Ends a key; the key as it stands, and the ids of its children that were ended with it.

    ``children``: also all that the key, or one that it was rotated from, has made, and what those have made. Doing it
    again changes nothing. Raises NotFound.
    """
    key = await _find(connection, key_id, by)
    ended = await connection.fetchrow(SQL.revoke_key, key["key_id"])
    made = [row["key_id"] for row in await connection.fetch(SQL.children_of, key["key_id"])] if children else []
    with_it = [row for child in made if (row := await connection.fetchrow(SQL.revoke_key, child)) is not None]
    for row in [ended, *with_it] if ended is not None else with_it:
        await _record(connection, actor, "key.revoked", row)
    now = ended or await _find(connection, key_id, by)
    return views.api_key(now), [str(row["key_id"]) for row in with_it]


async def _record(
    connection: Querier, actor: Actor, action: str, key: Row, what: Mapping[str, Any] | None = None
) -> None:
    whose = dataclasses.replace(actor, test=key["mode"] == "test")  # an operator's act on a test key is shown to those
    await acts.record(connection, whose, action, f"key:{key['key_id']}", what, account_id=key["account_id"])


async def _keep(room: Room, connection: Querier, account_id: int, mode: Mode, *, is_new: bool) -> None:
    await connection.execute(SQL.lock_account, account_id)
    row = await connection.fetchrow(SQL.keys_so_far, account_id, mode, room.per_day)
    assert row is not None
    if is_new and row["good"] >= room.most:
        raise TooManyKeys(
            f"An account has at most {room.most} {mode} keys that work: revoke those that are not needed.",
            limit=room.most,
        )
    if row["of_day"] is not None:
        again = row["of_day"] + datetime.timedelta(days=1, microseconds=999_999)
        raise TooManyKeys(
            f"An account makes at most {room.per_day} {mode} keys in 24 hours, those by rotation among them.",
            limit=room.per_day,
            retry_at=clock.iso(again),
        )


def _new_secret(mode: Mode) -> tuple[str, bytes]:
    secret = ids.new_key(mode)
    return secret, hashlib.sha256(secret.encode()).digest()


def _may_give(
    by: Key | None,
    scopes: Sequence[str],
    networks: Sequence[Network],
    expires_at: datetime.datetime | None,
    cap_day_micros: int | None,
    cap_month_micros: int | None,
) -> None:
    if by is None:
        return
    for scope in scopes:
        if scope not in by.scopes:
            raise InsufficientScope(f"The key lacks the scope {scope!r}, so it cannot give it to another.", scope=scope)
    if by.networks and not (networks and all(_lies_within(network, by.networks) for network in networks)):
        allowed = ", ".join(map(str, by.networks))
        raise Forbidden(f"The key may be used from {allowed} alone, and so may those that it makes.", field="cidrs")
    if by.expires is not None and (expires_at is None or expires_at.timestamp() > by.expires):
        end = clock.iso(datetime.datetime.fromtimestamp(by.expires, datetime.UTC))
        raise Forbidden(f"The key ends at {end}, and those that it makes no later.", field="expires_at")
    for field, own, cap in (
        ("cap_day", by.cap_day_micros, cap_day_micros),
        ("cap_month", by.cap_month_micros, cap_month_micros),
    ):
        if own is not None and (cap is None or cap > own):
            raise Forbidden(f"The key's own {field} is lower, so it cannot give this one to another.", field=field)


def _lies_within(network: Network, others: Sequence[Network]) -> bool:
    """Whether each of its addresses is one of the others', which may lie side by side."""
    if isinstance(network, ipaddress.IPv4Network):
        of_v4 = ipaddress.collapse_addresses(each for each in others if isinstance(each, ipaddress.IPv4Network))
        return any(network.subnet_of(each) for each in of_v4)
    of_v6 = ipaddress.collapse_addresses(each for each in others if isinstance(each, ipaddress.IPv6Network))
    return any(network.subnet_of(each) for each in of_v6)


def _name(name: str) -> str:
    # Cc: control characters; Cs: halves of a surrogate pair, which are no text; Zl and Zp: ends of lines
    bad = any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name)
    if bad or not name.strip() or len(name) > LONGEST_NAME:
        raise InvalidRequest(
            f"A key's name is 1 to {LONGEST_NAME} characters, none of them a control character.", field="name"
        )
    return name


def _scopes(scopes: Sequence[str]) -> list[str]:
    if not scopes:
        raise InvalidRequest(f"A key has at least one scope of: {', '.join(ALL_SCOPES)}.", field="scopes")
    for place, scope in enumerate(scopes):
        if scope not in ALL_SCOPES:
            raise InvalidRequest(f"There is no scope {scope!r}; there are: {', '.join(ALL_SCOPES)}.", field="scopes")
        if scope in scopes[:place]:
            raise InvalidRequest(f"The scope {scope!r} is given twice.", field="scopes")
    return list(scopes)


def _networks(cidrs: Sequence[str]) -> list[Network]:
    if len(cidrs) > MOST_CIDRS:
        raise InvalidRequest(f"A key has at most {MOST_CIDRS} CIDRs.", field="cidrs")
    return list(dict.fromkeys(map(_network, cidrs)))


def _network(text: str) -> Network:
    """``10.0.0.0/8``, ``2001:db8::/32`` or one address; IPv4 in IPv6 (``::ffff:10.0.0.0/104``) is its IPv4."""
    address, slash, prefix = text.partition("/")
    try:
        if "%" in text or (slash and not (prefix.isascii() and prefix.isdigit())):
            raise ValueError
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidRequest(f"{text!r} is not a network, as 203.0.113.0/24 is one.", field="cidrs") from None
    if ipaddress.ip_address(address) != network.network_address:
        raise InvalidRequest(f"{text!r} is an address within a network: {network} is probably meant.", field="cidrs")
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:
        return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def _expiry(moment: datetime.datetime | None) -> datetime.datetime | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidRequest("expires_at lacks its time zone, as in 2027-01-01T00:00:00Z.", field="expires_at")
    try:
        moment = moment.astimezone(datetime.UTC)
    except OverflowError:
        raise InvalidRequest("expires_at is beyond the year 9999.", field="expires_at") from None
    if moment <= clock.now():
        raise InvalidRequest("expires_at is in the past.", field="expires_at")
    return moment
