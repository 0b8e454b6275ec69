"""Stripe Checkout, with Stripe's own package: opens the page on which a deposit is paid, and knows Stripe's messages.

The package is loaded with the first use: it takes as long to load as everything else together, and few need it.
"""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import logging
import time
from typing import Any, Literal

import msgspec

from trunkline import money
from trunkline.egress.shares import Shares
from trunkline.errors import IdempotencyInFlight, InvalidRequest, InvalidSignature, MalformedBody, Unavailable

log = logging.getLogger("trunkline.checkout")

DEADLINE_SECONDS = 10
CONNECT_SECONDS, READ_SECONDS = 2.0, 4.5  # of each of the two attempts
RETRIES = 1
TOLERANCE_SECONDS = 300  # how old a message may be
AHEAD_SECONDS = 300  # and how far ahead of our clock
THREADS = 8  # the package waits for its answers; ours are the threads in which it does
SHARE = 2  # of them, that one account gets

# https://docs.stripe.com/currencies: how many decimals Stripe's whole numbers have, and of what they must be multiples.
_TWO_DECIMALS = (2, 1)
_NO_DECIMALS = ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
_MINOR = {
    **dict.fromkeys(_NO_DECIMALS, (0, 1)),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), (3, 10)),
    **dict.fromkeys(("ISK", "UGX"), (2, 100)),  # without decimals, but written as if they had two
}


def to_minor(micros: int, currency: str) -> int:
    """An amount in the whole numbers that Stripe counts in. Raises InvalidRequest where it is none of them."""
    decimals, step = _MINOR.get(currency, _TWO_DECIMALS)
    unit = int(money.MICROS / 10**decimals)
    minor, rest = divmod(micros, unit)
    if rest or minor % step:
        smallest = money.show(step * unit)
        raise InvalidRequest(f"An amount of {currency} is a multiple of {smallest:f}.", field="amount")
    return minor


@dataclasses.dataclass(frozen=True, slots=True)
class Session:
    """A page of Stripe's on which a deposit can be paid."""

    ref: str
    url: str


class NotOpened(Exception):
    """Stripe has refused: no session is there. ``error`` is what the caller is told."""

    def __init__(self, error: InvalidRequest | Unavailable) -> None:
        self.error = error


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What Stripe says about a session."""

    event_id: str
    session: str
    what: Literal["paid", "ended"]
    minor: int | None
    currency: str


class _Event(msgspec.Struct):
    class Data(msgspec.Struct):
        object: msgspec.Raw

    id: str
    type: str
    data: Data


class _Session(msgspec.Struct):
    id: str
    payment_status: str
    amount_total: int | None = None
    currency: str | None = None


class Checkout:
    """An account at Stripe. ``api_base`` is another server's URL in tests."""

    def __init__(
        self, *, secret_key: str, webhook_secret: str, success_url: str, cancel_url: str, api_base: str
    ) -> None:
        self._secret_key = secret_key
        self._webhook_secret = webhook_secret
        self._success_url = success_url
        self._cancel_url = cancel_url
        self._api_base = api_base
        self._client: Any = None
        self._threads = concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="stripe")
        self._shares = Shares(THREADS, SHARE)

    async def open(self, account_id: int, deposit_id: int, micros: int, currency: str) -> Session:
        """The session of a deposit; the same one again where Stripe knows it already.

        Raises NotOpened; Unavailable and IdempotencyInFlight where it is not known whether there is one now.
        """
        minor = to_minor(micros, currency)
        loop = asyncio.get_running_loop()

        def give_back(_: object) -> None:  # once the thread is free, which may be after our time is over
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._shares.give_back, account_id)

        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._shares.take(account_id)
                asking = self._threads.submit(self._open, deposit_id, minor, currency)
                asking.add_done_callback(give_back)
                return await asyncio.wrap_future(asking)
        except TimeoutError:
            log.warning("Stripe did not answer about deposit %d within %d s", deposit_id, DEADLINE_SECONDS)
            raise _away() from None

    def _open(self, deposit_id: int, minor: int, currency: str) -> Session:
        import stripe

        if self._client is None:
            stripe.enable_telemetry = False
            self._client = stripe.StripeClient(
                self._secret_key,
                base_addresses={"api": self._api_base},
                http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS)),
                max_network_retries=RETRIES,
            )
        metadata = {"deposit_id": str(deposit_id)}
        try:
            session = self._client.v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "client_reference_id": str(deposit_id),
                    "metadata": metadata,
                    "payment_intent_data": {"metadata": metadata},
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": currency.lower(),
                                "unit_amount": minor,
                                "product_data": {"name": "Account balance"},
                            },
                        }
                    ],
                    "adaptive_pricing": {"enabled": False},  # what is paid is what the deposit says
                    "success_url": self._success_url,
                    "cancel_url": self._cancel_url,
                },
                {"idempotency_key": f"trunkline-deposit-{deposit_id}"},
            )
        except stripe.APIConnectionError as error:
            log.warning("Stripe cannot be reached about deposit %d: %s", deposit_id, error)
            raise _away() from None
        except stripe.StripeError as error:
            log.warning("Stripe refuses deposit %d: %s %s", deposit_id, error.http_status, error)
            if error.http_status == 409:
                raise IdempotencyInFlight("The deposit is being opened by another request; ask again.") from None
            if error.code in ("amount_too_small", "amount_too_large"):
                refusal: InvalidRequest | Unavailable = InvalidRequest(
                    "The payment provider does not take an amount like this one.", field="amount"
                )
            else:
                refusal = _away()
            raise NotOpened(refusal) from None
        ref, url = getattr(session, "id", None), getattr(session, "url", None)
        if not ref or not url:
            log.warning("Stripe's answer about deposit %d is no session", deposit_id)
            raise NotOpened(_away())
        return Session(ref, url)

    def read(self, raw: bytes, signature: bytes) -> Told | None:
        """What a message says; None where it is about nothing of ours.

        Raises InvalidSignature for one that is not Stripe's, is too old or from the future, MalformedBody.
        """
        import stripe

        try:
            stripe.WebhookSignature.verify_header(
                raw, signature.decode("ascii"), self._webhook_secret, TOLERANCE_SECONDS
            )
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            raise InvalidSignature("The message is not signed by Stripe, or older than 5 minutes.") from None
        if _signed_at(signature) > time.time() + AHEAD_SECONDS:  # which the package takes
            raise InvalidSignature("The message is signed for a time more than 5 minutes ahead.")
        try:
            event = msgspec.json.decode(raw, type=_Event)
            what = _ABOUT.get(event.type)
            if what is None:
                return None
            session = msgspec.json.decode(event.data.object, type=_Session)
        except msgspec.MsgspecError as error:
            raise MalformedBody(f"The message is none of Stripe's: {error}.") from None
        if what == "paid" and session.payment_status != "paid":
            return None  # of a slow method: another message follows
        return Told(event.id, session.id, what, session.amount_total, (session.currency or "").upper())


_ABOUT: dict[str, Literal["paid", "ended"]] = {
    "checkout.session.completed": "paid",
    "checkout.session.async_payment_succeeded": "paid",
    "checkout.session.expired": "ended",
    "checkout.session.async_payment_failed": "ended",
}


def _signed_at(signature: bytes) -> int:
    """Of a header that has been verified."""
    return next(int(each[2:]) for each in signature.decode("ascii").split(",") if each.startswith("t="))


def _away() -> Unavailable:
    return Unavailable(
        "The payment provider does not open a payment at the moment; nothing is charged. Ask again later."
    )
