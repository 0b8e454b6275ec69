"""Names are looked up in time, within a share, and remembered: what does not answer costs its own account alone."""

import asyncio
import contextlib
import gc
import logging
import pathlib
from collections.abc import AsyncIterator

import pytest
from tests.events.webhooks.sending import SECONDS, post, receiving
from tests.house import data, opened, problem
from tests.outside import nameserver

from trunkline.accounts import accounts
from trunkline.audit.acts import Actor
from trunkline.egress import NoAnswer, names
from trunkline.egress.names import Names
from trunkline.egress.shares import Shares

pytestmark = pytest.mark.asyncio

EVIL, GOOD = 1, 2
Hosts = dict[str, list[str] | None]


@contextlib.asynccontextmanager
async def asking(hosts: Hosts) -> AsyncIterator[tuple[Names, list[str]]]:
    """Names, and what their name server was asked."""
    asked: list[str] = []
    async with nameserver({}, hosts, asked) as address:
        host, _, port = address.rpartition(":")
        yield Names([(host, int(port))]), asked


async def found(known: Names, host: str) -> list[str]:
    return [str(each) for each in await known.addresses(host, EVIL)]


async def test_a_name_is_asked_for_once_while_its_answer_holds() -> None:
    async with asking({"two.example": ["192.0.2.1", "2001:db8::1"]}) as (known, asked):
        answers = await asyncio.gather(*(known.addresses("two.example", each) for each in range(20)))
        answers.append(await known.addresses("two.example", EVIL))
        assert {tuple(str(each) for each in answer) for answer in answers} == {("2001:db8::1", "192.0.2.1")}
        assert sorted(asked) == ["two.example A", "two.example AAAA"]


async def test_a_name_that_does_not_answer_is_given_up_in_time_and_then_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "LOOKUP_SECONDS", 0.5)
    monkeypatch.setattr(names, "FIRST_FAILED_SECONDS", 600.0)
    monkeypatch.setattr(names, "LONGEST_FAILED_SECONDS", 600.0)
    async with asking({"slow.example": None}) as (known, asked):
        with pytest.raises(NoAnswer, match="its name servers do not answer"):
            await known.addresses("slow.example", EVIL)
        before = list(asked)
        for _ in range(100):
            with pytest.raises(NoAnswer, match="its name servers do not answer"):
                await known.addresses("slow.example", GOOD)
        assert asked == before


async def test_what_fails_is_counted_and_forgotten_once_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts: Hosts = {}
    monkeypatch.setattr(names, "FIRST_FAILED_SECONDS", 0.0)
    async with asking(hosts) as (known, _):
        for failures in (1, 2, 3):
            with pytest.raises(NoAnswer, match="there is no such name"):
                await known.addresses("late.example", EVIL)
            assert known._known["late.example"].failures == failures
        hosts["late.example"] = ["192.0.2.7"]
        assert await found(known, "late.example") == ["192.0.2.7"]
        assert known._known["late.example"].failures == 0


async def test_an_account_whose_names_do_not_answer_keeps_no_other_from_a_look_up() -> None:
    hosts: Hosts = {f"h{n}.slow.example": None for n in range(300)}
    async with asking(hosts | {"good.example": ["192.0.2.9"]}) as (known, _):
        waiting = [asyncio.create_task(known.addresses(host, EVIL)) for host in hosts]
        async with asyncio.timeout(SECONDS):
            while len(known._under_way) < names.SHARE:
                await asyncio.sleep(0)
            assert [str(each) for each in await known.addresses("good.example", GOOD)] == ["192.0.2.9"]
        assert len(known._under_way) <= names.SHARE
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_whoever_waits_for_a_look_up_may_leave_and_nothing_is_logged_about_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "LOOKUP_SECONDS", 0.3)
    with caplog.at_level(logging.DEBUG, "asyncio"):
        async with asking({"slow.example": None}) as (known, _), asyncio.timeout(SECONDS):
            for looking in (known.addresses("slow.example", EVIL), names.of_system("nobody.invalid")):
                leaving = asyncio.create_task(looking)
                await asyncio.sleep(0)
                leaving.cancel()
                await asyncio.wait((leaving,))
            while known._under_way or names._asked_of_system:
                await asyncio.sleep(0.01)
        gc.collect()
        await asyncio.sleep(0)
    assert not [record for record in caplog.records if "never retrieved" in record.getMessage()]


async def test_the_file_of_hosts_comes_first_and_is_read_again_once_it_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "hosts"
    monkeypatch.setattr(names, "HOSTS", str(file))
    file.write_text("192.0.2.1 app App.Local # not.example\n2001:db8::1\tapp\nnonsense app\n")
    async with asking({"app.": ["192.0.2.99"], "app": ["192.0.2.99"], "not.example": ["192.0.2.3"]}) as (known, asked):
        assert await found(known, "app") == ["192.0.2.1", "2001:db8::1"]
        assert await found(known, "app.local") == ["192.0.2.1"]
        assert await found(known, "x.localhost") == ["::1", "127.0.0.1"]
        assert asked == []
        assert await found(known, "not.example") == ["192.0.2.3"]
        file.unlink()
        assert await found(known, "app") == ["192.0.2.99"]  # as the name server of a network of containers says


async def test_a_search_list_is_asked_for_names_that_do_not_stand_alone() -> None:
    import dns.name

    async with asking({"app.inner.example": ["192.0.2.4"], "a.b.inner.example": ["192.0.2.5"]}) as (known, asked):
        known._configured().search = [dns.name.from_text("inner.example")]
        assert await found(known, "app") == ["192.0.2.4"]
        assert await found(known, "a.b") == ["192.0.2.5"]
        assert [each for each in asked if each.endswith(" A")] == [
            "app.inner.example A", "a.b A", "a.b.inner.example A"
        ]  # fmt: skip
        with pytest.raises(NoAnswer):
            await known.addresses("app.", EVIL)


async def test_turns_go_round_the_accounts_and_those_of_whoever_left_are_passed_on() -> None:
    shares, order = Shares(1, 1), []

    async def work(account_id: int) -> None:
        async with shares.hold(account_id):
            order.append(account_id)
            await asyncio.sleep(0)

    await shares.take(0)
    working = [asyncio.create_task(work(each)) for each in (1, 1, 1, 2, 3)]
    await asyncio.sleep(0)
    working[1].cancel()
    shares.give_back(0)
    await asyncio.wait(working, timeout=SECONDS)
    assert order == [1, 2, 3, 1]
    await asyncio.wait_for(shares.take(9), SECONDS)


async def test_nothing_is_looked_up_for_a_webhook_that_would_be_one_too_many_or_that_there_is_not(url: str) -> None:
    asked: list[str] = []
    hosts: Hosts = {f"h{n}.example": ["93.184.216.34"] for n in range(3)}
    async with (
        nameserver({}, hosts, asked) as address,
        opened(url, TRUNKLINE_WEBHOOKS__NAMESERVERS=address, TRUNKLINE_WEBHOOKS__MOST_ENDPOINTS="1") as house,
    ):
        buyer, other = await house.buyer(), await house.buyer()
        order = {"url": "https://h0.example/", "events": ["*"]}
        made = data(await buyer.post("/webhooks", order))
        problem(await buyer.post("/webhooks", order | {"url": "https://h1.example/"}), 409, "too_many_webhooks")
        change = {"url": "https://h2.example/"}
        problem(await other.ask("PATCH", f"/webhooks/{made['webhook_id']}", json=change), 404, "not_found")
        assert {each.split()[0] for each in asked} == {"h0.example"}


async def test_an_accounts_slow_names_stop_nobody_elses_webhooks(url: str) -> None:
    hosts: Hosts = {f"h{n}.slow.example": None for n in range(60)}
    async with (
        nameserver({}, hosts | {"well.example": ["127.0.0.1"]}) as address,
        post(url, nameservers=address, seconds="600", concurrency="64") as office,
        receiving() as well,
    ):
        for host in hosts:
            await office.endpoint(f"https://{host}/")
        async with office.sending():
            await office.tell(3)
            async with office.database.transaction() as connection:
                victim = await accounts.create(
                    connection, Actor("operator:test"), "victim@example.com", currency="USD", per_minute=60
                )
            office.account_id = victim.account_id
            await office.endpoint(f"http://well.example:{well.port}/hook")
            for _ in range(3):
                await well.got(await office.tell(2))
