"""Inbound webhooks: what other systems tell us, each proved by its own signature instead of a key."""

import time
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trunkline.audit.acts import Actor
from trunkline.errors import InvalidSignature
from trunkline.ledger import deposits
from trunkline.ledger.checkout import Checkout
from trunkline.ledger.problems import DepositMismatch, DepositsOff
from trunkline.storage.database import Database
from trunkline.surfaces.http.route import Callback, Route
from trunkline.surfaces.http.surface import Surface

MOST_REFUSALS = 5  # in the audit, in a minute, by a process: whoever forges messages does not fill it


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


class StripeEvents(Surface):
    """What Stripe tells of payments. Without a ``checkout``, deposits are off."""

    signed = True
    headers = ("StripeSignature",)

    def __init__(self, base: str, database: Database, checkout: Checkout | None) -> None:
        self._database = database
        self._checkout = checkout
        self._refusals = _Refusals()
        super().__init__(base, [self._route()])

    async def told(self, callback: Callback) -> Received:
        if self._checkout is None:
            raise DepositsOff("The operator takes no payments here.")
        actor = Actor("stripe", None, False, callback.address, callback.request_id)
        try:
            message = self._checkout.read(callback.body, callback.headers.get(b"stripe-signature", b""))
        except InvalidSignature as refusal:
            left_out = self._refusals.take()
            if left_out is not None:
                await deposits.refuse_unsigned(self._database, actor, refusal.detail, left_out_before=left_out)
            raise
        if message is None:
            return Received("ignored")
        outcome = await self._database.transact(lambda connection: deposits.settle(connection, actor, message))
        if isinstance(outcome, DepositMismatch):
            raise outcome
        return Received(outcome)

    def _route(self) -> Route:
        return Route(
            method="POST",
            path="/stripe/events",
            scope=None,
            handler=self.told,
            tag="Deposits",
            summary="What Stripe tells",
            description="Stripe sends its signed events here; nobody else is heard.",
            answer=Received,
            errors=(InvalidSignature, DepositsOff, DepositMismatch),
        )
