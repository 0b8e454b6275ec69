"""Handlers of /account: the balance, and the ledger as its owner sees it."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trunkline import ids, money
from trunkline.accounts import accounts
from trunkline.api.routes import Call, Page, Route
from trunkline.clock import iso
from trunkline.errors import InvalidRequest
from trunkline.ledger import journal


class Limits(msgspec.Struct, frozen=True):
    requests_per_minute: int


class Account(msgspec.Struct, frozen=True):
    account_id: str
    email: str
    mode: Literal["live", "test"]
    balance: Decimal
    held: Decimal
    currency: str
    limits: Limits


class Transaction(msgspec.Struct, frozen=True):
    """A movement of money. `amount` is what it did to the balance that can be spent: a capture moves what was held."""

    transaction_id: str
    kind: Literal["credit", "hold", "capture", "release", "fee"]
    activation_id: str | None
    amount: Decimal
    moved: Decimal
    currency: str
    created_at: str


class TransactionsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 25
    cursor: str | None = None


_ON_BALANCE = {"credit": 1, "hold": -1, "capture": 0, "release": 1, "fee": 0}


async def show(call: Call) -> Account:
    row = await call.connection.fetchrow(accounts.SQL.by_id, call.key.account_id)
    balance = await call.connection.fetchrow(journal.SQL.balance, call.key.account_id)
    assert row is not None
    assert balance is not None
    return Account(
        str(row["account_id"]),
        row["email"],
        "test" if call.key.test else "live",
        money.show(0 if call.key.test else balance["available_micros"]),
        money.show(0 if call.key.test else balance["held_micros"]),
        balance["currency"],
        Limits(row["per_minute"]),
    )


async def transactions(call: Call) -> Page:
    before = ids.from_cursor(call.query.cursor) if call.query.cursor is not None else 2**63 - 1
    rows = []
    if not call.key.test:  # nothing of a test key is in the books
        rows = await call.connection.fetch(journal.SQL.transfers, call.key.account_id, before, call.query.limit + 1)
    more = len(rows) > call.query.limit
    data = [
        Transaction(
            str(row["transfer_id"]),
            row["kind"],
            str(row["activation_id"]) if row["activation_id"] is not None else None,
            money.show(_ON_BALANCE[row["kind"]] * row["amount_micros"]),
            money.show(row["amount_micros"]),
            row["currency"],
            iso(row["created_at"]),
        )
        for row in rows[: call.query.limit]
    ]
    return Page(data, ids.cursor(int(data[-1].transaction_id)) if more else None)


def routes() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/account",
            scope="account:read",
            handler=show,
            tag="Account",
            summary="Balance and limits",
            answer=Account,
        ),
        Route(
            method="GET",
            path="/account/transactions",
            scope="account:read",
            handler=transactions,
            tag="Account",
            summary="The ledger's view",
            description="Newest first.",
            query=TransactionsQuery,
            answer=list[Transaction],
            is_list=True,
            errors=(InvalidRequest,),
        ),
    ]
