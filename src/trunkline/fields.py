"""Types of fields that several views share: each says once what it means, and OpenAPI takes it from here.

A field of one view alone has its meaning on the struct itself, as ``Annotated[str, Meta(description=…)]`` too.
"""

from typing import Annotated

from msgspec import Meta

MOMENT = "2026-04-19T14:30:00Z"

AccountId = Annotated[str, Meta(description="The account's id.", examples=["7"])]
ActivationId = Annotated[str, Meta(description="The lease's id.", examples=["10000001"])]
CreatedAt = Annotated[str, Meta(description="When it was made.", examples=[MOMENT])]
Currency = Annotated[str, Meta(description="ISO 4217.", examples=["USD"])]
DepositId = Annotated[str, Meta(description="The deposit's id.", examples=["1001"])]
KeyId = Annotated[str, Meta(description="The key's id.", examples=["1042"])]
