"""The handler of /account/statement."""

from collections.abc import AsyncGenerator
from typing import Annotated

import msgspec
from msgspec import Meta

from trunkline import clock
from trunkline.accounts import usage
from trunkline.audit import acts
from trunkline.errors import InvalidRequest
from trunkline.ledger import statement as statements
from trunkline.surfaces.http.route import Call, Route, Stream


class StatementQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename={"first": "from", "last": "to"}):
    first: Annotated[str, Meta(description="The first day, as in 2026-04-01. Default: of this month.")] | None = None
    last: Annotated[str, Meta(description="The last day. Default: today.")] | None = None


async def statement(call: Call) -> Stream:
    first, last = usage.period(call.query.first, call.query.last, clock.now().date())
    facts = {"from": first, "to": last}
    await acts.record(call.connection, call.actor, "statement.exported", f"account:{call.key.account_id}", facts)

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield statements.header()
        if not call.key.test:  # nothing of a test key is in the books
            async for lines in statements.lines(call.connection, call.key.account_id, first, last):
                yield lines

    return Stream("text/csv; charset=utf-8", chunks(), statements.file_name(call.key.account_id, first, last))


def routes() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/account/statement",
            scope="account:read",
            handler=statement,
            share="export",
            tag="Account",
            summary="Every movement of money, as CSV",
            description="Oldest first, with the balance after each; of 366 days at most, in UTC. A text that a "
            "spreadsheet would take for a formula, as a phone number, stands after an apostrophe.",
            query=StatementQuery,
            answer=str,
            content_type="text/csv",
            errors=(InvalidRequest,),
        ),
    ]
