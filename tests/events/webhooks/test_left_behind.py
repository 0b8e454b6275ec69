"""What waits for an endpoint that gets nothing more comes to its end, unless its owner may want it yet."""

import pytest
from tests.events.webhooks.sending import Post, post, receiving

from trunkline.audit.acts import Actor
from trunkline.events.webhooks import delivery, endpoints, repeats
from trunkline.events.webhooks.endpoints import Whose
from trunkline.events.webhooks.recording import SQL
from trunkline.storage.queries import bind

pytestmark = pytest.mark.asyncio

ACTOR = Actor("operator:test")
WAITING = 2_500  # more than is failed at once


async def _ends(office: Post, hook: int, how: str) -> None:
    whose = Whose(office.account_id, test=False)
    async with office.database.transaction() as connection:
        if how == "deleted":
            await endpoints.delete(connection, ACTOR, hook, whose)
        elif how == "disabled by its owner":
            await endpoints.change(connection, ACTOR, hook, whose, enabled=False)
        else:
            assert await connection.fetchval(SQL.disable_failing, hook, "It answered 410 Gone.", None)


async def _states(office: Post, hook: int) -> list[str]:
    return [row["state"] for row in await office.deliveries() if row["endpoint_id"] == hook]


async def _enabled(office: Post, hook: int) -> None:
    async with office.database.transaction() as connection:
        await endpoints.change(connection, ACTOR, hook, Whose(office.account_id, test=False), enabled=True)


async def test_what_is_planned_as_its_endpoint_ends_has_failed_soon_unless_its_owner_disabled_it(url: str) -> None:
    async with post(url) as office, receiving() as receiver:
        hooks = {
            how: await office.endpoint(receiver.url, "key.*") for how in ("deleted", "gone", "disabled by its owner")
        }
        await office.tell()
        async with office.database.transaction() as planning:
            await planning.execute("SELECT fan_out(1000)")
            for how, hook in hooks.items():
                await _ends(office, hook, how)
        assert [await _states(office, hook) for hook in hooks.values()] == [["pending"]] * 3
        async with office.database.transaction() as connection:  # which does not enable it
            whose = Whose(office.account_id, test=False)
            await endpoints.change(connection, ACTOR, hooks["gone"], whose, url=receiver.url + "/2")
        async with office.sending(reading=False):
            await office.ended(2)
            assert [await _states(office, hook) for hook in hooks.values()] == [["failed"], ["failed"], ["pending"]]
            assert receiver.requests == []
            await _enabled(office, hooks["gone"])
            await _enabled(office, hooks["disabled by its owner"])
            await office.ended(3)
        assert [await _states(office, hook) for hook in hooks.values()] == [["failed"], ["failed"], ["delivered"]]
        assert len(receiver.requests) == len(await office.attempts()) == 1  # no attempt was made at the others


@pytest.mark.parametrize("how", ["deleted", "gone"])
async def test_much_that_waits_is_failed_in_parts_that_hold_up_nobody(
    url: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TRIM_SECONDS", 0.1)
    async with post(url) as office:
        hook = await office.endpoint("http://127.0.0.1:1/", "key.*")
        await office.tell(WAITING)
        while await office.database.fetchval("SELECT more FROM fan_out(1000)"):
            pass
        async with office.database.transaction() as recording:  # as while an attempt is written down
            await recording.execute(
                "SELECT FROM webhook_delivery WHERE delivery_id = (SELECT min(delivery_id) FROM webhook_delivery)"
                " FOR UPDATE"
            )
            await _ends(office, hook, how)
            assert (await _states(office, hook)).count("failed") == 1_000
            async with office.sending(reading=False):
                await office.ended(WAITING - 1)
                async with office.database.transaction() as enabling:
                    await enabling.execute("SELECT FROM webhook_endpoint FOR NO KEY UPDATE")
                    assert (
                        await office.database.fetchval(*bind(SQL.fail_left_behind, endpoint=hook, limit=1_000)) is None
                    )
        async with office.sending(reading=False):
            await office.ended(WAITING)
        assert await office.attempts() == []


async def test_what_an_endpoint_missed_while_it_was_disabled_for_failing_is_sent_again_by_request(url: str) -> None:
    async with post(url) as office, receiving() as receiver:
        hook = await office.endpoint(receiver.url, "key.*")
        names = await office.tell(3)
        await office.database.execute("SELECT fan_out(1000)")
        await _ends(office, hook, "gone")
        assert await _states(office, hook) == ["failed"] * 3
        await _enabled(office, hook)
        async with office.sending():
            names += await office.tell(2)
            await office.ended(5)
            assert sorted(receiver.ids()) == sorted(names[3:])
            async with office.database.transaction() as connection:
                for name in names[:3]:
                    whose = Whose(office.account_id, test=False)
                    await repeats.replay(connection, ACTOR, hook, whose, event_id=name)
            await receiver.got(names)
            await office.recorded(5)
        assert await _states(office, hook) == ["delivered"] * 5
