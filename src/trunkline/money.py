"""Money: whole micros (millionths of a currency unit) inside, exact decimals outside, floating point nowhere."""

from decimal import Decimal, InvalidOperation

from babel import numbers

from trunkline.errors import InvalidRequest

MICROS = 1_000_000
LIMIT = 10**9  # units; above it an amount is a typing error


def parse(text: str | Decimal, *, field: str = "amount") -> int:
    """Micros of ``5``, ``5.00`` or ``0.000001``. Raises InvalidRequest: no number, over 6 decimals, negative, huge."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise InvalidRequest(f"{text!r} is not an amount of money.", field=field) from None
    if not amount.is_finite() or amount < 0:
        raise InvalidRequest("An amount of money is a number of 0 or more.", field=field)
    if amount > LIMIT:
        raise InvalidRequest("The amount is too large.", field=field)
    micros = amount * MICROS
    if micros != int(micros):
        raise InvalidRequest("An amount of money has at most 6 decimals.", field=field)
    return int(micros)


def currency(text: str) -> str:
    """The ISO 4217 code in capital letters, of either case. Raises InvalidRequest for what is none."""
    code = text.upper()
    if not numbers.is_currency(code):
        raise InvalidRequest(f"{text!r} is no currency: three letters, as in USD.", field="currency")
    return code


def show(micros: int) -> Decimal:
    """The exact decimal of micros, with two decimals or as many as it needs: ``0.80``, ``0.000125``."""
    cents = Decimal(micros).scaleb(-6).normalize()
    exponent = cents.as_tuple().exponent
    assert isinstance(exponent, int)
    return cents if exponent <= -2 else cents.quantize(Decimal("0.01"))
