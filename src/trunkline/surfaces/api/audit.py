"""Handlers of /account/audit: what was done to an account, for its owner."""

import dataclasses
from typing import Annotated

from msgspec import Meta

from trunkline.audit import acts
from trunkline.audit.views import Act
from trunkline.errors import InvalidRequest
from trunkline.paging import Page
from trunkline.surfaces.http.route import Call, PageQuery, Route


class AuditQuery(PageQuery, frozen=True):
    action: (
        Annotated[str, Meta(max_length=100, description="Only acts of this kind.", examples=["key.created"])] | None
    ) = None


@dataclasses.dataclass(frozen=True, slots=True)
class Audit:
    async def acts(self, call: Call) -> Page[Act]:
        query: AuditQuery = call.query
        return await acts.page(
            call.connection,
            call.key.account_id,
            test=call.key.test,
            webhooks="webhooks" in call.key.scopes,
            action=query.action,
            before=query.before,
            limit=query.limit,
        )

    def routes(self) -> list[Route]:
        """The table's lines for the audit."""
        return [
            Route(
                method="GET",
                path="/account/audit",
                scope="account:read",
                handler=self.acts,
                tag="Account",
                summary="Who did what",
                description="Newest first. A live key sees what was done with live keys and by the operator, a test "
                "key what was done with test keys. Acts on webhooks (`webhook.*`) are shown to keys that have "
                "`webhooks` too.",
                query=AuditQuery,
                answer=list[Act],
                is_list=True,
                errors=(InvalidRequest,),
            )
        ]
