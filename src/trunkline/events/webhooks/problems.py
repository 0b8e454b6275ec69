"""What an account cannot do with its webhooks."""

from typing import Annotated

from msgspec import Meta

from trunkline.errors import Conflict, members


class TooManyWebhooks(Conflict):
    code, title = "too_many_webhooks", "Too many webhooks"


class TooManySecrets(Conflict):
    code, title = "too_many_secrets", "Too many secrets"


@members
class WebhookDisabled(Conflict):
    code, title = "webhook_disabled", "Webhook disabled"
    example = {"detail": "The webhook is disabled: it answered 410 Gone.", "disabled_reason": "It answered 410 Gone."}
    disabled_reason: Annotated[str, Meta(description="Why.")] | None
