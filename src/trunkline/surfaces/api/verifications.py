"""Handlers of /verifications: codes sent to the numbers of an app's users, and what they typed."""

import dataclasses
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trunkline import clock, fields, metrics, phone
from trunkline.accounts import usage
from trunkline.accounts.problems import AccountFrozen, SpendCapReached
from trunkline.catalog.countries import countries
from trunkline.catalog.problems import UnknownCountry
from trunkline.errors import (
    IdempotencyInFlight,
    IdempotencyKeyReused,
    InvalidRequest,
    NotFound,
    PaymentRequired,
    TrunklineError,
)
from trunkline.paging import Page
from trunkline.surfaces.http.route import Call, PageQuery, Route
from trunkline.verify import checking, outcomes, passcodes, profiles, starting, views
from trunkline.verify.outcomes import Conversion
from trunkline.verify.policy import VerifyPolicy
from trunkline.verify.problems import (
    BlockedByGuard,
    CountryNotAllowed,
    InvalidPhoneNumber,
    LineTypeNotAllowed,
    MaxChecksReached,
    MaxSendsReached,
    NoRoute,
    ResendTooEarly,
    TooManyChecks,
    TooManyFromAddress,
    TooManySends,
    UnknownProfile,
    UnknownTemplate,
    VerificationExpired,
    VerificationFinished,
)
from trunkline.verify.views import Checked, Verification, VerificationDetail

TAG = "Verify"

_Number = Annotated[str, Meta(description="E.164, with `+`.", examples=["+14155550123"], max_length=64)]
_Code = Annotated[
    str,
    Meta(
        description="What the user typed: digits of any script count, spaces and hyphens do not.", examples=["847291"],
        max_length=64,
    ),
]  # fmt: skip
_Slug = Annotated[str, Meta(description="The slug of the app's settings.", examples=["default"], max_length=40)]
_Amount = Annotated[
    str | int | float | None,
    Meta(description="What is paid, as the text shows it; with `payee`.", examples=["25.00 EUR"]),
]
_Payee = Annotated[str, Meta(description="Who is paid; with `amount`.", examples=["ACME Books"], max_length=40)]


class StartVerification(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Only `phone_number` is needed; everything else is as the profile has it."""

    phone_number: _Number
    profile: _Slug = profiles.DEFAULT
    channel: Annotated[Literal["sms"], Meta(description="How the code travels.")] = "sms"
    locale: Annotated[str, Meta(description="The language of the text, as `de` or `pt-BR`.", max_length=35)] | None = (
        None
    )
    brand: Annotated[str, Meta(description="The name that the text begins with.", examples=["ACME"])] | None = None
    code_length: (
        Annotated[
            int, Meta(ge=passcodes.SHORTEST, le=passcodes.LONGEST, description="Characters of the code.", examples=[6])
        ]
        | None
    ) = None
    ttl: (
        Annotated[int, Meta(ge=60, le=600, description="Seconds for which the code is good.", examples=[300])] | None
    ) = None
    template: Annotated[str, Meta(description="The template of the text.", max_length=40)] | None = None
    web_otp_domain: (
        Annotated[str, Meta(description="The site that the code is bound to (WebOTP).", examples=["example.com"])]
        | None
    ) = None
    app_hash: (
        Annotated[str, Meta(description="The hash of an Android app (SMS Retriever).", examples=["FA+9qCX9VSu"])] | None
    ) = None
    amount: _Amount = None
    payee: _Payee | None = None
    client_ip: (
        Annotated[str, Meta(description="The address of your user, for limits by address.", examples=["203.0.113.9"])]
        | None
    ) = None
    metadata: views.Metadata = {}
    dry_run: Annotated[bool, Meta(description="Say what would happen, send nothing.", examples=[False])] = False


class CheckVerification(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    code: _Code
    amount: _Amount = None
    payee: _Payee | None = None


class CheckNumber(CheckVerification, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Checks the newest pending verification of a number."""

    phone_number: _Number
    profile: _Slug | None = None


class ListQuery(PageQuery, frozen=True):
    status: Annotated[views.State, Meta(description="Only verifications in this state.")] | None = None
    profile: Annotated[str, Meta(description="Only of this profile.", examples=["default"])] | None = None
    country: Annotated[str, Meta(description="Only of numbers of this country, in either case.")] | None = None
    phone_number: Annotated[str, Meta(description="Only of this number.", examples=["+14155550123"])] | None = None
    metadata: views.Metadata = {}


class StatsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename={"first": "from", "last": "to"}):
    first: fields.FirstDay | None = None
    last: fields.LastDay | None = None
    by: Annotated[outcomes.By, Meta(description="What to group by.", examples=["country"])] = "day"


_CHECKING = (
    InvalidRequest, NotFound, MaxChecksReached, TooManyChecks, VerificationExpired, VerificationFinished,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Verifications:
    policy: VerifyPolicy

    async def start(self, call: Call) -> Verification | TrunklineError:
        body: StartVerification = call.body
        asked = starting.Start(
            phone_number=body.phone_number,
            profile=body.profile,
            locale=body.locale,
            brand=body.brand,
            code_length=body.code_length,
            ttl=body.ttl,
            template=body.template,
            web_otp_domain=body.web_otp_domain,
            app_hash=body.app_hash,
            amount=_shown(body.amount),
            payee=body.payee,
            client_ip=body.client_ip,
            metadata=body.metadata,
            dry_run=body.dry_run,
        )
        key = call.key
        try:
            started = await starting.start(
                call.connection, key.account_id, asked, key_id=key.key_id, test=key.test, policy=self.policy
            )
        except TrunklineError as refused:
            metrics.VERIFICATIONS.add(1, key.mode, refused.code)
            raise
        result = started.code if isinstance(started, TrunklineError) else "started"
        if not body.dry_run:
            call.after_commit = lambda: metrics.VERIFICATIONS.add(1, key.mode, result)
        return started

    async def check(self, call: Call) -> Checked | TrunklineError:
        body: CheckVerification = call.body
        return await checking.check(
            call.connection, call.key.account_id, _named(call), body.code, test=call.key.test, policy=self.policy,
            amount=_shown(body.amount), payee=body.payee,
        )  # fmt: skip

    async def check_number(self, call: Call) -> Checked | TrunklineError:
        body: CheckNumber = call.body
        return await checking.check_number(
            call.connection, call.key.account_id, body.phone_number, body.code, profile=body.profile,
            test=call.key.test, policy=self.policy, amount=_shown(body.amount), payee=body.payee,
        )  # fmt: skip

    async def resend(self, call: Call) -> Verification:
        return await checking.resend(
            call.connection, call.key.account_id, _named(call), test=call.key.test, policy=self.policy
        )

    async def cancel(self, call: Call) -> Verification | TrunklineError:
        return await checking.cancel(call.connection, call.key.account_id, _named(call), test=call.key.test)

    async def detail(self, call: Call) -> VerificationDetail:
        return await checking.show(call.connection, call.key.account_id, _named(call), test=call.key.test)

    async def listing(self, call: Call) -> Page[Verification]:
        query: ListQuery = call.query
        country = query.country.lower() if query.country is not None else None
        if country is not None and country not in countries():
            raise UnknownCountry(f"There is no country {query.country!r}.", field="country")
        if query.phone_number is not None:
            phone.parse_e164(query.phone_number)
        return await checking.page(
            call.connection, call.key.account_id, test=call.key.test, state=query.status, profile=query.profile,
            country=country, e164=query.phone_number, metadata=query.metadata, before=query.before, limit=query.limit,
        )  # fmt: skip

    async def stats(self, call: Call) -> list[Conversion]:
        query: StatsQuery = call.query
        first, last = usage.period(query.first, query.last, clock.now().date())
        return await outcomes.conversion(
            call.connection, call.key.account_id, test=call.key.test, first=first, last=last, by=query.by
        )

    def routes(self) -> list[Route]:
        """The table's lines for verifications."""
        return [
            Route(
                method="POST",
                path="/verifications",
                scope="verify",
                handler=self.start,
                transacts=True,
                tag=TAG,
                summary="Send a code to a number",
                description="The code is texted to your user; what they type is checked. It is never shown.",
                body=StartVerification,
                answer=Verification,
                idempotent=True,
                errors=(
                    InvalidRequest,
                    InvalidPhoneNumber,
                    UnknownProfile,
                    UnknownTemplate,
                    CountryNotAllowed,
                    LineTypeNotAllowed,
                    BlockedByGuard,
                    TooManySends,
                    TooManyChecks,
                    TooManyFromAddress,
                    PaymentRequired,
                    SpendCapReached,
                    AccountFrozen,
                    NoRoute,
                    IdempotencyKeyReused,
                    IdempotencyInFlight,
                ),
            ),
            Route(
                method="POST",
                path="/verifications/check",
                scope="verify",
                handler=self.check_number,
                transacts=True,
                tag=TAG,
                summary="Check a code by number",
                description="Of the newest pending verification of the number.",
                body=CheckNumber,
                answer=Checked,
                errors=_CHECKING,
            ),
            Route(
                method="POST",
                path="/verifications/{verification_id}/check",
                scope="verify",
                handler=self.check,
                transacts=True,
                tag=TAG,
                summary="Check a code",
                body=CheckVerification,
                answer=Checked,
                errors=_CHECKING,
            ),
            Route(
                method="POST",
                path="/verifications/{verification_id}/resend",
                scope="verify",
                handler=self.resend,
                transacts=True,
                tag=TAG,
                summary="Send the same code again",
                answer=Verification,
                idempotent=True,
                errors=(
                    InvalidRequest, NotFound, ResendTooEarly, MaxSendsReached, TooManySends, PaymentRequired,
                    VerificationExpired, VerificationFinished, IdempotencyKeyReused, IdempotencyInFlight,
                ),
            ),
            Route(
                method="POST",
                path="/verifications/{verification_id}/cancel",
                scope="verify",
                handler=self.cancel,
                transacts=True,
                tag=TAG,
                summary="Cancel a verification",
                description="Saying so again is harmless.",
                answer=Verification,
                errors=(InvalidRequest, NotFound, VerificationExpired, VerificationFinished),
            ),
            Route(
                method="GET",
                path="/verifications",
                scope="verify",
                handler=self.listing,
                tag=TAG,
                summary="List your verifications",
                description="Newest first. `metadata.NAME=value` filters by an entry.",
                query=ListQuery,
                answer=list[Verification],
                is_list=True,
                errors=(InvalidRequest, UnknownCountry),
            ),
            Route(
                method="GET",
                path="/verifications/stats",
                scope="verify",
                handler=self.stats,
                tag=TAG,
                summary="What became of your verifications",
                description="Rates with their samples and intervals, times, and what an approval cost.",
                query=StatsQuery,
                answer=list[Conversion],
                errors=(InvalidRequest,),
            ),
            Route(
                method="GET",
                path="/verifications/{verification_id}",
                scope="verify",
                handler=self.detail,
                tag=TAG,
                summary="Everything about a verification",
                description="With its texts, and with what the guard said.",
                answer=VerificationDetail,
                errors=(NotFound,),
            ),
        ]  # fmt: skip


def _named(call: Call) -> int | None:
    """The verification in the path."""
    return views.from_shown_id(call.path["verification_id"])


def _shown(amount: str | int | float | None) -> str | None:
    return None if amount is None else str(amount)
