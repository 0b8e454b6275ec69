"""The errors that the product raises on purpose, as one tree; what the outside gets of each is a problem (RFC 9457).

TrunklineError 500 internal_error
├── InvalidRequest 422              a field is missing, of the wrong type, out of range or unknown
│   ├── MalformedBody 400           not JSON, not UTF-8, a broken header
│   ├── InvalidSignature 400        a message that does not come from whom it names, or is too old
│   └── IdempotencyKeyReused 422    the same key with another body
├── NotAuthenticated 401            no key, a mistyped, unknown, expired or revoked one
├── PaymentRequired 402             insufficient_balance
├── Forbidden 403
├── NotFound 404                    also everything that belongs to somebody else
├── Conflict 409
│   └── IdempotencyInFlight
├── RateLimited 429
├── Unavailable 503                 the database is away
└── OperatorError 400               a command that cannot be done: one line on stderr, exit 1

A slice's own stand in its ``problems.py`` and descend from these. The status and the public code stand on the class; a
class that says more than a sentence names its members, with types and meanings, and the problem document has those
that are set (RFC 9457 §3.2). A surface renders every one of them in one place, and OpenAPI is derived from the classes.
"""

import dataclasses
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, TypeVar, dataclass_transform

from msgspec import UNSET, Meta, UnsetType

Class = TypeVar("Class", bound="type[TrunklineError]")

Field = Annotated[str, Meta(description="The field, parameter or header that is wrong.")]
Limit = Annotated[
    Literal["key", "account", "address", "changes"] | int,
    Meta(
        description="How many there may be; of requests, whose limit is reached: the key's, the account's, or that of "
        "`changes`."
    ),
]
RetryAt = Annotated[
    str,
    Meta(
        description="From when the next request is let through; `Retry-After` says it in seconds.",
        examples=["2026-04-19T14:32:00Z"],
    ),
]


@dataclass_transform(kw_only_default=True, eq_default=False)
def members(kind: Class) -> Class:
    """Makes a class's annotations the members of its problem, given by name where it is raised."""
    dataclasses.dataclass(eq=False, repr=False, kw_only=True)(kind)  # which changes the class itself
    return kind


@dataclasses.dataclass(eq=False, repr=False)
class TrunklineError(Exception):
    """Root of the tree. ``detail`` is one sentence for the caller; members are facts that help to act on it."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    example: ClassVar[Mapping[str, Any]]  # of the class itself, for the documentation: detail and members

    detail: str

    def __str__(self) -> str:
        return self.detail

    def members(self) -> dict[str, Any]:
        """Those that are set, by name."""
        named = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "detail"}
        return {name: value for name, value in named.items() if value is not UNSET}


@members
class InvalidRequest(TrunklineError):
    code, status, title = "invalid_request", 422, "Invalid request"
    example = {"detail": "There is no field 'max_prize'.", "field": "max_prize"}
    field: Field | UnsetType = UNSET


class MalformedBody(InvalidRequest):
    code, status, title = "malformed_body", 400, "Malformed body"
    example = {"detail": "The body is not JSON: Input data was truncated."}


class InvalidSignature(InvalidRequest):
    code, status, title = "invalid_signature", 400, "Invalid signature"


class IdempotencyKeyReused(InvalidRequest):
    code, title = "idempotency_key_reused", "Idempotency key reused with another body"
    example = {"detail": "This Idempotency-Key was used for another request."}


class NotAuthenticated(TrunklineError):
    code, status, title = "invalid_key", 401, "Invalid API key"
    example = {"detail": "The API key is unknown, revoked or expired."}


@members
class PaymentRequired(TrunklineError):
    code, status, title = "insufficient_balance", 402, "Insufficient balance"
    example = {"detail": "The lease costs 0.85, and 0.35 is available.", "balance": 0.35, "cost": 0.85}
    balance: Annotated[Decimal, Meta(description="Money that can be spent.", examples=[12.4])] | UnsetType = UNSET
    cost: Annotated[Decimal, Meta(description="What the lease would have cost.", examples=[0.8])] | UnsetType = UNSET


@members
class Forbidden(TrunklineError):
    code, status, title = "forbidden", 403, "Forbidden"
    field: Field | UnsetType = UNSET


@members
class NotFound(TrunklineError):
    code, status, title = "not_found", 404, "Not found"
    field: Field | UnsetType = UNSET


class Conflict(TrunklineError):
    code, status, title = "conflict", 409, "Conflict"


class IdempotencyInFlight(Conflict):
    code, title = "idempotency_in_flight", "Request still running"
    example = {"detail": "A request with this Idempotency-Key is still running; ask again in a moment."}


@members
class RateLimited(TrunklineError):
    code, status, title = "rate_limited", 429, "Too many requests"
    example = {"detail": "The key may send 60 requests a minute.", "retry_at": "2026-04-19T14:32:01Z", "limit": "key"}
    retry_at: RetryAt | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET


@members
class Unavailable(TrunklineError):
    code, status, title = "unavailable", 503, "Temporarily unavailable"
    retry_at: RetryAt | UnsetType = UNSET


class OperatorError(TrunklineError):
    code, status, title = "operator_error", 400, "Command refused"
