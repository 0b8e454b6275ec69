"""Why a number is not leased, or a lease is not ended as its customer asks."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from trunkline.activations import views
from trunkline.errors import Conflict, Forbidden, NotFound, RateLimited, members


@members
class NoNumbersAvailable(NotFound):
    code, title = "no_numbers_available", "No numbers available"
    example = {"detail": "No number is free for 'whatsapp' in 'us' at the moment.", "countries": ["ca", "gb"]}
    countries: Annotated[list[str], Meta(description="Other countries with free numbers.")]


@members
class PriceAboveMax(Conflict):
    code, title = "price_above_max", "Price above the maximum"
    example = {"detail": "The price is 0.85, above your max_price.", "min_price": 0.85}
    min_price: Annotated[Decimal, Meta(description="What the lease costs now.")]


class ServiceNotEnabled(Forbidden):
    """The operator has not opened this service on real carriers."""

    code, title = "service_not_enabled", "Service not enabled"


@members
class SuccessRateTooLow(Forbidden):
    """Too few of the account's leases got a text."""

    code, title = "success_rate_too_low", "Success rate too low"
    example = {
        "detail": "Of the account's last leases on real carriers 8% got a text; 20% is asked for. Write to "
        "abuse@example.com.",
        "success_rate": 0.08,
        "success_floor": 0.2,
    }
    success_rate: Annotated[float, Meta(description="The share of the last leases that got a text.")]
    success_floor: Annotated[float, Meta(description="The share that is asked for.")]


class TooManyActive(RateLimited):
    code, title = "too_many_active", "Too many active leases"
    example = {
        "detail": "The account may have 200 active leases by test keys at a time.",
        "limit": 200, "retry_at": "2026-04-19T14:32:00Z",
    }  # fmt: skip


class TooManyPurchases(RateLimited):
    code, title = "too_many_purchases", "Too many purchases"


class TooManyCancels(RateLimited):
    code, title = "too_many_cancels", "Too many cancellations"


@members
class ActivationFinished(Conflict):
    code, title = "activation_finished", "Activation finished"
    example = {"detail": "The activation is cancelled already.", "activation_status": "cancelled"}
    activation_status: Annotated[views.State, Meta(description="The state in which the lease is.")]


@members
class SmsAlreadyReceived(Conflict):
    code, title = "sms_already_received", "SMS already received"
    example = {
        "detail": "A text has arrived, so the activation cannot be cancelled any more: complete it.",
        "sms": views.Sms("847291", "Your WhatsApp code: 847291", "2026-04-19T14:31:22Z", "WhatsApp", 1),
    }
    sms: Annotated[views.Sms, Meta(description="The text that was there before the cancel.")]


class NoSmsReceived(Conflict):
    code, title = "no_sms_received", "No SMS received"


@members
class CancelTooEarly(Conflict):
    code, title = "cancel_too_early", "Cancel too early"
    example = {
        "detail": "The activation can be cancelled from 2026-04-19T14:32:00Z.",
        "cancel_available_at": "2026-04-19T14:32:00Z",
    }
    cancel_available_at: Annotated[
        str, Meta(description="From when the lease can be cancelled.", examples=["2026-04-19T14:30:00Z"])
    ]
