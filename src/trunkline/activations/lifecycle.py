"""The life of a lease: purchase, finish, expire. Each is one statement; its money moves in the same transaction."""

import contextlib
import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from trunkline import clock, money, paging
from trunkline.accounts.caps import UNCAPPED, Caps
from trunkline.accounts.problems import AccountFrozen, SpendCapReached
from trunkline.activations import views
from trunkline.activations.matching import KEPT_BACK, UNNAMED
from trunkline.activations.problems import (
    ActivationFinished,
    CancelTooEarly,
    NoNumbersAvailable,
    NoSmsReceived,
    PriceAboveMax,
    ServiceNotEnabled,
    SmsAlreadyReceived,
    SuccessRateTooLow,
    TooManyActive,
    TooManyCancels,
    TooManyPurchases,
)
from trunkline.activations.views import Activation, Detail, Lease
from trunkline.carriers.registry import Terms
from trunkline.catalog.problems import UnknownCountry, UnknownService
from trunkline.errors import (
    InvalidRequest,
    NotFound,
    PaymentRequired,
    RateLimited,
    TrunklineError,
    Unavailable,
)
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

MOST_LABELS = 10
LONGEST_LABEL = 64
LONGEST_VALUE = 256
LONGEST_FILTER = 200
MOST_OTHERS = 10  # countries named where one has no numbers


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """What the operator rules for leases; an account may have its own caps."""

    fee_micros: int = 0  # kept when a lease ends without a text
    caps: Caps[int | None, float | None] = UNCAPPED
    retention_days: int = 1  # after a lease's end
    appeal: str = ""  # whom a refused customer may ask, a sentence


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer asks for, checked; ``max_price`` in micros, ``ttl`` in seconds."""

    country: str
    service: str
    max_micros: int | None
    operator: str | None
    ttl: int
    sender: str | None
    contains: str | None
    labels: dict[str, str]


def check_labels(labels: Mapping[str, str]) -> None:
    """Raises InvalidRequest for more than 10 labels, or one that is empty or long."""
    if len(labels) > MOST_LABELS:
        raise InvalidRequest(f"A lease has at most {MOST_LABELS} labels.", field="labels")
    for name, value in labels.items():
        if not 1 <= len(name) <= LONGEST_LABEL or len(value) > LONGEST_VALUE:
            raise InvalidRequest(
                f"A label's name has 1 to {LONGEST_LABEL} characters, its value at most {LONGEST_VALUE}.",
                field="labels",
            )


async def purchase(
    connection: Querier,
    account_id: int,
    orders: Sequence[Order],
    *,
    key_id: int,
    test: bool,
    terms: Mapping[str, Terms],
    policy: Policy,
    countries: Mapping[str, object],
    dry_run: bool = False,
) -> list[Lease | TrunklineError]:
    """Leases a number for each order, in one round trip and one transaction; a refused order changes nothing.

    ``terms`` are those of the carriers whose numbers this buyer may lease; ``countries`` all that exist.
    """
    answers: list[Lease | TrunklineError] = [
        UnknownCountry(f"There is no country {order.country!r}.", field="country") for order in orders
    ]
    known = [place for place, order in enumerate(orders) if order.country in countries]
    asked = [orders[place] for place in known]
    rows = await connection.fetch(
        *bind(
            SQL.purchase,
            account=account_id,
            test=test,
            dry_run=dry_run,
            countries=[order.country for order in asked],
            services=[order.service for order in asked],
            max_micros=[order.max_micros for order in asked],
            operators=[order.operator for order in asked],
            ttls=[order.ttl for order in asked],
            senders=[order.sender for order in asked],
            contains=[order.contains for order in asked],
            labels=[msgspec.json.encode(order.labels).decode() if order.labels else None for order in asked],
            fee_micros=policy.fee_micros,
            carriers=list(terms),
            cancel_waits=[each.cancel_wait_seconds for each in terms.values()],
            rests=[each.rest_seconds for each in terms.values()],
            key=key_id,
            max_active=policy.caps.max_active,
            per_hour=policy.caps.purchases_per_hour,
            success_floor=_exactly(policy.caps.success_floor),
            retain_days=policy.retention_days,
            test_max_active=policy.caps.test_max_active,
            test_max_any=policy.caps.test_max_any,
            test_country_share=_exactly(policy.caps.test_country_share),
            test_per_day=policy.caps.test_purchases_per_day,
        ),
    )
    stocked: list[str] = []
    if any(row["problem"] == "no_numbers_available" for row in rows):
        with contextlib.suppress(Unavailable):  # by now the others may be leased, and their buyer must hear of it
            stocked = [place["country"] for place in await connection.fetch(SQL.elsewhere, test, list(terms))]
    for row in rows:
        place = known[row["place"] - 1]
        if row["problem"]:
            answers[place] = _refusal(orders[place], row, policy, stocked)
        else:
            answers[place] = _lease(orders[place], row, dry_run=dry_run)
    return answers


def _exactly(share: float | None) -> Decimal | None:
    return None if share is None else Decimal(str(share))


def _lease(order: Order, row: Row, *, dry_run: bool) -> Lease:
    return Lease(
        activation_id=None if dry_run else str(row["activation_id"]),
        phone_number=row["e164"],
        country=order.country,
        service=order.service,
        expires_at=None if dry_run else clock.iso(row["expires_at"]),
        cost=money.show(row["cost_micros"]),
        cancel_available_at=None if dry_run else clock.iso(row["cancel_after"]),
        labels=order.labels,
        dry_run=dry_run,
    )


def _refusal(order: Order, row: Row, policy: Policy, stocked: Sequence[str]) -> TrunklineError:
    facts = msgspec.json.decode(row["facts"]) if row["facts"] else {}
    match row["problem"]:
        case "unknown_service":
            return UnknownService(f"There is no service {order.service!r}.", field="service")
        case "no_numbers_available":
            return NoNumbersAvailable(
                f"No number is free for {order.service!r} in {order.country!r} at the moment.",
                countries=[country for country in stocked if country != order.country][:MOST_OTHERS],
            )
        case "price_above_max":
            price = money.show(facts["min_price_micros"])
            return PriceAboveMax(f"The price is {price}, above your max_price.", min_price=price)
        case "insufficient_balance":
            balance, cost = money.show(facts["balance_micros"]), money.show(facts["cost_micros"])
            return PaymentRequired(f"The lease costs {cost}, and {balance} is available.", balance=balance, cost=cost)
        case "service_not_enabled":
            return ServiceNotEnabled(
                f"The operator has not enabled {order.service!r} on real carriers in {order.country!r}. Ask them to, or"
                " prove that the service is yours."
            )
        case "spend_cap_reached":
            whose, period = facts["cap"].split("_")
            cap, spent = money.show(facts["cap_micros"]), money.show(facts["spent_micros"])
            return SpendCapReached(
                f"The {whose} may spend {cap} a {period}, and {spent} of it is spent.",
                cap=cap, spent=spent, period=period, of=whose, retry_at=_instant(facts["retry_at"]),
            )  # fmt: skip
        case "account_frozen":
            return AccountFrozen(_appealing(f"The operator has frozen the account: {facts['reason']}.", policy))
        case "too_many_active":
            return TooManyActive(_too_many_active(order, facts), limit=facts["limit"], retry_at=_again(facts))
        case "too_many_purchases":
            period = "with test keys a day (UTC)" if "of" in facts else "on real carriers an hour"
            return TooManyPurchases(
                f"The account may lease {facts['limit']} numbers {period}.",
                limit=facts["limit"],
                retry_at=_again(facts),
            )
        case "success_rate_too_low":
            share, floor = facts["success_rate"], facts["floor"]
            return SuccessRateTooLow(
                _appealing(
                    f"Of the account's last leases on real carriers {share:.0%} got a text; {floor:.0%} is asked for.",
                    policy,
                ),
                success_rate=share,
                success_floor=floor,
            )
        case "rate_limited":
            return RateLimited("The service test_rate_limited answers so, always.", retry_at=_again(facts))
    raise AssertionError(f"purchase() answered {row['problem']}")


def _too_many_active(order: Order, facts: Mapping[str, Any]) -> str:
    most = facts["limit"]
    match facts.get("of"):
        case "test":
            return f"The account may have {most} active leases by test keys at a time: finish those that are done."
        case "any":
            return f"The account may have {most} active leases of «any» by test keys at a time."
        case "country":
            return f"The account may have {most} active leases by test keys in {order.country!r} at a time."
    return f"The account may have {most} active leases on real carriers at a time."


def _again(facts: Mapping[str, Any]) -> str | UnsetType:
    """When to try again; unset where no time would help."""
    return _instant(facts["retry_at"]) if facts.get("retry_at") else UNSET


def _instant(text: str) -> str:
    """A time from the database's JSON, rounded up to the second, so that it is not too early."""
    at = datetime.datetime.fromisoformat(text)
    if at.tzinfo is None:  # a date
        at = at.replace(tzinfo=datetime.UTC)
    return clock.iso(at + datetime.timedelta(microseconds=999_999))


def _appealing(sentence: str, policy: Policy) -> str:
    return f"{sentence} {policy.appeal or 'The operator can be asked to look at it.'}"


async def finish(
    connection: Querier, account_id: int, activation_id: int, word: str, *, test: bool, policy: Policy
) -> Activation:
    """Completes or cancels; saying the same word again answers the same.

    Raises NotFound, ActivationFinished, NoSmsReceived, SmsAlreadyReceived (with the text), CancelTooEarly or
    TooManyCancels.
    """
    row = await connection.fetchrow(
        *bind(
            SQL.finish,
            account=account_id,
            test=test,
            activation=activation_id,
            state=word,
            cancels_per_hour=policy.caps.cancels_per_hour,
        )
    )
    assert row is not None
    now = clock.now()
    match row["problem"]:
        case None:
            return views.activation(row, now)
        case "not_found":
            raise NotFound("There is no such activation.")
        case "activation_finished":
            raise ActivationFinished(f"The activation is {row['state']} already.", activation_status=row["state"])
        case "no_sms_received":
            raise NoSmsReceived("No text has arrived yet: cancel the activation, or wait for one.")
        case "sms_already_received":
            raise SmsAlreadyReceived(
                "A text has arrived, so the activation cannot be cancelled any more: complete it.",
                sms=views.texts(row)[-1],
            )
        case "cancel_too_early":
            after = clock.iso(row["cancel_after"] + datetime.timedelta(microseconds=999_999))
            raise CancelTooEarly(f"The activation can be cancelled from {after}.", cancel_available_at=after)
        case "too_many_cancels":
            facts = msgspec.json.decode(row["facts"])
            raise TooManyCancels(
                f"The account may cancel {facts['limit']} leases on real carriers an hour; without a text this one ends"
                " at its deadline and is refunded.",
                retry_at=_again(facts),
            )
    raise AssertionError(f"finish() answered {row['problem']}")


async def detail(connection: Querier, account_id: int, activation_id: int, *, test: bool) -> Detail:
    """Raises NotFound, also for what belongs to somebody else."""
    row = await connection.fetchrow(
        *bind(SQL.one, activation=activation_id, account=account_id, test=test, kept_back=KEPT_BACK, unnamed=UNNAMED)
    )
    if row is None:
        raise NotFound("There is no such activation.")
    return views.detail(row, clock.now())


async def page(
    connection: Querier,
    account_id: int,
    *,
    test: bool,
    state: views.State | None,
    service: str | None,
    country: str | None,
    labels: Mapping[str, str],
    before: int = paging.NEWEST,
    limit: int,
) -> paging.Page[Activation]:
    """The account's leases, newest first. Raises InvalidRequest for labels that no lease can have."""
    check_labels(labels)
    others = {name: value for name, value in labels.items() if name != "run_id"}
    rows = await connection.fetch(
        *bind(
            SQL.list,
            account=account_id,
            test=test,
            before=before,
            state=state,
            service=service,
            country=country.lower() if country is not None else None,
            run_id=labels.get("run_id"),
            labels=msgspec.json.encode(others).decode() if others else None,
            limit=limit + 1,
        ),
    )
    now = clock.now()
    return paging.cut(rows, limit, lambda row: views.activation(row, now), lambda row: row["activation_id"])
