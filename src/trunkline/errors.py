"""Every error that the product raises on purpose, as one tree.

TrunklineError 500 internal_error
├── InvalidRequest 422            a field is missing, of the wrong type, out of range or unknown
│   ├── MalformedBody 400         not JSON, not UTF-8, a broken header
│   ├── InvalidSignature 400      a message that does not come from whom it names, or is too old
│   └── IdempotencyKeyReused 422  the same key with another body
├── HeaderTooLarge 431 · TransferCodingUnknown 501 · VersionNotSupported 505   (surfaces/http/heads.py)
├── BodyTooSlow 408 · PathTooLong 414 · PayloadTooLarge 413 · UnsupportedMediaType 415 · MethodNotAllowed 405
├── NotAuthenticated 401          no key, a mistyped, unknown, expired or revoked one
├── PaymentRequired 402           insufficient_balance
│   └── SpendCapReached           a limit that the customer set themselves
├── Forbidden 403
│   ├── InsufficientScope         the key may not do this
│   ├── IpNotAllowed              the key has a list of addresses, and this is none of them
│   ├── AccountFrozen             by the operator
│   ├── SuccessRateTooLow         too few of the account's leases got a text
│   ├── DepositsOff               the operator takes no payments here
│   └── ServiceNotEnabled         the operator has not opened this service on real carriers
├── NotFound 404                  also everything that belongs to somebody else
│   └── UnknownCountry · UnknownService · NoNumbersAvailable
├── Conflict 409
│   ├── ActivationFinished · SmsAlreadyReceived · NoSmsReceived · CancelTooEarly
│   ├── PriceAboveMax · IdempotencyInFlight
│   ├── KeyEnded · ControlNotProved · DepositMismatch
│   └── TooManyWebhooks · TooManySecrets · WebhookDisabled · TooManyKeys
├── RateLimited 429
│   └── TooManyActive · TooManyPurchases · TooManyCancels · TooManyStreams · TooManyConnections · TooManyAtOnce
├── NoAnswer 502                  a URL that was called outside (egress.py, which adds UrlRefused to InvalidRequest)
├── Unavailable 503               the database is away; carriers/carrier.py adds StoreAway and SubmitRefused
└── OperatorError                 a command that cannot be done: one line on stderr, exit 1

The status and the public code stand on the class; the HTTP edge renders every one of them in one place
(``surfaces/http/wire.py``). ``extra`` becomes members of the problem document (RFC 9457 §3.2).
"""

from typing import Any, ClassVar


class TrunklineError(Exception):
    """Root of the tree. ``detail`` is one sentence for the caller; ``extra`` are facts that help to act on it."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class InvalidRequest(TrunklineError):
    code, status, title = "invalid_request", 422, "Invalid request"


class MalformedBody(InvalidRequest):
    code, status, title = "malformed_body", 400, "Malformed body"


class InvalidSignature(InvalidRequest):
    code, status, title = "invalid_signature", 400, "Invalid signature"


class IdempotencyKeyReused(InvalidRequest):
    code, title = "idempotency_key_reused", "Idempotency key reused with another body"


class BodyTooSlow(TrunklineError):
    code, status, title = "body_too_slow", 408, "Body too slow"


class PathTooLong(TrunklineError):
    code, status, title = "path_too_long", 414, "Path too long"


class PayloadTooLarge(TrunklineError):
    code, status, title = "payload_too_large", 413, "Body too large"


class UnsupportedMediaType(TrunklineError):
    code, status, title = "unsupported_media_type", 415, "Unsupported media type"


class MethodNotAllowed(TrunklineError):
    code, status, title = "method_not_allowed", 405, "Method not allowed"


class NotAuthenticated(TrunklineError):
    code, status, title = "invalid_key", 401, "Invalid API key"


class PaymentRequired(TrunklineError):
    code, status, title = "insufficient_balance", 402, "Insufficient balance"


class SpendCapReached(PaymentRequired):
    code, title = "spend_cap_reached", "Spend cap reached"


class Forbidden(TrunklineError):
    code, status, title = "forbidden", 403, "Forbidden"


class InsufficientScope(Forbidden):
    code, title = "insufficient_scope", "Insufficient scope"


class IpNotAllowed(Forbidden):
    code, title = "ip_not_allowed", "Address not allowed"


class AccountFrozen(Forbidden):
    code, title = "account_frozen", "Account frozen"


class SuccessRateTooLow(Forbidden):
    code, title = "success_rate_too_low", "Success rate too low"


class DepositsOff(Forbidden):
    code, title = "deposits_off", "Deposits are off"


class ServiceNotEnabled(Forbidden):
    code, title = "service_not_enabled", "Service not enabled"


class NotFound(TrunklineError):
    code, status, title = "not_found", 404, "Not found"


class UnknownCountry(NotFound):
    code, title = "unknown_country", "Unknown country"


class UnknownService(NotFound):
    code, title = "unknown_service", "Unknown service"


class NoNumbersAvailable(NotFound):
    code, title = "no_numbers_available", "No numbers available"


class Conflict(TrunklineError):
    code, status, title = "conflict", 409, "Conflict"


class ActivationFinished(Conflict):
    code, title = "activation_finished", "Activation finished"


class SmsAlreadyReceived(Conflict):
    code, title = "sms_already_received", "SMS already received"


class NoSmsReceived(Conflict):
    code, title = "no_sms_received", "No SMS received"


class CancelTooEarly(Conflict):
    code, title = "cancel_too_early", "Cancel too early"


class PriceAboveMax(Conflict):
    code, title = "price_above_max", "Price above the maximum"


class IdempotencyInFlight(Conflict):
    code, title = "idempotency_in_flight", "Request still running"


class KeyEnded(Conflict):
    code, title = "key_ended", "Key revoked or expired"


class ControlNotProved(Conflict):
    code, title = "control_not_proved", "Control not proved"


class DepositMismatch(Conflict):
    code, title = "deposit_mismatch", "Payment and deposit differ"


class TooManyWebhooks(Conflict):
    code, title = "too_many_webhooks", "Too many webhooks"


class TooManySecrets(Conflict):
    code, title = "too_many_secrets", "Too many secrets"


class TooManyKeys(Conflict):
    code, title = "too_many_keys", "Too many keys"


class WebhookDisabled(Conflict):
    code, title = "webhook_disabled", "Webhook disabled"


class RateLimited(TrunklineError):
    code, status, title = "rate_limited", 429, "Too many requests"


class TooManyActive(RateLimited):
    code, title = "too_many_active", "Too many active leases"


class TooManyPurchases(RateLimited):
    code, title = "too_many_purchases", "Too many purchases"


class TooManyCancels(RateLimited):
    code, title = "too_many_cancels", "Too many cancellations"


class TooManyAtOnce(RateLimited):
    code, title = "too_many_at_once", "Too many calls at once"


class TooManyStreams(RateLimited):
    code, title = "too_many_streams", "Too many open streams"


class TooManyConnections(RateLimited):
    code, title = "too_many_connections", "Too many connections"


class Unavailable(TrunklineError):
    code, status, title = "unavailable", 503, "Temporarily unavailable"


class OperatorError(TrunklineError):
    code, status, title = "operator_error", 400, "Command refused"
