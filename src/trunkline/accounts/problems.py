"""What an account or its key may not do."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from trunkline.errors import Conflict, Forbidden, Limit, PaymentRequired, RateLimited, RetryAt, members


@members
class InsufficientScope(Forbidden):
    code, title = "insufficient_scope", "Insufficient scope"
    example = {"detail": "The key lacks the scope 'account:read'.", "scope": "account:read"}
    scope: Annotated[str, Meta(description="The scope that the key lacks.")]


class IpNotAllowed(Forbidden):
    """The key has a list of addresses, and the caller's is none of them."""

    code, title = "ip_not_allowed", "Address not allowed"
    example = {"detail": "The key may not be used from the address 203.0.113.9."}


class AccountFrozen(Forbidden):
    """By the operator."""

    code, title = "account_frozen", "Account frozen"
    example = {"detail": "The account is frozen: leases for accounts of others. Write to abuse@example.com."}


@members
class SpendCapReached(PaymentRequired):
    """A limit that the customer set themselves."""

    code, title = "spend_cap_reached", "Spend cap reached"
    example = {
        "detail": "The key may spend 20 a day, and 19.6 of it is spent.",
        "cap": 20, "spent": 19.6, "period": "day", "of": "key", "retry_at": "2026-04-20T00:00:00Z",
    }  # fmt: skip
    cap: Annotated[Decimal, Meta(description="What may be spent in the period.")]
    spent: Annotated[Decimal, Meta(description="What of it is spent or held.")]
    period: Annotated[Literal["day", "month"], Meta(description="A day or a calendar month of UTC.")]
    of: Annotated[Literal["account", "key"], Meta(description="Whose cap it is.")]
    retry_at: RetryAt


class KeyEnded(Conflict):
    code, title = "key_ended", "Key revoked or expired"


@members
class TooManyKeys(Conflict):
    code, title = "too_many_keys", "Too many keys"
    example = {"detail": "An account has at most 100 live keys that work.", "limit": 100}
    limit: Limit
    retry_at: RetryAt | UnsetType = UNSET


class TooManyAtOnce(RateLimited):
    code, title = "too_many_at_once", "Too many calls at once"
    example = {
        "detail": "Too many calls of the account are at work or waiting; ask again in a moment.",
        "retry_at": "2026-04-19T14:32:00Z",
    }
