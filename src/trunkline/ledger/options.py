"""Settings of money: the currency, the prices that stand for others, and deposits by Stripe Checkout."""

import msgspec

from trunkline import money
from trunkline.egress import urls
from trunkline.errors import InvalidRequest


class MoneyOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    currency: str
    default_price: str
    cancel_fee: str

    def __post_init__(self) -> None:
        try:
            money.parse(self.default_price)
            money.parse(self.cancel_fee)
        except InvalidRequest as error:
            raise ValueError(error.detail) from None
        if not (len(self.currency) == 3 and self.currency.isascii() and self.currency.isupper()):
            raise ValueError("a currency is three capital letters, as in USD")


class StripeOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    secret_key: str
    webhook_secret: str
    success_url: str
    cancel_url: str
    api_base: str
    minimum: str
    maximum: str

    def __post_init__(self) -> None:
        try:
            if not 0 < money.parse(self.minimum) <= money.parse(self.maximum):
                raise ValueError("minimum is more than 0, and not more than maximum")
        except InvalidRequest as error:
            raise ValueError(error.detail) from None
        needed = (self.webhook_secret, self.success_url, self.cancel_url, self.api_base)
        if self.secret_key and not all(needed):
            raise ValueError("with a secret_key, webhook_secret, success_url, cancel_url and api_base are needed")
        for url in filter(None, (self.success_url, self.cancel_url, self.api_base)):
            try:
                urls.check_page(url)
            except InvalidRequest as error:
                raise ValueError(f"success_url, cancel_url and api_base: {error.detail}") from None
