"""Handlers of /account: the balance, the settings, and the ledger as its owner sees it."""

import dataclasses

import msgspec
from msgspec import UNSET, UnsetType

from trunkline.accounts import accounts, policy
from trunkline.accounts.views import Account, LowBalance, RetentionDays, SpendCapDay, SpendCapMonth
from trunkline.errors import InvalidRequest
from trunkline.ledger import journal
from trunkline.ledger.views import Transaction
from trunkline.paging import Page
from trunkline.surfaces.http.route import Call, PageQuery, Route


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the customer sets themselves. What is left out stays; null takes a limit away, or back to the operator's."""

    low_balance: LowBalance | UnsetType | None = UNSET
    spend_cap_day: SpendCapDay | UnsetType | None = UNSET
    spend_cap_month: SpendCapMonth | UnsetType | None = UNSET
    retention_days: RetentionDays | UnsetType | None = UNSET


@dataclasses.dataclass(frozen=True, slots=True)
class Accounts:
    """The first two count for an account that has none of its own."""

    account_per_minute: int
    retention_days: int
    longest_retention_days: int

    async def show(self, call: Call) -> Account:
        return await accounts.show(
            call.connection,
            call.key.account_id,
            test=call.key.test,
            account_per_minute=self.account_per_minute,
            retention_days=self.retention_days,
        )

    async def change(self, call: Call) -> Account:
        settings = {name: getattr(call.body, name) for name in policy.SETTINGS}
        await policy.set_up(
            call.connection,
            call.actor,
            call.key.account_id,
            {name: value for name, value in settings.items() if value is not UNSET},
            by=call.key,
            longest_retention_days=self.longest_retention_days,
        )
        return await self.show(call)

    async def transactions(self, call: Call) -> Page[Transaction]:
        query: PageQuery = call.query
        before = query.before
        if call.key.test:  # nothing of a test key is in the books
            return Page([], None)
        return await journal.page(call.connection, call.key.account_id, before=before, limit=query.limit)

    def routes(self) -> list[Route]:
        """The table's lines for the account."""
        return [
            Route(
                method="GET",
                path="/account",
                scope="account:read",
                handler=self.show,
                tag="Account",
                summary="Balance and limits",
                answer=Account,
            ),
            Route(
                method="PATCH",
                path="/account",
                scope="admin",
                handler=self.change,
                tag="Account",
                summary="Change settings",
                description="What is left out stays. Leases that run keep the days for which their texts are kept.",
                body=Settings,
                answer=Account,
                transacts=True,
                live_only=True,
                errors=(InvalidRequest,),
            ),
            Route(
                method="GET",
                path="/account/transactions",
                scope="account:read",
                handler=self.transactions,
                tag="Account",
                summary="The ledger's view",
                description="Newest first.",
                query=PageQuery,
                answer=list[Transaction],
                is_list=True,
                errors=(InvalidRequest,),
            ),
        ]
