"""Money as its owner sees it, each field with its meaning; and the way from a row to it."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trunkline import fields, money
from trunkline.clock import iso
from trunkline.storage.database import Row


class Transaction(msgspec.Struct, frozen=True):
    """A movement of money. `amount` is what it did to the balance that can be spent: a capture moves what was held."""

    transaction_id: Annotated[str, Meta(description="The movement's id.", examples=["31"])]
    kind: Annotated[
        Literal["credit", "hold", "capture", "release", "fee"],
        Meta(description="What moved the money.", examples=["hold"]),
    ]
    activation_id: fields.ActivationId | None
    deposit_id: fields.DepositId | None
    verification_id: fields.VerificationId | None
    amount: Annotated[Decimal, Meta(description="What this did to the balance that can be spent.", examples=[-0.8])]
    moved: Annotated[Decimal, Meta(description="The amount that moved, without a sign.", examples=[0.8])]
    currency: fields.Currency
    created_at: fields.CreatedAt


class Deposit(msgspec.Struct, frozen=True):
    """Money paid in. It is on the balance once `state` is `paid`."""

    deposit_id: fields.DepositId
    amount: Annotated[Decimal, Meta(description="What is paid in.", examples=[25])]
    currency: fields.Currency
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
    created_at: fields.CreatedAt
    paid_at: Annotated[str, Meta(description="When it was paid; null before.")] | None


def transaction(row: Row) -> Transaction:
    return Transaction(
        str(row["transfer_id"]),
        row["kind"],
        str(row["activation_id"]) if row["activation_id"] is not None else None,
        str(row["deposit_id"]) if row["deposit_id"] is not None else None,
        f"ver_{row['verification_id']}" if row["verification_id"] is not None else None,
        money.show(row["micros"]),
        money.show(row["amount_micros"]),
        row["currency"],
        iso(row["created_at"]),
    )


def deposit(row: Row) -> Deposit:
    return Deposit(
        str(row["deposit_id"]),
        money.show(row["amount_micros"]),
        row["currency"],
        row["state"],
        row["checkout_url"] if row["state"] == "pending" else None,
        iso(row["created_at"]),
        iso(row["paid_at"]) if row["paid_at"] is not None else None,
    )
