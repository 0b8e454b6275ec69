"""Handlers of /account/deposits, and of what Stripe tells about them."""

import time
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from trunkline import ids, money
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.clock import iso
from trunkline.errors import (
    IdempotencyInFlight,
    InvalidRequest,
    InvalidSignature,
    NotFound,
    Unavailable,
)
from trunkline.ledger import deposits
from trunkline.ledger.checkout import Checkout
from trunkline.ledger.problems import DepositMismatch, DepositsOff
from trunkline.paging import Page
from trunkline.storage.database import Database, Querier, Row
from trunkline.surfaces.http.route import Call, Notice, Route

MOST_REFUSALS = 5  # in the audit, in a minute, by a process: whoever forges messages does not fill it


class CreateDeposit(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    amount: Annotated[Decimal, Meta(description="In the account's currency.", examples=[25])]


class Deposit(msgspec.Struct, frozen=True):
    """Money paid in. It is on the balance once `state` is `paid`."""

    deposit_id: Annotated[str, Meta(description="The deposit's id.", examples=["1001"])]
    amount: Annotated[Decimal, Meta(description="What is paid in.", examples=[25])]
    currency: str
    state: Annotated[
        Literal["pending", "paid", "expired"],
        Meta(description="`paid` as soon as the provider says so; `expired` where it will not be paid any more."),
    ]
    checkout_url: (
        Annotated[
            str,
            Meta(
                description="Where to pay it; null unless pending.", examples=["https://checkout.stripe.com/c/pay/cs_1"]
            ),
        ]
        | None
    )
    created_at: str
    paid_at: Annotated[str, Meta(description="When it was paid; null before.")] | None


class DepositsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 25
    cursor: str | None = None


class Received(msgspec.Struct, frozen=True):
    outcome: Annotated[
        Literal["paid", "expired", "repeated", "unknown", "ignored"], Meta(description="What the message did.")
    ]


def _shown(row: Row) -> Deposit:
    return Deposit(
        str(row["deposit_id"]),
        money.show(row["amount_micros"]),
        row["currency"],
        row["state"],
        row["checkout_url"] if row["state"] == "pending" else None,
        iso(row["created_at"]),
        iso(row["paid_at"]) if row["paid_at"] is not None else None,
    )


class _Refusals:
    """Which refused messages are written into the audit: the first few of each minute, with a count of the others."""

    def __init__(self) -> None:
        self._minute = -1
        self._written = self._left_out = 0

    def take(self) -> int | None:
        """How many were left out since the last one that was written; None: this one is left out too."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._written = minute, 0
        if self._written >= MOST_REFUSALS:
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        self._written += 1
        return left_out


def routes(*, database: Database, checkout: Checkout | None, minimum_micros: int, maximum_micros: int) -> list[Route]:
    """The table's lines for deposits; without a ``checkout``, they are off."""
    refusals = _Refusals()

    async def create(call: Call) -> Deposit:
        if call.key.test:
            raise DepositsOff("A test key has no money: nothing is charged to it, and nothing is paid in.")
        if checkout is None:
            raise DepositsOff("The operator takes no payments here; ask them for credit.")
        micros = money.parse(call.body.amount)
        if not minimum_micros <= micros <= maximum_micros:
            least, most = money.show(minimum_micros), money.show(maximum_micros)
            raise InvalidRequest(f"A deposit is {least:f} to {most:f}.", field="amount")

        async def begun(connection: Querier) -> Row:
            row, is_new = await deposits.begin(connection, call.key.account_id, micros, call.idempotency_key)
            if is_new:
                facts = {"amount": money.show(micros), "currency": row["currency"]}
                await acts.record(connection, call.actor, "deposit.created", f"deposit:{row['deposit_id']}", facts)
            return row

        return _shown(await deposits.open_checkout(database, checkout, await database.transact(begun)))

    async def page(call: Call) -> Page[Any]:
        before = ids.from_cursor(call.query.cursor) if call.query.cursor is not None else 2**63 - 1
        rows: list[Row] = []
        if not call.key.test:
            rows = [
                *await call.connection.fetch(deposits.SQL.deposits, call.key.account_id, before, call.query.limit + 1)
            ]
        more = len(rows) > call.query.limit
        rows = rows[: call.query.limit]
        return Page([_shown(row) for row in rows], rows[-1]["deposit_id"] if more else None)

    async def show(call: Call) -> Deposit:
        deposit_id = ids.from_path(call.path["deposit_id"])
        row = None
        if deposit_id is not None and not call.key.test:
            row = await call.connection.fetchrow(deposits.SQL.deposit, deposit_id, call.key.account_id)
        if row is None:
            raise NotFound("There is no such deposit.")
        return _shown(row)

    async def told(notice: Notice) -> Received:
        if checkout is None:
            raise DepositsOff("The operator takes no payments here.")
        actor = Actor("stripe", None, False, notice.address, notice.request_id)
        try:
            message = checkout.read(notice.body, notice.headers.get(b"stripe-signature", b""))
        except InvalidSignature as refusal:
            left_out = refusals.take()
            if left_out is not None:
                facts = {"why": refusal.detail, "left_out_before": left_out}
                await acts.record(database, actor, "deposit.refused", "unsigned", facts)
            raise
        if message is None:
            return Received("ignored")

        async def settled(connection: Querier) -> deposits.Outcome | DepositMismatch:
            outcome, row = await deposits.settle(connection, message)
            if row is not None and outcome != "repeated":
                action = "deposit.refused" if isinstance(outcome, DepositMismatch) else f"deposit.{outcome}"
                facts = {
                    "amount": money.show(row["amount_micros"]), "currency": row["currency"], "event": message.event_id,
                    "told_minor": message.minor, "told_currency": message.currency,
                }  # fmt: skip
                target, owner = f"deposit:{row['deposit_id']}", row["account_id"]
                await acts.record(connection, actor, action, target, facts, account_id=owner)
            return outcome

        outcome = await database.transact(settled)
        if isinstance(outcome, DepositMismatch):
            raise outcome
        return Received(outcome)

    return [
        Route(
            method="POST",
            path="/account/deposits",
            scope="admin",
            handler=create,
            tag="Deposits",
            summary="Pay money in",
            description="Answers with the address of a page where it is paid. Live keys only.",
            body=CreateDeposit,
            answer=Deposit,
            idempotent=True,
            asks_outside=True,
            share="outside",
            errors=(InvalidRequest, DepositsOff, IdempotencyInFlight, Unavailable),
        ),
        Route(
            method="GET",
            path="/account/deposits",
            scope="account:read",
            handler=page,
            tag="Deposits",
            summary="Your deposits",
            description="Newest first.",
            query=DepositsQuery,
            answer=list[Deposit],
            is_list=True,
            errors=(InvalidRequest,),
        ),
        Route(
            method="GET",
            path="/account/deposits/{deposit_id}",
            scope="account:read",
            handler=show,
            tag="Deposits",
            summary="One deposit",
            answer=Deposit,
            errors=(NotFound,),
        ),
        Route(
            method="POST",
            path="/stripe/events",
            scope=None,
            handler=told,
            tag="Deposits",
            summary="What Stripe tells",
            description="Stripe sends its signed events here; nobody else is heard.",
            answer=Received,
            is_notice=True,
            errors=(InvalidSignature, DepositsOff, DepositMismatch),
        ),
    ]
