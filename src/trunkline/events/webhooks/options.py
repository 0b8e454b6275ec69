"""Settings of webhooks: where they may lead, how often and how fast they are tried."""

import msgspec

from trunkline import egress
from trunkline.egress import names


class WebhookOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    allow: list[str]
    nameservers: list[str]
    retry_seconds: list[float]
    seconds: float
    concurrency: int
    endpoint_concurrency: int
    disable_after_seconds: float
    most_endpoints: int

    def __post_init__(self) -> None:
        egress.networks(self.allow)
        self.addresses()
        if min([self.seconds, self.disable_after_seconds, *self.retry_seconds]) <= 0:
            raise ValueError("a duration is more than 0 seconds")
        if min(self.concurrency, self.endpoint_concurrency, self.most_endpoints) < 1 or len(self.retry_seconds) > 99:
            raise ValueError("concurrency, endpoint_concurrency and most_endpoints are 1 or more, retries at most 99")

    def addresses(self) -> list[tuple[str, int]]:
        return names.name_servers(self.nameservers)
