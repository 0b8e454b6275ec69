"""The words of the OpenAPI document that belong to no struct and no error: the API as a whole, tags, headers."""

from typing import Any

Schema = dict[str, Any]

SUMMARY = "Lease phone numbers and receive the codes that are sent to them; send codes to your users, and check them."
DESCRIPTION = """\
Keys travel as `Authorization: Bearer KEY`. A success is `{"success": true, "data": …}`, lists add `next_cursor`. Every
error is `application/problem+json` (RFC 9457) with a stable `code`; a path that does not exist is 404 `not_found`, a
method that it does not take 405 `method_not_allowed`. Every answer carries `X-Request-Id`. Money is a JSON number in
the account's currency with at most 6 decimals. Times are UTC, ISO 8601, with `Z`."""
TAGS = {
    "Numbers": "Lease a number for a service, wait for the text, get the code.",
    "Catalog": "Which countries and services there are, at what price. Public: no key, no limit, made to be cached.",
    "Account": "The balance, and every movement of money.",
    "Deposits": "Money that you pay in.",
    "Events": "What happens, as it happens, on a connection that stays open.",
    "Keys": "Your API keys: make them, limit them, rotate and revoke them.",
    "Profiles": "Settings of the apps that send codes: brand, texts, senders, countries.",
    "Statistics": "How many texts come and how fast, each figure with how sure it is. Public, as the catalog is.",
    "Status": "How the platform is, and was. Public: no key, no limit.",
    "Verify": "Send a code to a phone number of your own user, and check what they typed.",
    "Webhooks": "Your endpoints: events are sent to them as they happen, signed as Standard Webhooks 1.0 says.",
}


def _header(description: str, *, always: bool = False, **schema: Any) -> Schema:
    return {"description": description, "required": always, "schema": {"type": "string"} | schema}


HEADERS: dict[str, Schema] = {
    "X-Request-Id": _header(
        "Names the request in the operator's log.", always=True, examples=["req_6f1d2c9be07a43d58e10"]
    ),
    "RateLimit-Policy": _header(
        "Requests (`q`) in a window of `w` seconds: of the key (`default`), and of all keys of its account together; "
        "of a public route, of the address.",
        examples=['"default";q=60;w=60, "account";q=600;w=60'],
    ),
    "RateLimit": _header(
        "Requests that remain (`r`), seconds until all are back (`t`); the tighter limit first.",
        examples=['"default";r=59;t=1, "account";r=599;t=1'],
    ),
    "Retry-After": _header("Seconds until the next request is let through.", always=True, type="integer", minimum=1),
    "Idempotent-Replayed": _header("Present where this is the first answer again.", const="true"),
    "ETag": _header("Names this version of the answer.", always=True),
    "Cache-Control": _header(
        "How long the answer may be kept; `no-store`, not at all, but for what is public.",
        always=True,
        examples=["no-store", "public, max-age=3600"],
    ),
    "X-Content-Type-Options": _header(
        "A browser takes the answer for what it says it is.", always=True, const="nosniff"
    ),
    "Accept-Encoding": _header("How a body may be coded, where it was refused for its coding.", const="identity"),
    "X-Accel-Buffering": _header("Asks a proxy to hold nothing back.", always=True, const="no"),
    "WWW-Authenticate": _header("How to send a key.", always=True),
}
PARAMETERS: dict[str, Schema] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A text of yours that names this attempt, for instance a UUID: the same key and body again get "
        "the first answer again, and nothing is done twice. Kept for 72 hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        "example": "signup-test-1042",
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the event that you have seen last: what came after it comes first. Of one that is no "
        "longer known, everything with a greater id that is.",
        "schema": {"type": "string", "pattern": "^(evt_[0-9]{1,18})?$"},
        "example": "evt_1042",
    },
    "StripeSignature": {
        "name": "Stripe-Signature",
        "in": "header",
        "description": "The time of the message and its signature, as Stripe's documentation says.",
        "schema": {"type": "string"},
    },
    "WebhookId": {
        "name": "webhook-id",
        "in": "header",
        "description": "The event's id, the same whenever it is sent: what you have seen already, you can leave.",
        "required": True,
        "schema": {"type": "string", "pattern": "^evt_[0-9]{1,18}$"},
        "example": "evt_1042",
    },
    "WebhookTimestamp": {
        "name": "webhook-timestamp",
        "in": "header",
        "description": "When this attempt was made, in seconds since 1970.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "1776609322",
    },
    "WebhookSignature": {
        "name": "webhook-signature",
        "in": "header",
        "description": "One signature for each secret that signs, with spaces between: `v1,` and the Base64 of the "
        "HMAC-SHA256 over id, timestamp and body, as Standard Webhooks 1.0 says.",
        "required": True,
        "schema": {"type": "string"},
        "example": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of the copy you have; the answer is 304 while that is still good.",
        "schema": {"type": "string"},
    },
}
