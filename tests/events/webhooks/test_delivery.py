"""Events on their way to receivers: sent at least once, at a pace that suits each, and written down."""

import asyncio
import datetime
import json
import random
import time

import pytest
from tests.events.webhooks.sending import OK, Request, never, post, receiving, status

from trunkline.egress import urls
from trunkline.events.webhooks import attempts, delivery, pacing, signing
from trunkline.events.webhooks.attempts import answer_shown
from trunkline.events.webhooks.recording import SQL

pytestmark = pytest.mark.asyncio


def _verify(secret: bytes, request: Request) -> None:
    head = request.headers
    signed = signing.sign([secret], request.webhook_id, int(head["webhook-timestamp"]), request.body)
    assert head["webhook-signature"] == signed
    came_at = time.time() - (time.monotonic() - request.at)
    assert abs(int(head["webhook-timestamp"]) - came_at) < 60


async def test_an_event_comes_signed_and_its_answer_is_kept_under_a_key_that_is_thrown_away(url: str) -> None:
    async with post(url) as office, receiving() as receiver:
        await office.endpoint(receiver.url)
        receiver.answer = lambda _: b"HTTP/1.1 200 OK\r\nX-Seen: yes\r\nContent-Length: 5000\r\n\r\n" + b"a" * 5000
        async with office.sending():
            [name] = await office.tell()
            await receiver.got([name])
            [attempt] = await office.recorded(1)
        [request] = receiver.requests
        _verify(office.secret, request)
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"] == "Trunkline"
        assert json.loads(request.body).keys() == {"type", "timestamp", "data"}
        [delivery] = await office.deliveries()
        assert (delivery["state"], delivery["attempts"], delivery["ended_at"] is None) == ("delivered", 1, False)
        assert (attempt["number"], attempt["status"], attempt["reason"]) == (1, 200, None)
        assert (attempt["url"], attempt["address"]) == (receiver.url, "127.0.0.1")
        assert b"aaaa" not in attempt["answer"]
        headers, body = answer_shown(attempt["answer"], attempt["key"]) or ({}, "")
        assert (headers["x-seen"], body) == ("yes", "a" * 4096)
        assert answer_shown(attempt["answer"], None) is None


async def test_while_a_secret_is_rotated_both_sign(url: str) -> None:
    async with post(url) as office, receiving() as receiver:
        hook = await office.endpoint(receiver.url)
        await office.database.execute(
            "INSERT INTO webhook_secret (endpoint_id, secret, expires_at) VALUES ($1, $2, now() + interval '1 hour'),"
            " ($1, $3, now() - interval '1 second')",
            hook, b"b" * 24, b"c" * 24,
        )  # fmt: skip
        async with office.sending():
            await receiver.got(await office.tell())
        [request] = receiver.requests
        timestamp = int(request.headers["webhook-timestamp"])
        wanted = signing.sign([b"b" * 24, office.secret], request.webhook_id, timestamp, request.body)
        assert request.headers["webhook-signature"] == wanted


async def test_a_receiver_that_fails_at_random_and_is_away_for_a_while_gets_every_event(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(pacing, "LONGEST_PAUSE_SECONDS", 0.3)
    chance = random.Random(5)
    async with post(url, retry_seconds=",".join(["0.1"] * 60)) as office, receiving() as receiver:
        await office.endpoint(receiver.url)
        receiver.answer = lambda _: status(500) if chance.random() < 0.3 else OK
        async with office.sending():
            names = await office.tell(60)
            await receiver.until(lambda: len(receiver.requests) > 30)
            moody, receiver.answer = receiver.answer, lambda _: status(503)
            names += await office.tell(60)
            down = len(receiver.requests)
            await receiver.until(lambda: len(receiver.requests) > down + 12)
            receiver.answer = moody
            names += await office.tell(60)
            await office.ended(180)
        assert {row["state"] for row in await office.deliveries()} == {"delivered"}
        assert set(receiver.ids()) == set(names)
        bodies = {(request.webhook_id, request.body) for request in receiver.requests}
        assert len(bodies) == 180  # the same octets on every repeat
        for request in receiver.requests:
            _verify(office.secret, request)


async def test_two_workers_send_each_event_once(url: str) -> None:
    async with post(url) as office, receiving() as one, receiving() as two:
        for receiver in (one, two):
            await office.endpoint(receiver.url)
        async with office.sending(), office.sending():
            names = [name for _ in range(10) for name in await office.tell(30)]
            await office.ended(600)
        for receiver in (one, two):
            assert sorted(receiver.ids()) == sorted(names)


async def test_an_old_claim_writes_nothing(url: str) -> None:
    async with post(url) as office:
        hook = await office.endpoint("http://127.0.0.1:1/")
        await office.tell()
        await office.database.execute("SELECT fan_out(1000)")

        async def claim() -> tuple[int, int]:
            [row] = await office.database.fetch(SQL.claim, [hook], [4], 30.0)
            return row["delivery_id"], row["lease"]

        async def record(delivery: int, lease: int, *, succeeded: bool) -> None:
            given = [
                [each] for each in (succeeded, None if succeeded else 60.0, None, "u", 1, 1, 200, None, "a", b"", 1)
            ]
            await office.database.fetch(SQL.record, [delivery], [lease], *given, 1000.0)

        delivery, old = await claim()
        assert await office.database.fetch(SQL.claim, [hook], [4], 30.0) == []
        await office.database.execute("UPDATE webhook_delivery SET next_at = now()")
        assert (await claim()) == (delivery, old + 1)
        await asyncio.gather(*(record(delivery, old, succeeded=True) for _ in range(5)))
        assert await office.attempts() == []
        await asyncio.gather(*(record(delivery, old + 1, succeeded=False) for _ in range(5)))
        [attempt] = await office.attempts()  # written down twice, it is there once
        [row] = await office.deliveries()
        assert (row["state"], row["attempts"], attempt["number"]) == ("pending", 1, 1)


async def test_endpoints_that_hang_delay_no_other(url: str) -> None:
    async with post(url, seconds="600") as office, receiving() as hanging, receiving() as well:
        hanging.answer = never
        for number in range(100):
            await office.endpoint(hanging.url if number % 10 < 3 else well.url)
        async with office.sending():
            names = await office.tell(5)
            await well.until(lambda: len(well.requests) == 70 * 5)  # while those that hang take far longer
        assert set(well.ids()) == set(names)
        assert hanging.most_at_once <= 30 * pacing.START


async def test_a_hanging_endpoint_delays_nobody_where_places_are_few(url: str) -> None:
    async with post(url, seconds="600", concurrency="8") as office, receiving() as hanging, receiving() as well:
        hanging.answer = never
        for _ in range(4):
            await office.endpoint(hanging.url)
        async with office.sending():
            await office.endpoint(well.url)
            for _ in range(5):
                await well.got(await office.tell(3))
        assert hanging.most_at_once < 8


async def test_what_waits_for_an_endpoint_that_begins_to_hang_goes_back_to_the_queue(url: str) -> None:
    async with post(url, seconds="600") as office, receiving() as receiver:

        async def answer(request: Request) -> bytes:
            return status(204) if len(receiver.requests) <= 40 else await never(request)

        receiver.answer = answer
        await office.endpoint(receiver.url)
        async with office.sending() as dispatcher:
            await office.tell(300)

            async def only_what_hangs_is_claimed() -> bool:
                claimed = "SELECT count(*) FROM webhook_delivery WHERE state = 'pending' AND next_at > now()"
                under_way = len(dispatcher._under_way)
                return 0 < under_way == await office.database.fetchval(claimed) and not dispatcher._ahead

            await receiver.until(lambda: len(receiver.requests) > 40)
            await office.until(only_what_hangs_is_claimed)


async def test_endpoints_with_nothing_to_send_delay_no_other(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "LOOK_SECONDS", 60.0)  # so that nothing but what is planned is asked for
    async with post(url) as office, receiving() as receiver:
        idle = [await office.endpoint("http://127.0.0.1:1/", "balance.low") for _ in range(3 * delivery.MOST_CLAIMED)]
        hook = await office.endpoint(receiver.url)
        first = await office.tell()
        await office.database.execute("SELECT fan_out(1000)")
        async with office.sending(reading=False) as dispatcher:
            await receiver.got(first)  # the first look is over
            await office.ended(1)
            second = await office.tell()
            await office.database.execute("SELECT fan_out(1000)")
            dispatcher.planned([*idle, hook])
            await receiver.got(second)


async def test_claims_that_come_late_are_given_back_and_not_sent(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the process stood still before it read the database's answer: somebody else may send it by now."""
    monkeypatch.setattr(delivery, "LOOK_SECONDS", 60.0)  # so that nobody but this test claims
    async with post(url) as office, receiving() as receiver:
        hook = await office.endpoint(receiver.url)
        names = await office.tell()
        await office.database.execute("SELECT fan_out(1000)")
        async with office.sending(reading=False) as dispatcher:
            await office.ended(1)
            names += await office.tell(3)
            await office.database.execute("SELECT fan_out(1000)")
            rows = await office.database.fetch(SQL.claim, [hook], [4], 3600.0)
            first, *others = attempts.claimed(rows, time.monotonic() - dispatcher._lease_seconds)
            async with office.database.transaction() as locking:
                await locking.execute("SELECT FROM webhook_delivery FOR UPDATE")
                dispatcher._take(first)
                dispatcher.planned([])

                async def is_being_given_back() -> bool:
                    return bool(
                        await office.database.fetchval(
                            "SELECT count(*) FROM pg_stat_activity"
                            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                        )
                    )

                await office.until(is_being_given_back)
                for claim in others:  # while the first is given back
                    dispatcher._take(claim)
            assert (len(others), len(dispatcher._under_way)) == (2, 0)

            async def all_are_sent() -> bool:
                dispatcher.planned([hook])  # as every look does
                return {row["state"] for row in await office.deliveries()} == {"delivered"}

            await office.until(all_are_sent)
        assert sorted(receiver.ids()) == sorted(names)


async def test_gone_disables_at_once_and_the_account_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "TRIM_SECONDS", 0.2)  # what was being written down at that moment is failed then
    async with post(url) as office, receiving() as gone, receiving() as other:
        gone.answer = lambda _: status(410)
        hook, _ = await office.endpoint(gone.url), await office.endpoint(other.url, "webhook.disabled")
        await office.tell(50)
        async with office.sending():
            await other.until(lambda: bool(other.requests))
            await office.ended(51)
        [request] = other.requests
        told = json.loads(request.body)
        assert told["type"] == "webhook.disabled"
        assert told["data"] == {
            "webhook_id": str(hook),
            "url": urls.discreet(gone.url),
            "reason": "It answered 410 Gone.",
        }
        row = await office.hook(hook)
        assert row["disabled_reason"] == "It answered 410 Gone."
        states = {row["state"] for row in await office.deliveries() if row["endpoint_id"] == hook}
        assert states == {"failed"}
        assert len(gone.requests) <= pacing.START


async def test_an_endpoint_that_has_only_failed_for_too_long_is_disabled(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TRIM_SECONDS", 0.2)  # what was being written down at that moment is failed then
    async with post(url) as office, receiving() as failing, receiving() as other:
        failing.answer = lambda request: status(500)
        hook, _ = await office.endpoint(failing.url), await office.endpoint(other.url, "webhook.disabled")
        async with office.sending():
            await office.tell()
            await office.recorded(1)
            since = (await office.hook(hook))["failing_since"]
            assert abs(since - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(seconds=60)
            await office.database.execute("UPDATE webhook_endpoint SET failing_since = now() - interval '6 days'")
            await other.until(lambda: bool(other.requests))
            await office.ended(2)
        reason = "Every attempt has failed for 5 days."
        assert json.loads(other.requests[0].body)["data"]["reason"] == reason
        assert (await office.hook(hook))["disabled_reason"] == reason
        assert {row["state"] for row in await office.deliveries() if row["endpoint_id"] == hook} == {"failed"}


async def test_a_success_ends_the_time_of_failing_and_is_no_write_otherwise(url: str) -> None:
    async with post(url) as office, receiving() as receiver:
        hook = await office.endpoint(receiver.url)
        async with office.sending():
            await office.tell(5)
            await office.ended(5)
            before = await office.database.fetchval("SELECT xmin::text FROM webhook_endpoint")
            await office.tell(5)
            await office.ended(10)
            assert await office.database.fetchval("SELECT xmin::text FROM webhook_endpoint") == before
            may_succeed = asyncio.Event()

            async def answer(request: Request) -> bytes:
                if request.number == 1:
                    return status(500)
                await may_succeed.wait()
                return OK

            receiver.answer = answer
            await office.tell()
            await office.recorded(11)
            assert (await office.hook(hook))["failing_since"] is not None
            may_succeed.set()
            await office.ended(11)
        assert (await office.hook(hook))["failing_since"] is None


async def test_an_endpoint_that_asks_for_less_is_left_alone_for_as_long_as_it_says(url: str) -> None:
    async with post(url) as office, receiving() as receiver:
        receiver.answer = lambda _: status(429, "Retry-After: 120")
        hook = await office.endpoint(receiver.url)
        async with office.sending():
            await office.tell(20)
            await office.recorded(pacing.START)  # which began together: no pause is written after this
            paused = (await office.hook(hook))["paused_until"] - datetime.datetime.now(datetime.UTC)
            assert datetime.timedelta(seconds=100) < paused < datetime.timedelta(seconds=121)
            sent = len(receiver.requests)
            assert sent == pacing.START
            receiver.answer, receiver.most_at_once = (lambda _: OK), 0
            await office.database.execute("UPDATE webhook_endpoint SET paused_until = now()")
            await receiver.until(lambda: len(receiver.requests) > sent)
            assert receiver.most_at_once == 1
            await office.ended(20)
        assert (await office.hook(hook))["paused_until"] is None


@pytest.mark.parametrize(
    ("answer", "pauses"),
    [
        (status(502), True),
        (status(504), True),
        (status(503, "Retry-After: 60"), True),
        (status(503), False),
        (status(500, "Retry-After: 60"), False),
    ],
)
async def test_which_answers_slow_an_endpoint_down(url: str, answer: bytes, pauses: bool) -> None:
    async with post(url, retry_seconds="600") as office, receiving() as receiver:
        receiver.answer = lambda _: answer
        hook = await office.endpoint(receiver.url)
        async with office.sending():
            await office.tell()
            [attempt] = await office.recorded(1)
        assert ((await office.hook(hook))["paused_until"] is not None) == pauses
        assert attempt["reason"] == f"It answered {attempt['status']}."


async def test_five_failures_in_a_row_pause_an_endpoint_and_one_success_ends_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "FIRST_PAUSE_SECONDS", 300.0)  # so that none is over before the test ends it
    async with post(url) as office, receiving() as receiver:
        receiver.answer = lambda _: status(500)
        hook = await office.endpoint(receiver.url)
        async with office.sending():
            await office.tell(200)

            async def is_paused() -> bool:
                until = (await office.hook(hook))["paused_until"]
                return until is not None and until > datetime.datetime.now(datetime.UTC)

            await office.until(is_paused)
            tried = len(receiver.requests)
            assert 5 <= tried <= 5 + pacing.START
            receiver.most_at_once = 0
            for _ in range(2):  # each probe is one attempt, and pauses it again
                await office.database.execute("UPDATE webhook_endpoint SET paused_until = now()")
                await receiver.until(lambda: len(receiver.requests) > tried)  # noqa: B023
                await office.until(is_paused)
                assert len(receiver.requests) == tried + 1
                tried += 1
            receiver.answer = lambda _: OK
            await office.database.execute("UPDATE webhook_endpoint SET paused_until = now()")
            await office.ended(200)
        assert {row["state"] for row in await office.deliveries()} == {"delivered"}


async def test_after_the_last_attempt_a_delivery_has_failed_and_a_replay_begins_anew(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(pacing, "LONGEST_PAUSE_SECONDS", 0.05)
    async with post(url, retry_seconds="0.05,0.05,0.05") as office, receiving() as receiver:
        receiver.answer = lambda _: status(500)
        await office.endpoint(receiver.url)
        async with office.sending():
            [name] = await office.tell()
            for attempts in (4, 8):
                await office.ended(1)
                [row] = await office.deliveries()
                assert (row["state"], row["attempts"]) == ("failed", attempts)
                await office.database.execute(
                    "UPDATE webhook_delivery SET state = 'pending', since = attempts, next_at = now(), ended_at = NULL"
                )
            receiver.answer = lambda _: OK
            await office.ended(1)
        assert set(receiver.ids()) == {name}
        assert [row["number"] for row in await office.attempts()] == list(range(1, len(receiver.requests) + 1))


async def test_an_event_that_is_kept_no_longer_has_failed_and_says_so(url: str) -> None:
    async with post(url) as office, receiving() as receiver:
        await office.endpoint(receiver.url)
        await office.tell(2)
        await office.database.execute("SELECT fan_out(1000)")
        await office.database.execute("DELETE FROM event WHERE event_id = (SELECT max(event_id) FROM event)")
        async with office.sending():
            await office.ended(2)
        assert [row["state"] for row in await office.deliveries()] == ["delivered", "failed"]
        reasons = {row["reason"] for row in await office.attempts()}
        assert reasons == {None, "The event is kept no longer."}
        assert len(receiver.requests) == 1


async def test_what_is_disabled_deleted_or_paused_is_sent_nothing(url: str) -> None:
    async with post(url) as office:
        hooks = [await office.endpoint("http://127.0.0.1:1/") for _ in range(4)]
        await office.tell()
        await office.database.execute("SELECT fan_out(1000)")
        for change in (
            "disabled_at = now(), disabled_reason = 'x'",
            "deleted_at = now()",
            "paused_until = now() + '1h'",
        ):
            await office.database.execute(f"UPDATE webhook_endpoint SET {change} WHERE endpoint_id = $1", hooks.pop())
        due = await office.database.fetch(SQL.endpoints_with_something_due)
        assert [row["endpoint_id"] for row in due] == hooks
        every = [row["endpoint_id"] for row in await office.database.fetch("SELECT endpoint_id FROM webhook_endpoint")]
        claims = await office.database.fetch(SQL.claim, every, [4] * len(every), 30.0)
        assert [row["endpoint_id"] for row in claims] == hooks


async def test_a_worker_that_ends_lets_attempts_end_and_gives_the_rest_back(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "GRACE_SECONDS", 8.0)
    async with post(url) as office, receiving() as slow, receiving() as hanging:
        answered = asyncio.Event()

        async def slowly(_: Request) -> bytes:
            await answered.wait()
            return OK

        slow.answer, hanging.answer = slowly, never
        first, second = await office.endpoint(slow.url), await office.endpoint(hanging.url)
        async with office.sending():
            await office.tell(3)
            await slow.until(lambda: len(slow.requests) == 3)
            await hanging.until(lambda: len(hanging.requests) == 3)
            asyncio.get_running_loop().call_later(0.2, answered.set)
        rows = await office.database.fetch(
            "SELECT endpoint_id, state, next_at <= now() AS is_due FROM webhook_delivery ORDER BY endpoint_id"
        )
        assert [tuple(row) for row in rows] == [(first, "delivered", False)] * 3 + [(second, "pending", True)] * 3


async def test_deliveries_and_attempts_go_after_the_days_that_events_are_kept(url: str) -> None:
    async with post(url) as office, receiving() as receiver:
        await office.endpoint(receiver.url)
        async with office.sending():
            await office.tell(3)
            await office.ended(3)
        for table, column in (("webhook_delivery", "created_at"), ("webhook_attempt", "at")):
            await office.database.execute(
                f"UPDATE {table} SET {column} = now() - interval '31 days'"
                " WHERE delivery_id < (SELECT max(delivery_id) FROM webhook_delivery)"
            )
        async with office.sending():

            async def is_trimmed() -> bool:
                return len(await office.deliveries()) == len(await office.attempts()) == 1

            await office.until(is_trimmed)
