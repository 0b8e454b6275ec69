"""The handler of /account/usage."""

import dataclasses
from typing import Annotated

import msgspec
from msgspec import Meta

from trunkline import clock, fields
from trunkline.accounts import usage
from trunkline.accounts.views import Report
from trunkline.errors import InvalidRequest
from trunkline.surfaces.http.route import Call, Route


class UsageQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename={"first": "from", "last": "to"}):
    first: fields.FirstDay | None = None
    last: fields.LastDay | None = None
    group_by: Annotated[
        str, Meta(max_length=80, description="day, service, country, key, or label.NAME for a label of that name.")
    ] = "day"


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    async def usage_report(self, call: Call) -> Report:
        query: UsageQuery = call.query
        key = call.key
        first, last = usage.period(query.first, query.last, clock.now().date())
        return await usage.report(
            call.connection, key.account_id, test=key.test, first=first, last=last, group_by=query.group_by
        )

    def routes(self) -> list[Route]:
        """The table's line for usage."""
        return [
            Route(
                method="GET",
                path="/account/usage",
                scope="account:read",
                handler=self.usage_report,
                share="dear",
                tag="Account",
                summary="What was used",
                description="Leases and money by day, service, country, key or label; exact to the ledger.",
                query=UsageQuery,
                answer=Report,
                errors=(InvalidRequest,),
            )
        ]
