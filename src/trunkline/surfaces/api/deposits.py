"""Handlers of /account/deposits."""

import dataclasses
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from trunkline import ids
from trunkline.errors import (
    IdempotencyInFlight,
    InvalidRequest,
    NotFound,
    Unavailable,
)
from trunkline.ledger import deposits
from trunkline.ledger.checkout import Checkout
from trunkline.ledger.problems import DepositsOff
from trunkline.ledger.views import Deposit
from trunkline.paging import Page
from trunkline.storage.database import Database
from trunkline.surfaces.http.route import Call, PageQuery, Route


class CreateDeposit(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    amount: Annotated[Decimal, Meta(description="In the account's currency.", examples=[25])]


@dataclasses.dataclass(frozen=True, slots=True)
class Deposits:
    """Without a ``checkout``, deposits are off."""

    database: Database
    checkout: Checkout | None
    bounds: deposits.Bounds

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
        ]
