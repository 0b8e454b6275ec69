"""Types of fields that several views share: each says once what it means, and OpenAPI takes it from here.

A field of one view alone has its meaning on the struct itself, as ``Annotated[str, Meta(description=…)]`` too.
"""

from typing import Annotated, Any

from msgspec import Meta

MOMENT = "2026-04-19T14:30:00Z"

AccountId = Annotated[str, Meta(description="The account's id.", examples=["7"])]
ActivationId = Annotated[str, Meta(description="The lease's id.", examples=["10000001"])]
At = Annotated[str, Meta(description="When it happened.", examples=[MOMENT])]
Country = Annotated[str, Meta(description="ISO 3166-1 alpha-2, in lower case.", examples=["us"])]
CreatedAt = Annotated[str, Meta(description="When it was made.", examples=[MOMENT])]
Currency = Annotated[str, Meta(description="ISO 4217.", examples=["USD"])]
DepositId = Annotated[str, Meta(description="The deposit's id.", examples=["1001"])]
DryRun = Annotated[bool, Meta(description="Check everything, lease and charge nothing.", examples=[False])]
EventId = Annotated[str, Meta(description="The event's id, as `webhook-id` tells it.", examples=["evt_1042"])]
FirstDay = Annotated[str, Meta(description="The first day, as in 2026-04-01. Default: of this month.")]
KeyId = Annotated[str, Meta(description="The key's id.", examples=["1042"])]
Labels = Annotated[
    dict[str, str],
    Meta(
        description="Up to 10 short strings of your own; lists can be filtered by them.",
        examples=[{"run_id": "build-1042"}],
    ),
]
LastDay = Annotated[str, Meta(description="The last day. Default: today.")]
PhoneNumber = Annotated[str, Meta(description="E.164, with `+`.", examples=["+14155550123"])]
Service = Annotated[str, Meta(description="The service's slug.", examples=["whatsapp"])]
Slug = Annotated[str, Meta(description="The name to use in requests.", examples=["whatsapp"])]
VerificationId = Annotated[str, Meta(description="The verification's id.", examples=["ver_20000001"])]
WebhookId = Annotated[str, Meta(description="The webhook's id.", examples=["1001"])]

IN_PATHS: dict[str, Any] = {  # what stands between braces in the path of a route
    "activation_id": ActivationId,
    "deposit_id": DepositId,
    "key_id": KeyId,
    "profile": Annotated[str, Meta(description="The profile's slug.", examples=["default"])],
    "slug": Slug,
    "verification_id": VerificationId,
    "webhook_id": WebhookId,
}
