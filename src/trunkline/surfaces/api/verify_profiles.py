"""Handlers of /verify/profiles: the settings of apps that send codes."""

import dataclasses
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trunkline.errors import (
    IdempotencyInFlight,
    IdempotencyKeyReused,
    InvalidRequest,
)
from trunkline.paging import Page
from trunkline.surfaces.http.route import Call, PageQuery, Route
from trunkline.verify import profiles, views
from trunkline.verify.messages.lint import Report, lint
from trunkline.verify.problems import ProfileExists, TooManyProfiles, UnknownProfile, UnknownTemplate
from trunkline.verify.profiles import Whose
from trunkline.verify.views import NamedProfile

TAG = "Profiles"


class ChangeProfile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is left out stays."""

    brand: views.Brand | UnsetType = UNSET
    code_length: views.CodeLength | UnsetType = UNSET
    alphabet: views.OfLetters | UnsetType = UNSET
    ttl: views.Ttl | UnsetType = UNSET
    checks: views.Checks | UnsetType = UNSET
    sends: views.Sends | UnsetType = UNSET
    locale: views.UsualLocale | UnsetType | None = UNSET
    template: views.UsualTemplate | UnsetType = UNSET
    text: views.OwnText | UnsetType | None = UNSET
    sender: views.FromSender | UnsetType = UNSET
    senders: views.FromSenders | UnsetType = UNSET
    countries: views.ToCountries | UnsetType | None = UNSET
    channels: views.Channels | UnsetType = UNSET
    test_numbers: views.TestNumbers | UnsetType = UNSET


class CreateProfile(ChangeProfile, forbid_unknown_fields=True, frozen=True, kw_only=True):
    slug: views.ProfileName


class Lint(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    text: Annotated[
        str,
        Meta(
            description="A text as it is, or words with `{code}`, `{brand}` and `{minutes}`.",
            examples=["{brand}: {code} is your code."],
        ),
    ]
    brand: Annotated[str, Meta(description="The brand to try it with.", examples=["ACME"], max_length=100)] = ""
    web_otp_domain: Annotated[str, Meta(description="The site of the last line (WebOTP).")] | None = None
    app_hash: Annotated[str, Meta(description="The app of the last line (SMS Retriever).")] | None = None


def _whose(call: Call) -> Whose:
    return Whose(call.key.account_id, call.key.test)


@dataclasses.dataclass(frozen=True, slots=True)
class Profiles:
    async def create(self, call: Call) -> NamedProfile:
        given = views.given(call.body)
        return await profiles.create(call.connection, call.actor, _whose(call), given.pop("slug"), given)

    async def change(self, call: Call) -> NamedProfile:
        return await profiles.change(
            call.connection, call.actor, _whose(call), call.path["profile"], views.given(call.body)
        )

    async def delete(self, call: Call) -> NamedProfile:
        return await profiles.delete(call.connection, call.actor, _whose(call), call.path["profile"])

    async def show(self, call: Call) -> NamedProfile:
        return await profiles.show(call.connection, _whose(call), call.path["profile"])

    async def lint(self, call: Call) -> Report:
        body: Lint = call.body
        return lint(body.text, brand=body.brand, web_otp_domain=body.web_otp_domain, app_hash=body.app_hash)

    async def listing(self, call: Call) -> Page[NamedProfile]:
        return await profiles.page(call.connection, _whose(call), before=call.query.before, limit=call.query.limit)

    def routes(self) -> list[Route]:
        """The table's lines for profiles."""
        errors = (InvalidRequest, UnknownTemplate)
        return [
            Route(
                method="POST",
                path="/verify/profiles",
                scope="verify",
                handler=self.create,
                transacts=True,
                tag=TAG,
                summary="Make a profile",
                body=CreateProfile,
                answer=NamedProfile,
                idempotent=True,
                errors=(*errors, ProfileExists, TooManyProfiles, IdempotencyKeyReused, IdempotencyInFlight),
            ),
            Route(
                method="GET",
                path="/verify/profiles",
                scope="verify",
                handler=self.listing,
                tag=TAG,
                summary="List your profiles",
                query=PageQuery,
                answer=list[NamedProfile],
                is_list=True,
                errors=(InvalidRequest,),
            ),
            Route(
                method="GET",
                path="/verify/profiles/{profile}",
                scope="verify",
                handler=self.show,
                tag=TAG,
                summary="A profile",
                answer=NamedProfile,
                errors=(UnknownProfile,),
            ),
            Route(
                method="PATCH",
                path="/verify/profiles/{profile}",
                scope="verify",
                handler=self.change,
                transacts=True,
                tag=TAG,
                summary="Change a profile",
                description="`default` is there without having been made.",
                body=ChangeProfile,
                answer=NamedProfile,
                errors=(*errors, UnknownProfile),
            ),
            Route(
                method="DELETE",
                path="/verify/profiles/{profile}",
                scope="verify",
                handler=self.delete,
                transacts=True,
                tag=TAG,
                summary="Delete a profile",
                description="What was started with it goes on. `default` is as if it had never been changed.",
                answer=NamedProfile,
                errors=(UnknownProfile,),
            ),
            Route(
                method="POST",
                path="/verify/lint",
                scope="verify",
                handler=self.lint,
                tag=TAG,
                summary="Look at a text",
                description="How many parts it is sent in, what makes it dear, and what keeps phones from reading it.",
                body=Lint,
                answer=Report,
                errors=(InvalidRequest,),
            ),
        ]
