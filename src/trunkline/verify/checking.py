"""What can happen to a verification after its start: checked, sent again, cancelled, expired, read."""

import asyncio
import logging
from collections.abc import Mapping

import msgspec

from trunkline import money, paging
from trunkline.clock import iso
from trunkline.errors import InvalidRequest, NotFound, PaymentRequired, TrunklineError, Unavailable
from trunkline.storage.database import Database, Querier, Row
from trunkline.storage.queries import bind
from trunkline.verify import budgets, passcodes, views
from trunkline.verify.policy import VerifyPolicy
from trunkline.verify.problems import (
    MaxChecksReached,
    MaxSendsReached,
    ResendTooEarly,
    TooManySends,
    VerificationExpired,
    VerificationFinished,
)
from trunkline.verify.profiles import SQL
from trunkline.verify.starting import bound
from trunkline.verify.views import Checked, State, Verification, VerificationDetail

EXPIRED_AT_ONCE = 200
EVERY_SECONDS = 1.0

log = logging.getLogger("trunkline.verify")


async def check(
    connection: Querier,
    account_id: int,
    verification_id: int | None,
    code: str,
    *,
    test: bool,
    policy: VerifyPolicy,
    amount: str | None = None,
    payee: str | None = None,
) -> Checked | TrunklineError:
    """Compares what a user typed. One that is returned as an error has been counted, and is to be committed.

    The check is counted before it is compared, in one statement: however many come at once, no more are compared than
    there are. Errors: NotFound, InvalidRequest, MaxChecksReached, TooManyChecks, VerificationExpired,
    VerificationFinished.
    """
    row = await connection.fetchrow(*bind(SQL.identity, verification=verification_id, account=account_id, test=test))
    return await _check(connection, account_id, row, code, test=test, policy=policy, bound_to=bound(amount, payee))


async def check_number(
    connection: Querier,
    account_id: int,
    e164: str,
    code: str,
    *,
    profile: str | None,
    test: bool,
    policy: VerifyPolicy,
    amount: str | None = None,
    payee: str | None = None,
) -> Checked | TrunklineError:
    """The same for the newest pending verification of a number, and of a profile where one is named."""
    row = await connection.fetchrow(
        *bind(SQL.newest_pending, account=account_id, test=test, e164=e164, profile=profile)
    )
    return await _check(connection, account_id, row, code, test=test, policy=policy, bound_to=bound(amount, payee))


async def _check(
    connection: Querier,
    account_id: int,
    known: Row | None,
    code: str,
    *,
    test: bool,
    policy: VerifyPolicy,
    bound_to: str,
) -> Checked | TrunklineError:
    if known is None:
        raise _nowhere()
    typed = passcodes.as_typed(code)
    if len(typed) != known["digits"]:
        raise InvalidRequest(f"The code has {known['digits']} characters.", field="code")
    if known["bound"] and not bound_to:
        raise InvalidRequest("The code is bound to a payment: amount and payee are needed.", field="amount")
    most = policy.options.checks_per_day
    row = await connection.fetchrow(
        *bind(
            SQL.check,
            account=account_id,
            test=test,
            verification=known["verification_id"],
            mac=policy.seals.mac(known["verification_id"], known["e164"], typed, bound_to),
            most_failed=most,
        )
    )
    assert row is not None
    match row["problem"]:
        case None:
            return views.checked(row)
        case "too_many_checks":
            return budgets.too_many_checks(most, most, iso(row["retry_at"]))
    return _refusal(row)


async def resend(
    connection: Querier, account_id: int, verification_id: int | None, *, test: bool, policy: VerifyPolicy
) -> Verification:
    """The same text once more, since people type the code of whichever text comes first.

    Raises NotFound, ResendTooEarly, MaxSendsReached, TooManySends, PaymentRequired, VerificationExpired,
    VerificationFinished.
    """
    options = policy.options
    row = await connection.fetchrow(
        *bind(
            SQL.resend,
            account=account_id,
            test=test,
            verification=verification_id,
            pauses=list(options.resend_seconds),
            in_ten_minutes=options.sends_per_ten_minutes,
            in_a_day=options.sends_per_day,
        )
    )
    assert row is not None
    match row["problem"]:
        case None:
            return views.verification(row)
        case "resend_too_early":
            raise ResendTooEarly("The next text cannot be sent yet.", retry_at=iso(row["retry_at"]))
        case "max_sends_reached":
            raise MaxSendsReached("All texts of this verification are sent; start a new one.")
        case "too_many_sends":
            raise TooManySends(
                "Too many texts went to this number lately.",
                rule=row["rule"], value=row["recent"], threshold=row["threshold"], retry_at=iso(row["retry_at"]),
            )  # fmt: skip
        case "insufficient_balance":
            balance, cost = money.show(row["available_micros"]), money.show(row["cost_micros"])
            raise PaymentRequired(f"The text costs {cost}, and {balance} is available.", balance=balance, cost=cost)
    raise _refusal(row)


async def cancel(
    connection: Querier, account_id: int, verification_id: int | None, *, test: bool
) -> Verification | TrunklineError:
    """Ends it; saying so again is harmless. Errors: NotFound, VerificationExpired, VerificationFinished."""
    row = await connection.fetchrow(*bind(SQL.cancel, account=account_id, test=test, verification=verification_id))
    assert row is not None
    return _refusal(row) if row["problem"] else views.verification(row)


async def show(connection: Querier, account_id: int, verification_id: int | None, *, test: bool) -> VerificationDetail:
    """Raises NotFound."""
    row = await connection.fetchrow(*bind(SQL.one, account=account_id, test=test, verification=verification_id))
    if row is None:
        raise _nowhere()
    return views.detail(row, await connection.fetch(SQL.sends_of, row["verification_id"]))


async def page(
    connection: Querier,
    account_id: int,
    *,
    test: bool,
    state: State | None,
    profile: str | None,
    country: str | None,
    e164: str | None,
    metadata: Mapping[str, str],
    before: int,
    limit: int,
) -> paging.Page[Verification]:
    """An account's verifications, newest first."""
    rows = await connection.fetch(
        *bind(
            SQL.page,
            account=account_id,
            test=test,
            before=before,
            state=state,
            profile=profile,
            country=country,
            e164=e164,
            metadata=msgspec.json.encode(metadata).decode() if metadata else None,
            limit=limit + 1,
        )
    )
    return paging.cut(rows, limit, views.verification, lambda row: row["verification_id"])


async def expire_due(database: Database) -> int:
    """Ends what is past its time; how many."""
    ended = 0
    while True:
        some: int = await database.fetchval(SQL.expire, EXPIRED_AT_ONCE)
        ended += some
        if some < EXPIRED_AT_ONCE:
            return ended


async def forget_tested(database: Database, days: int) -> int:
    """Removes a group of test keys' verifications that ended so long ago; how many. Live ones stay with the books."""
    count: int = await database.fetchval(*bind(SQL.forget_tested, days=days, limit=EXPIRED_AT_ONCE))
    return count


async def sweep(database: Database, *, test_days: int) -> None:
    """Until cancelled; a database that is away is tried again."""
    while True:
        try:
            await forget_tested(database, test_days)
            if ended := await expire_due(database):
                log.info("%d verifications expired", ended)
        except Unavailable as error:
            log.warning("the end of verifications is put off: %s", error.detail)
        except Exception:
            log.exception("verifications could not be ended")
        await asyncio.sleep(EVERY_SECONDS)


def _refusal(row: Row) -> TrunklineError:
    match row["problem"]:
        case "not_found":
            return _nowhere()
        case "max_checks_reached":
            return MaxChecksReached("All checks of this verification are used up; start a new one.")
        case "verification_expired":
            return VerificationExpired(f"The code was good until {iso(row['expires_at'])}.")
        case "verification_finished":
            return VerificationFinished(f"The verification is already {row['state']}.")
    raise AssertionError(f"nobody makes an error of {row['problem']}")


def _nowhere() -> NotFound:
    return NotFound("There is no such verification.")
