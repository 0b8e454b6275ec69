"""The words of the API's documentation: what each field means, what each error says, which headers there are."""

from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from trunkline import errors
from trunkline.activations import views
from trunkline.errors import TrunklineError
from trunkline.surfaces.http import wire

Schema = dict[str, Any]

SUMMARY = "Lease phone numbers, receive the codes that are sent to them."
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
    "Statistics": "How many texts come and how fast, each figure with how sure it is. Public, as the catalog is.",
    "Status": "How the platform is, and was. Public: no key, no limit.",
    "Webhooks": "Your endpoints: events are sent to them as they happen, signed as Standard Webhooks 1.0 says.",
}

# What a word means wherever it stands, and an example; `Owner.word` is nearer than `word`. A struct may say it better.
WORDS: dict[str, tuple[str, Any]] = {
    "AffectedComponent.code": ("The component's id.", "carrier:north"),
    "AffectedComponent.name": ("Its title.", "Carrier north"),
    "AffectedComponent.new_status": ("What it became.", "major_outage"),
    "AffectedComponent.old_status": ("What it was.", "operational"),
    "ComponentDay.day": ("The day, UTC.", "2026-04-19"),
    "ComponentDay.down_seconds": ("For how long it was down.", 95),
    "ComponentDay.uptime": ("The share of the watched time in which it was up; null: nobody watched.", 0.9989),
    "ComponentStatus.days": ("The last 90 days, oldest first.", None),
    "ComponentStatus.name": ("`api`, `database`, `webhooks`, or `carrier:` and a carrier's name.", "carrier:north"),
    "ComponentStatus.since": ("Since when it is in this state.", "2026-04-19T14:30:00Z"),
    "ComponentStatus.state": ("How it is.", "operational"),
    "ComponentStatus.title": ("Its name for people.", "Carrier north"),
    "ComponentStatus.uptime_90d": ("The share of 90 days in which it was up; null: nobody watched.", 0.9998),
    "CountryRow.code": ("ISO 3166-1 alpha-2, in lower case.", "us"),
    "CountryRow.name": ("The country's English name.", "United States"),
    "CountryRow.stock": ("Numbers that could be leased.", 4200),
    "Finish.status": ("`completed` once the code has served; `cancelled` gives the number back.", "completed"),
    "Incident.closed_at": ("When it was over; null while it is not.", None),
    "Incident.components": ("The names of the components that it affects.", ["carrier:north"]),
    "Incident.impact": ("How bad it is.", "major"),
    "Incident.incident_id": ("Its id.", "1001"),
    "Incident.opened_at": ("When it began.", "2026-04-19T14:30:00Z"),
    "Incident.state": ("How far its mending is: the newest update's state.", "investigating"),
    "Incident.title": ("What happened, in a few words.", "Carrier north: outage"),
    "Incident.updates": ("What was said about it, newest first.", None),
    "IncidentUpdate.at": ("When it was said.", "2026-04-19T14:31:00Z"),
    "IncidentUpdate.body": ("What was said.", "Carrier north has not been working since 2026-04-19T14:30:00Z."),
    "IncidentUpdate.state": ("How far the mending was.", "investigating"),
    "Indicator.description": ("The same for people.", "All Systems Operational"),
    "Indicator.indicator": ("`none`: all is well.", "none"),
    "ListQuery.country": ("Only leases in this country, in either case.", "us"),
    "ListQuery.service": ("Only leases for this service.", "whatsapp"),
    "ListQuery.status": ("Only leases in this state.", None),
    "PricesQuery.country": ("ISO 3166-1 alpha-2, in either case.", "us"),
    "PricesQuery.service": ("A slug from `/services`.", "whatsapp"),
    "Problem.code": ("The stable name of the error, for programs.", None),
    "Problem.cost": ("What the lease would have cost.", None),
    "Problem.countries": ("Other countries with free numbers.", None),
    "Problem.found": ("What was there instead of the token.", None),
    "Problem.detail": ("One sentence for the caller.", None),
    "Problem.sms": ("The text that was there before the cancel.", None),
    "Problem.limit": (
        "How many there may be; of requests, whose limit is reached: the key's, the account's, or that of `changes`.",
        None,
    ),
    "Problem.status": ("The HTTP status.", None),
    "Problem.title": ("The error in a few words.", None),
    "Problem.type": ("`urn:trunkline:error:` and the code.", None),
    "Refused.code": ("The stable name of the error.", "no_numbers_available"),
    "Refused.detail": ("One sentence for the caller.", "No number is free for 'whatsapp' in 'us' at the moment."),
    "Refused.status": ("The HTTP status that a single purchase would have had.", 404),
    "Refused.title": ("The error in a few words.", "No numbers available"),
    "Refused.type": ("`urn:trunkline:error:` and the code.", "urn:trunkline:error:no_numbers_available"),
    "ServiceRow.name": ("The service's name.", "WhatsApp"),
    "ServiceStatus.components": ("How each part of the platform is.", None),
    "ServiceStatus.generated_at": ("As of when this is.", "2026-04-19T14:32:00Z"),
    "ServiceStatus.incidents": ("Open ones first, then those that ended in the last 14 days.", None),
    "ServiceStatus.status": ("The whole in a word.", None),
    "Sms.code": ("The code in the text; null where none was recognised, or the text is erased.", "847291"),
    "Sms.erased": ("Whether text and code were erased, because they had been kept long enough.", False),
    "Sms.incomplete": (
        "Whether parts of a long text were missing when it was given to you; `[…]` stands for them. If they come after"
        " all, the whole text is the next revision.",
        False,
    ),
    "Sms.sender": ("Who sent the text.", "WhatsApp"),
    "Step.detail": ("What happened, in a sentence.", "The number was leased."),
    "Step.why": (
        "Of a text: why this lease got it, which words decided on its code, which numbers were turned down.",
        ["This lease got it because the text names its service.", "Taken 847291: “code” before it."],
    ),
    "Step.type": ("The event, or `waiting`.", "activation.created"),
    "Summary.components": ("How each part of the platform is.", None),
    "Summary.incidents": ("Open incidents, newest first.", None),
    "Summary.page": ("The page that people look at.", None),
    "Summary.scheduled_maintenances": ("Always empty.", []),
    "Summary.status": ("The whole in a word.", None),
    "SummaryComponent.description": ("Always null.", None),
    "SummaryComponent.group": ("Always false: there are no groups.", False),
    "SummaryComponent.group_id": ("Always null.", None),
    "SummaryComponent.id": ("The component's name in `/status`.", "carrier:north"),
    "SummaryComponent.name": ("Its name for people.", "Carrier north"),
    "SummaryComponent.only_show_if_degraded": ("Always false.", False),
    "SummaryComponent.page_id": ("The page's id.", "trunkline"),
    "SummaryComponent.position": ("Its place on the page, from 1.", 4),
    "SummaryComponent.showcase": ("Always true.", True),
    "SummaryComponent.start_date": ("The day on which it was first looked at, UTC.", "2026-04-01"),
    "SummaryComponent.status": ("How it is.", "operational"),
    "SummaryComponent.updated_at": ("Since when it is so.", "2026-04-19T14:30:00Z"),
    "SummaryIncident.components": ("The components that it affects.", None),
    "SummaryIncident.id": ("The incident's id.", "1001"),
    "SummaryIncident.impact": ("How bad it is.", "major"),
    "SummaryIncident.incident_updates": ("What was said about it, newest first.", None),
    "SummaryIncident.monitoring_at": ("When it was last said to be mended and watched; null: it was not.", None),
    "SummaryIncident.name": ("What happened, in a few words.", "Carrier north: outage"),
    "SummaryIncident.page_id": ("The page's id.", "trunkline"),
    "SummaryIncident.resolved_at": ("Always null: it is open.", None),
    "SummaryIncident.shortlink": ("The page's address.", "https://status.example.com"),
    "SummaryIncident.started_at": ("When it began.", "2026-04-19T14:30:00Z"),
    "SummaryIncident.status": ("How far its mending is.", "investigating"),
    "SummaryIncident.updated_at": ("When something was last said about it.", "2026-04-19T14:31:00Z"),
    "SummaryPage.id": ("The page's id.", "trunkline"),
    "SummaryPage.name": ("The page's name, as the operator has set it.", "Trunkline"),
    "SummaryPage.time_zone": ("Days and times are UTC.", "Etc/UTC"),
    "SummaryPage.updated_at": ("When something on the page last changed.", "2026-04-19T14:31:00Z"),
    "SummaryPage.url": ("The page's address; empty where the operator has set none.", "https://status.example.com"),
    "SummaryUpdate.affected_components": ("What a health check has seen change.", None),
    "SummaryUpdate.body": ("What was said.", "Carrier north has not been working since 2026-04-19T14:30:00Z."),
    "SummaryUpdate.created_at": ("When it was said.", "2026-04-19T14:31:00Z"),
    "SummaryUpdate.custom_tweet": ("Always null.", None),
    "SummaryUpdate.deliver_notifications": ("Always false.", False),
    "SummaryUpdate.display_at": ("When it was said.", "2026-04-19T14:31:00Z"),
    "SummaryUpdate.id": ("The update's id.", "1"),
    "SummaryUpdate.incident_id": ("The incident's id.", "1001"),
    "SummaryUpdate.status": ("How far the mending was.", "investigating"),
    "SummaryUpdate.tweet_id": ("Always null.", None),
    "SummaryUpdate.updated_at": ("When it was said.", "2026-04-19T14:31:00Z"),
    "account_id": ("The account's id.", "7"),
    "activation_id": ("The lease's id.", "10000001"),
    "activation_ids": ("Ids of leases.", ["10000001", "10000002"]),
    "activation_status": ("The state in which the lease is.", None),
    "allow": ("The methods that the path takes.", None),
    "account_requests_per_minute": ("Requests that all keys of the account together may send in a minute.", 600),
    "amount": ("What this did to the balance that can be spent.", -0.8),
    "at": ("When it happened.", "2026-04-19T14:30:00Z"),
    "balance": ("Money that can be spent.", 12.4),
    "burst": ("Requests that an idle key may send at once.", 60),
    "calling_code": ("The country's calling code.", "+1"),
    "can_cancel": ("Whether `cancelled` would be accepted now.", False),
    "can_finish": ("Whether `completed` would be accepted now.", True),
    "cancel_available_at": ("From when the lease can be cancelled.", "2026-04-19T14:30:00Z"),
    "cap_day": ("The most that may be spent with the key in a day (UTC); null: no cap of its own.", 20),
    "cap_month": ("The most that may be spent with the key in a calendar month (UTC); null: no cap of its own.", 200),
    "carrier": ("The carrier that the number belongs to.", "simulated"),
    "cidrs": ("Networks and addresses that it may be used from; empty: anywhere.", ["203.0.113.0/24", "2001:db8::/32"]),
    "contains": ("Only texts that contain this count.", None),
    "cost": ("What the lease costs.", 0.8),
    "country": ("ISO 3166-1 alpha-2, in lower case.", "us"),
    "created_at": ("When it was made.", "2026-04-19T14:30:00Z"),
    "currency": ("ISO 4217.", "USD"),
    "cursor": ("Where to go on: `next_cursor` of the page before.", None),
    "delivery_rate": ("The share of leases that got a text, 0 to 1.", 0.97),
    "deposit_id": ("The deposit's id.", "1001"),
    "domain": ("The service's own site.", "whatsapp.com"),
    "dry_run": ("Check everything, lease and charge nothing.", False),
    "email": ("The owner's address.", "dev@example.com"),
    "ended_at": ("When the lease ended; null while it runs.", None),
    "ended": ("Also the keys that are revoked or expired.", None),
    "expires_at": ("When the lease ends by itself.", "2026-04-19T14:50:00Z"),
    "field": ("The field, parameter or header that is wrong.", None),
    "full_text": ("The whole text; null once it is erased.", "Your WhatsApp code: 847291"),
    "held": ("Money held for leases that still wait for their text.", 0.8),
    "items": ("The purchases, in the order of the answer.", None),
    "kind": ("What moved the money.", "hold"),
    "key": ("The secret. Keep it now: only its hash is stored.", "tl_live_…"),
    "key_id": ("The key's id.", "1042"),
    "labels": ("Up to 10 short strings of your own; lists can be filtered by them.", {"run_id": "build-1042"}),
    "last_used_at": ("When a request last came with it, exact to 10 seconds; null: never.", "2026-04-19T14:30:00Z"),
    "limit": ("Rows in a page.", None),
    "limits": ("How many requests may be sent.", None),
    "lowest_price": ("The lowest price of any service there; null where there is none.", 0.1),
    "max_price": ("Refuse to pay more than this.", 1.5),
    "median_seconds": ("Half of all texts came within this time.", 11.5),
    "messages": ("All texts of the lease, oldest first.", None),
    "min_price": ("What the lease costs now.", None),
    "mode": ("Whether the key is a live or a test key.", "live"),
    "moved": ("The amount that moved, without a sign.", 0.8),
    "operator": ("Only numbers of this mobile operator.", None),
    "overlap_hours": ("How long the old key goes on, in hours; 0: it ends at once.", 24),
    "phone_number": ("E.164, with `+`.", "+14155550123"),
    "price": ("What a lease costs now.", 0.8),
    "received_at": ("When the text arrived.", "2026-04-19T14:35:22Z"),
    "refund": ("What was given back; 0 where nothing was.", 0),
    "request_id": ("Names this request in the operator's log, as `X-Request-Id` does.", None),
    "requests_per_minute": ("Requests that the key may send in a minute.", 60),
    "retry_at": ("From when the next request is let through; `Retry-After` says it in seconds.", None),
    "revision": ("Counts the texts of the lease.", 1),
    "revoked_at": ("When it was revoked; null while it was not.", None),
    "rotated_from": ("The key in whose place it came; null where it did not.", None),
    "scope": ("The scope that the key lacks.", None),
    "scopes": ("What it may do: the routes name the scope that they need.", ["numbers", "account:read"]),
    "service": ("The service's slug.", "whatsapp"),
    "slug": ("The name to use in requests.", "whatsapp"),
    "sms": ("The newest text; null until one has come.", None),
    "status": ("The state of the lease.", "received"),
    "stock": ("Numbers that could be leased now.", 420),
    "timeline": ("What happened, oldest first; the last step of a waiting lease says why nothing has come.", None),
    "transaction_id": ("The movement's id.", "31"),
    "ttl": ("Seconds until the lease ends by itself.", 1200),
    "webhook_id": ("The webhook's id.", "1001"),
    "wait": ("Hold the answer up to this many seconds for a text.", 30),
}  # fmt: skip

NOW = "2026-04-19T14:32:00Z"

# The errors that say more than their title; the rest get a plain example.
EXAMPLES: tuple[TrunklineError, ...] = (
    errors.InvalidRequest("There is no field 'max_prize'.", field="max_prize"),
    errors.MalformedBody("The body is not JSON: Input data was truncated."),
    errors.IdempotencyKeyReused("This Idempotency-Key was used for another request."),
    errors.IdempotencyInFlight("A request with this Idempotency-Key is still running; ask again in a moment."),
    errors.NotAuthenticated("The API key is unknown, revoked or expired."),
    errors.InsufficientScope("The key lacks the scope 'account:read'.", scope="account:read"),
    errors.PaymentRequired("The lease costs 0.85, and 0.35 is available.", balance=0.35, cost=0.85),
    errors.PriceAboveMax("The price is 0.85, above your max_price.", min_price=0.85),
    errors.UnknownCountry("There is no country 'uk'.", field="country"),
    errors.UnknownService("There is no service 'watsapp'.", field="service"),
    errors.NoNumbersAvailable("No number is free for 'whatsapp' in 'us' at the moment.", countries=["ca", "gb"]),
    errors.ActivationFinished("The activation is cancelled already.", activation_status="cancelled"),
    errors.CancelTooEarly(f"The activation can be cancelled from {NOW}.", cancel_available_at=NOW),
    errors.SmsAlreadyReceived(
        "A text has arrived, so the activation cannot be cancelled any more: complete it.",
        sms=views.Sms("847291", "Your WhatsApp code: 847291", "2026-04-19T14:31:22Z", "WhatsApp", 1),
    ),
    errors.IpNotAllowed("The key may not be used from the address 203.0.113.9."),
    errors.AccountFrozen("The account is frozen: leases for accounts of others. Write to abuse@example.com."),
    errors.TooManyStreams("The key has 100 streams open, and may have no more; close one.", limit=100, retry_at=NOW),
    errors.TooManyActive("The account may have 200 active leases by test keys at a time.", limit=200, retry_at=NOW),
    errors.TooManyKeys("An account has at most 100 live keys that work.", limit=100),
    errors.TooManyAtOnce("Too many calls of the account are at work or waiting; ask again in a moment.", retry_at=NOW),
    errors.RateLimited("The key may send 60 requests a minute.", retry_at="2026-04-19T14:32:01Z", limit="key"),
)


class Problem(msgspec.Struct, frozen=True):
    """An error, as RFC 9457 says. The members after `request_id` stand where they help the caller to act."""

    success: Literal[False]
    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    field: str | UnsetType = UNSET
    scope: str | UnsetType = UNSET
    allow: str | UnsetType = UNSET
    retry_at: str | UnsetType = UNSET
    limit: Literal["key", "account", "address", "changes"] | int | UnsetType = UNSET
    balance: Decimal | UnsetType = UNSET
    cost: Decimal | UnsetType = UNSET
    min_price: Decimal | UnsetType = UNSET
    countries: list[str] | UnsetType = UNSET
    activation_status: views.State | UnsetType = UNSET
    cancel_available_at: str | UnsetType = UNSET
    sms: views.Sms | UnsetType = UNSET
    found: list[str] | UnsetType = UNSET


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
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of the copy you have; the answer is 304 while that is still good.",
        "schema": {"type": "string"},
    },
}


def example(kind: type[TrunklineError]) -> Schema:
    error = next((each for each in EXAMPLES if type(each) is kind), None) or kind(f"{kind.title}.")
    value = wire.problem(error, "req_6f1d2c9be07a43d58e10")
    return {"summary": kind.title, "value": msgspec.json.decode(value)}
