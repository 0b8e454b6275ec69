"""The handler of /account/statement."""

import dataclasses

import msgspec

from trunkline import clock, fields
from trunkline.accounts import usage
from trunkline.errors import InvalidRequest
from trunkline.ledger import statement as statements
from trunkline.surfaces.http.route import Call, Route, Stream


class StatementQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename={"first": "from", "last": "to"}):
    first: fields.FirstDay | None = None
    last: fields.LastDay | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    async def statement(self, call: Call) -> Stream:
        account_id = call.key.account_id
        first, last = usage.period(call.query.first, call.query.last, clock.now().date())
        pieces = await statements.export(call.connection, call.actor, account_id, first, last)
        return Stream("text/csv; charset=utf-8", pieces, statements.file_name(account_id, first, last))

    def routes(self) -> list[Route]:
        """The table's line for the statement."""
        return [
            Route(
                method="GET",
                path="/account/statement",
                scope="account:read",
                handler=self.statement,
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
