"""A verification begins: judged by its budgets and the guard, drawn, sealed, held and queued, in one transaction."""

import datetime
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from trunkline import clock, money, phone
from trunkline.accounts.problems import AccountFrozen, SpendCapReached
from trunkline.carriers import ranges
from trunkline.errors import InvalidRequest, PaymentRequired, TrunklineError
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind
from trunkline.verify import budgets, messages, passcodes, profiles, screening, views
from trunkline.verify.messages.segments import segments
from trunkline.verify.policy import VerifyPolicy
from trunkline.verify.problems import BlockedByGuard, InvalidPhoneNumber, NoRoute, Reason
from trunkline.verify.profiles import SQL
from trunkline.verify.routes import Route
from trunkline.verify.views import Decision, Verification

LINE_DIGITS = 4  # what a prefix lacks
MOST_METADATA = 10
LONGEST_NAME, LONGEST_VALUE = 64, 256
LONGEST_PAYEE = 40
IPV6_NETWORK = 64


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What an app asks for; None: as its profile has it."""

    phone_number: str
    profile: str = profiles.DEFAULT
    locale: str | None = None
    brand: str | None = None
    code_length: int | None = None
    ttl: int | None = None
    template: str | None = None
    web_otp_domain: str | None = None
    app_hash: str | None = None
    amount: str | None = None
    payee: str | None = None
    client_ip: str | None = None
    metadata: Mapping[str, str] = {}
    dry_run: bool = False


async def start(
    connection: Querier, account_id: int, asked: Start, *, key_id: int, test: bool, policy: VerifyPolicy
) -> Verification | TrunklineError:
    """Sends a code to a number, in one transaction; an error that is *returned* has left a row that is to be kept.

    Raises what refuses it without a trace: InvalidPhoneNumber, UnknownProfile, UnknownTemplate, InvalidRequest with the
    field, CountryNotAllowed, LineTypeNotAllowed, TooManySends, TooManyFromAddress, TooManyChecks, PaymentRequired,
    SpendCapReached, AccountFrozen, NoRoute.
    """
    e164 = _number(asked.phone_number)
    check_metadata(asked.metadata)
    bound_to = bound(asked.amount, asked.payee)
    address = _network(asked.client_ip)
    country = phone.region_of(e164) or ""
    facts = await connection.fetchrow(
        *bind(
            SQL.facts,
            account=account_id,
            key=key_id,
            test=test,
            profile=asked.profile,
            e164=e164,
            country=country,
            prefix=e164[:-LINE_DIGITS],
            address=address,
            micros=policy.options.price_micros(country),
            address_seconds=policy.options.address_seconds,
        )
    )
    assert facts is not None
    if facts["frozen_reason"]:
        raise AccountFrozen(f"The operator has frozen the account: {facts['frozen_reason']}.")
    profile = profiles.used(facts, asked.profile)
    fixed = profile.test_numbers.get(e164) if test or policy.options.live_test_numbers else None
    code = fixed or passcodes.draw(profile.alphabet, asked.code_length or profile.code_length)
    ttl = asked.ttl or profile.ttl
    message = messages.render(
        brand=asked.brand or profile.brand,
        code=code,
        seconds=ttl,
        locale=asked.locale or profile.locale,
        country=country,
        template=asked.template or profile.template,
        text=profile.text if asked.template is None else None,
        web_otp_domain=asked.web_otp_domain,
        app_hash=asked.app_hash,
        amount=asked.amount,
        payee=asked.payee,
    )
    routes: Sequence[Route] = ()
    decisions: tuple[Decision, ...] = ()
    if fixed is None:
        is_simulated = test or facts["is_simulated"] or ranges.is_reserved(e164)
        screening.admit(e164, country, profile, policy, is_simulated=is_simulated)
        budgets.check(facts, policy)
        decisions = screening.decide(e164, facts, policy, is_simulated=is_simulated)
        routes = policy.routes.to(e164, profile.senders.get(country) or profile.sender, simulated=is_simulated)
        if not routes:
            raise NoRoute(
                "No carrier takes texts to this number: no route of the settings leads to it, or it is no MT link."
            )
    blocked = [each for each in decisions if each.verdict == "blocked"]
    if not blocked:
        _check_money(facts)
    notes = [*message.notes, *(["A test number: nothing is sent, and its code is fixed."] if fixed else [])]
    made = {
        "verification": facts["verification_id"],
        "account": account_id,
        "key": key_id,
        "test": test,
        "profile": asked.profile,
        "e164": e164,
        "country": country,
        "prefix": e164[:-LINE_DIGITS],
        "address": address,
        "blocked": bool(blocked),
        "mac": policy.seals.mac(facts["verification_id"], e164, code, bound_to) if not blocked else None,
        "sealed": policy.seals.seal(facts["verification_id"], message.text) if not blocked else None,
        "locale": message.locale,
        "template": message.template,
        "digits": len(code),
        "bound": bool(bound_to),
        "checks": profile.checks,
        "sends": profile.sends - 1,
        "charge": policy.options.charge,
        "cost": 0 if fixed else facts["cost_micros"],
        "currency": facts["currency"],
        "metadata": msgspec.json.encode(asked.metadata).decode() if asked.metadata else None,
        "decisions": msgspec.json.encode(decisions).decode() if decisions else None,
        "ttl": ttl,
        "resend": policy.options.resend_seconds[0],
        "send": fixed is None,
        "carrier": routes[0].carrier if routes else "",
        "sender": routes[0].sender if routes else "",
        "others": msgspec.json.encode(routes[1:]).decode(),
        "segments": segments(message.text).parts,
    }
    if asked.dry_run:
        return _blocked(None, blocked) if blocked else _dry(made, facts["clock"], policy, notes)
    row = await connection.fetchrow(*bind(SQL.start, **made))
    assert row is not None
    if blocked:
        return _blocked(views.shown_id(row["verification_id"]), blocked)
    return views.verification(row, notes)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raises InvalidRequest for more than 10 entries, or one that is empty or long."""
    if len(metadata) > MOST_METADATA:
        raise InvalidRequest(f"metadata has at most {MOST_METADATA} entries.", field="metadata")
    for name, value in metadata.items():
        if not 1 <= len(name) <= LONGEST_NAME or len(value) > LONGEST_VALUE:
            raise InvalidRequest(
                f"A name of metadata has 1 to {LONGEST_NAME} characters, its value at most {LONGEST_VALUE}.",
                field="metadata",
            )


def bound(amount: str | None, payee: str | None) -> str:
    """What the code of a payment is bound to (PSD2, RTS on SCA, article 5); nothing where it is for none.

    Raises InvalidRequest where one is given without the other.
    """
    if (amount is None) != (payee is None):
        raise InvalidRequest("amount and payee belong together.", field="payee" if payee is None else "amount")
    if amount is None or payee is None:
        return ""
    for field, text in (("amount", amount), ("payee", payee)):
        if not 1 <= len(text) <= LONGEST_PAYEE or not text.isprintable():
            raise InvalidRequest(f"{field} has 1 to {LONGEST_PAYEE} characters that can be shown.", field=field)
    return f"{amount}\0{payee}"


def _number(text: str) -> str:
    try:
        return phone.parse_e164(text)
    except InvalidRequest as error:
        raise InvalidPhoneNumber(error.detail, field="phone_number") from None


def _network(text: str | None) -> str | None:
    """The address of an app's user, of which IPv6 gives each a whole network. Raises InvalidRequest."""
    if text is None:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidRequest("client_ip is an IPv4 or IPv6 address.", field="client_ip") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(address) >> 64 << 64, IPV6_NETWORK)))
        address = address.ipv4_mapped
    return str(ipaddress.ip_network(address))


def _check_money(facts: Row) -> None:
    cost = facts["cost_micros"]
    if facts["cap"]:
        cap = msgspec.json.decode(facts["cap"])
        whose, period = cap["cap"].split("_")
        most, spent = money.show(cap["cap_micros"]), money.show(cap["spent_micros"])
        raise SpendCapReached(
            f"The {whose} may spend {most} a {period}, and {spent} of it is spent.",
            cap=most, spent=spent, period=period, of=whose,
            retry_at=clock.iso(datetime.datetime.fromisoformat(cap["retry_at"]).replace(tzinfo=datetime.UTC)),
        )  # fmt: skip
    if facts["available_micros"] < cost:
        balance, shown = money.show(facts["available_micros"]), money.show(cost)
        raise PaymentRequired(
            f"The verification costs {shown}, and {balance} is available.", balance=balance, cost=shown
        )


def _blocked(verification_id: str | None, blocked: Sequence[Decision]) -> BlockedByGuard:
    first = blocked[0]
    again = [each.retry_at for each in blocked if each.retry_at is not None]
    members: dict[str, Any] = {"retry_at": max(again)} if len(again) == len(blocked) else {}
    return BlockedByGuard(
        f"The guard holds this back: {first.reason}",
        verification_id=verification_id or "",
        reasons=[Reason(each.rule, each.value, each.threshold) for each in blocked],
        **members,
    )


def _dry(made: Mapping[str, Any], now: datetime.datetime, policy: VerifyPolicy, notes: Sequence[str]) -> Verification:
    """What would have come of it."""
    return Verification(
        verification_id=None,
        status="pending",
        phone_number=made["e164"],
        country=made["country"],
        channel="sms",
        profile=made["profile"],
        created_at=clock.iso(now),
        expires_at=clock.iso(now + datetime.timedelta(seconds=made["ttl"])),
        resend_at=clock.iso(now + datetime.timedelta(seconds=made["resend"])),
        ended_at=None,
        checks_left=made["checks"],
        sends_left=made["sends"],
        locale=made["locale"],
        template=made["template"],
        cost=money.show(made["cost"]),
        charge=policy.options.charge,
        charged=money.show(0),
        currency=made["currency"],
        metadata=msgspec.json.decode(made["metadata"]) if made["metadata"] else {},
        dry_run=True,
        notes=[
            *notes,
            *([f"It would go over {made['carrier']} in {made['segments']} part(s)."] if made["send"] else []),
        ],
    )
