"""Handlers of /services/control: proof that a service is the customer's own."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trunkline import fields
from trunkline.catalog import control as proofs
from trunkline.catalog.problems import ControlNotProved, UnknownService
from trunkline.clock import iso
from trunkline.egress import Network
from trunkline.egress.names import Names
from trunkline.egress.shares import Shares
from trunkline.errors import InvalidRequest, NotFound
from trunkline.paging import Page
from trunkline.storage.database import Database, Querier
from trunkline.surfaces.http.route import Call, Route

TAG = "Control"


class Ask(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    method: Annotated[
        Literal["dns", "file"], Meta(description="A TXT record in the domain's DNS, or a file on its site.")
    ]


class Instructions(msgspec.Struct, frozen=True):
    """What to put where: for `dns` the record of `name`, `type` and `value`, for `file` the `body` at `url`."""

    name: Annotated[str | UnsetType, Meta(description="The record's name.")] = UNSET
    type: Annotated[Literal["TXT"] | UnsetType, Meta(description="The record's type.")] = UNSET
    value: Annotated[str | UnsetType, Meta(description="What the record says.")] = UNSET
    url: Annotated[str | UnsetType, Meta(description="Where the file must be, without a redirect.")] = UNSET
    body: Annotated[str | UnsetType, Meta(description="What the file holds, and nothing else.")] = UNSET


class Control(msgspec.Struct, frozen=True):
    """A proof that a service is yours, or what is asked for one."""

    service: fields.Service
    domain: Annotated[
        str, Meta(description="The service's own site, as the catalog knows it.", examples=["whatsapp.com"])
    ]
    method: Annotated[Literal["dns", "file"], Meta(description="How it is proved.")]
    token: Annotated[str, Meta(description="Your account's own; it is no secret.")]
    instructions: Annotated[Instructions, Meta(description="What to put where.")]
    proved_at: Annotated[str | None, Meta(description="When the token was last found; null: not yet.")]
    expires_at: Annotated[
        str | None,
        Meta(description="Until when the proof counts; a check renews it.", examples=["2026-04-19T14:50:00Z"]),
    ]


def shown(found: proofs.Control) -> Control:
    return Control(
        found.service,
        found.domain,
        found.method,
        found.token,
        Instructions(name=found.record_name, type="TXT", value=found.record_value)
        if found.method == "dns"
        else Instructions(url=found.file_url, body=found.token),
        iso(found.proved_at) if found.proved_at is not None else None,
        iso(found.expires_at) if found.expires_at is not None else None,
    )


async def ask(call: Call) -> Control:
    return shown(
        await proofs.ask(call.connection, call.actor, call.key.account_id, call.path["slug"], call.body.method)
    )


async def page(call: Call) -> Page[Control]:
    found = [] if call.key.test else await proofs.listing(call.connection, call.key.account_id)
    return Page([shown(each) for each in found], None)


async def give_up(call: Call) -> Control:
    return shown(await proofs.give_up(call.connection, call.actor, call.key.account_id, call.path["slug"]))


def routes(*, database: Database, names: Names, records: Names, allow: Sequence[Network]) -> list[Route]:
    """``names``: who looks up the hosts of sites; ``records``: and the records that prove a service."""
    turns = Shares(proofs.MOST_LOOKS, proofs.LOOKS_SHARE)

    async def check(call: Call) -> Control:
        asked = await proofs.find(call.connection, call.key.account_id, call.path["slug"])
        await proofs.look(asked, turns, names=names, records=records, allow=allow)  # seconds: in no transaction

        async def whole(connection: Querier) -> Control:
            return shown(await proofs.prove(connection, call.actor, asked))

        return await database.transact(whole)

    return [
        Route(
            method="GET",
            path="/services/control",
            scope="admin",
            handler=page,
            tag=TAG,
            summary="Your proofs",
            description="All of them, proved or asked for.",
            answer=list[Control],
            is_list=True,
        ),
        Route(
            method="POST",
            path="/services/{slug}/control",
            scope="admin",
            handler=ask,
            tag=TAG,
            summary="Ask what to put where",
            description="With a proof that a service is yours you may lease real carriers' numbers for it, though the "
            "operator has not enabled it, and its leases count against no cap. Asked again, the token stays the same.",
            body=Ask,
            answer=Control,
            idempotent=True,
            transacts=True,
            live_only=True,
            errors=(UnknownService, InvalidRequest),
        ),
        Route(
            method="POST",
            path="/services/{slug}/control/check",
            scope="admin",
            handler=check,
            share="outside",
            tag=TAG,
            summary="Look for the token",
            description="Takes up to 15 seconds. A proof lasts a year; checked again, it begins anew.",
            answer=Control,
            live_only=True,
            errors=(NotFound, ControlNotProved),
        ),
        Route(
            method="DELETE",
            path="/services/{slug}/control",
            scope="admin",
            handler=give_up,
            tag=TAG,
            summary="Give a proof up",
            description="Leases that run go on.",
            answer=Control,
            transacts=True,
            live_only=True,
            errors=(NotFound,),
        ),
    ]
