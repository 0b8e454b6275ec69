"""Handlers of /account/deposits, and of what Stripe tells about them."""

import dataclasses
import time
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trunkline import ids
from trunkline.audit.acts import Actor
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
from trunkline.ledger.views import Deposit
from trunkline.paging import Page
from trunkline.storage.database import Database
from trunkline.surfaces.http.route import Call, Notice, PageQuery, Route

MOST_REFUSALS = 5  # in the audit, in a minute, by a process: whoever forges messages does not fill it


class CreateDeposit(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    amount: Annotated[Decimal, Meta(description="In the account's currency.", examples=[25])]


class Received(msgspec.Struct, frozen=True):
    outcome: Annotated[
        Literal["paid", "expired", "repeated", "unknown", "ignored"], Meta(description="What the message did.")
    ]


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


@dataclasses.dataclass(frozen=True, slots=True)
class Deposits:
    """Without a ``checkout``, deposits are off."""

    database: Database
    checkout: Checkout | None
    bounds: deposits.Bounds
    refusals: _Refusals = dataclasses.field(default_factory=_Refusals)

    async def create(self, call: Call) -> Deposit:
        return await deposits.create(
            self.database,
            self.checkout,
            self.bounds,
            call.actor,
            call.key.account_id,
            call.body.amount,
            call.idempotency_key,
        )

    async def page(self, call: Call) -> Page[Deposit]:
        query: PageQuery = call.query
        before = query.before
        if call.key.test:
            return Page([], None)
        return await deposits.page(call.connection, call.key.account_id, before=before, limit=query.limit)

    async def show(self, call: Call) -> Deposit:
        deposit_id = None if call.key.test else ids.from_path(call.path["deposit_id"])
        return await deposits.show(call.connection, call.key.account_id, deposit_id)

    async def told(self, notice: Notice) -> Received:
        if self.checkout is None:
            raise DepositsOff("The operator takes no payments here.")
        actor = Actor("stripe", None, False, notice.address, notice.request_id)
        try:
            message = self.checkout.read(notice.body, notice.headers.get(b"stripe-signature", b""))
        except InvalidSignature as refusal:
            left_out = self.refusals.take()
            if left_out is not None:
                await deposits.refuse_unsigned(self.database, actor, refusal.detail, left_out_before=left_out)
            raise
        if message is None:
            return Received("ignored")
        outcome = await self.database.transact(lambda connection: deposits.settle(connection, actor, message))
        if isinstance(outcome, DepositMismatch):
            raise outcome
        return Received(outcome)

    def routes(self) -> list[Route]:
        """The table's lines for deposits."""
        return [
            Route(
                method="POST",
                path="/account/deposits",
                scope="admin",
                handler=self.create,
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
                handler=self.page,
                tag="Deposits",
                summary="Your deposits",
                description="Newest first.",
                query=PageQuery,
                answer=list[Deposit],
                is_list=True,
                errors=(InvalidRequest,),
            ),
            Route(
                method="GET",
                path="/account/deposits/{deposit_id}",
                scope="account:read",
                handler=self.show,
                tag="Deposits",
                summary="One deposit",
                answer=Deposit,
                errors=(NotFound,),
            ),
            Route(
                method="POST",
                path="/stripe/events",
                scope=None,
                handler=self.told,
                tag="Deposits",
                summary="What Stripe tells",
                description="Stripe sends its signed events here; nobody else is heard.",
                answer=Received,
                is_notice=True,
                errors=(InvalidSignature, DepositsOff, DepositMismatch),
            ),
        ]
