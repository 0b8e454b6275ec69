"""Who did what: every act is written down with it, its owner sees it, and an outsider can prove it."""

import asyncio
import contextlib
import datetime
import getpass
import json
import pathlib
import re
import subprocess
import sys
import time
from typing import Any

import asyncpg
import pytest
from tests.conftest import Serve, Trunkline
from tests.house import Buyer, House, data, problem

from trunkline.audit import acts as audit
from trunkline.audit.acts import Actor

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "audit.md"


async def act(house: House, actor: Actor, action: str, **more: Any) -> None:
    await audit.record(house.platform.database, actor, action, "key:7", {"name": "ci", "cap": 0.8}, **more)


def by(buyer: Buyer, *, test: bool = False) -> Actor:
    return Actor("key:7", buyer.account_id, test, "203.0.113.7", "req_1")


# How many there may be


@pytest.mark.asyncio
async def test_keys_change_so_much_in_a_day_and_can_still_end_what_is_to_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_A_DAY", 3)
    buyer, other = await house.buyer(), await house.buyer()
    made = [await buyer.new_key() for _ in range(3)]
    refused = problem(await buyer.ask("PATCH", "/account", json={"low_balance": 1}), 429, "rate_limited")
    assert refused["limit"] == "changes"
    assert "3 changes in 24 hours" in refused["detail"]
    assert data(await buyer.get("/account"))["low_balance"] is None
    assert data(await buyer.ask("DELETE", f"/keys/{made[0]['key_id']}"))["revoked_at"]
    assert (await other.ask("PATCH", "/account", json={"low_balance": 1})).status_code == 200


# What its owner sees


@pytest.mark.asyncio
async def test_a_customer_sees_their_own_acts_newest_first(house: House) -> None:
    buyer, stranger = await house.buyer("0"), await house.buyer("0")
    await act(house, by(buyer), "key.created")
    await act(house, Actor("operator:eve"), "account.limits_set", account_id=buyer.account_id)
    await act(house, by(stranger), "key.created")
    await act(house, Actor("operator:eve"), "price.set")
    await act(house, Actor("stripe"), "deposit.paid", account_id=buyer.account_id)
    rows = data(await buyer.get("/account/audit"))
    assert [(row["actor"], row["action"]) for row in rows] == [
        ("stripe", "deposit.paid"),
        ("operator", "account.limits_set"),
        ("key:7", "key.created"),
        ("operator", "account.created"),
    ]
    assert rows[2] == {
        "audit_id": rows[2]["audit_id"], "at": rows[2]["at"], "actor": "key:7", "action": "key.created",
        "target": "key:7", "data": {"cap": 0.8, "name": "ci"}, "address": "203.0.113.7", "request_id": "req_1",
    }  # fmt: skip
    assert rows[2]["at"].endswith("Z")
    assert [row["action"] for row in data(await stranger.get("/account/audit"))] == ["key.created", "account.created"]


@pytest.mark.asyncio
async def test_a_test_key_sees_what_test_keys_did_and_a_live_key_the_rest(house: House) -> None:
    buyer = await house.buyer("0")
    await act(house, by(buyer), "key.created")
    await act(house, by(buyer, test=True), "key.revoked")
    assert [row["action"] for row in data(await buyer.get("/account/audit"))] == ["key.created", "account.created"]
    assert [row["action"] for row in data(await buyer.testing().get("/account/audit"))] == ["key.revoked"]


@pytest.mark.asyncio
async def test_the_audit_is_paged_and_filtered_by_action(house: House) -> None:
    buyer = await house.buyer("0")
    for number in range(7):
        await act(house, by(buyer), "key.created" if number % 2 else "key.revoked")
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = (await buyer.get("/account/audit", limit=2, action="key.revoked", **cursor)).json()
        seen += [row["audit_id"] for row in answer["data"]]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    assert len(seen) == 4
    assert seen == sorted(seen, key=int, reverse=True)
    assert data(await buyer.get("/account/audit", action="no.such")) == []
    problem(await buyer.get("/account/audit", cursor="x"), 422, "invalid_request")
    problem(await buyer.get("/account/audit", limit=0), 422, "invalid_request")


@pytest.mark.asyncio
async def test_an_act_is_undone_with_what_it_tells_of(house: House) -> None:
    buyer = await house.buyer("0")
    with contextlib.suppress(ZeroDivisionError):
        async with house.platform.database.transaction() as connection:
            await audit.record(connection, by(buyer), "key.created", "key:7")
            raise ZeroDivisionError
    assert data(await buyer.get("/account/audit", action="key.created")) == []


# What the operator does


def test_every_command_of_the_operator_is_written_down(trunkline: Trunkline, tmp_path: pathlib.Path) -> None:
    services, numbers = tmp_path / "services.csv", tmp_path / "numbers.csv"
    services.write_text("slug,name\nacme,Acme\n")
    numbers.write_text("+376300001,ad\n+376300002,ad\n")
    trunkline("account", "create", "dev@example.com", "--credit", "5.00")
    trunkline("account", "limit", "dev@example.com", "--per-minute", "600")
    trunkline("catalog", "import", str(services))
    trunkline("service", "enable", "acme", "--country", "DE")
    trunkline("service", "disable", "acme")
    trunkline("price", "set", "0.80", "--service", "acme")
    trunkline("numbers", "import", str(numbers), "--carrier", "simulated")
    acts = trunkline("audit", "list")["acts"]
    acts.reverse()
    assert [(act["action"], act["target"], act["data"]) for act in acts] == [
        ("account.created", acts[0]["target"], {"email": "dev@example.com", "credit": 5, "currency": "USD"}),
        ("account.limits_set", acts[0]["target"], {"per_minute": {"from": 60, "to": 600}}),
        ("catalog.imported", "catalog", {"services": 1}),
        ("service.enabled", "service:acme", {"country": "de"}),
        ("service.disabled", "service:acme", {"country": None}),
        ("price.set", "service:acme", {"country": None, "currency": "USD", "price": 0.8}),
        ("numbers.imported", "carrier:simulated", {"numbers": 2}),
    ]
    assert {act["actor"] for act in acts} == {f"operator:{getpass.getuser()}"}
    mine = trunkline("audit", "list", "--account", "dev@example.com", "--limit", "1")["acts"]
    assert [act["action"] for act in mine] == ["account.limits_set"]
    assert "service:acme" in trunkline.run("audit", "list", "--action", "price.set").stdout


def test_what_is_refused_is_not_written_down(trunkline: Trunkline, tmp_path: pathlib.Path) -> None:
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("+376300001,ad\n+376300001,ad\n")
    for words in (
        ("service", "enable", "wattsapp"),
        ("numbers", "import", str(numbers), "--carrier", "simulated"),
    ):
        assert trunkline.run(*words).returncode == 1
    assert trunkline("audit", "list") == {"acts": []}


# The proof, as its users have it


def test_a_server_links_acts_at_once_and_exports_the_head_as_it_stops(
    trunkline: Trunkline, serve: Serve, tmp_path: pathlib.Path
) -> None:
    heads = tmp_path / "data" / "audit-heads.jsonl"
    server = serve()
    trunkline("account", "create", "dev@example.com")
    deadline = time.monotonic() + 120
    while (head := trunkline("audit", "head")["head"]) is None:
        assert time.monotonic() < deadline
    [act] = trunkline("audit", "list")["acts"]
    took = datetime.datetime.fromisoformat(head["signed_at"]) - datetime.datetime.fromisoformat(act["at"])
    assert took < datetime.timedelta(seconds=30), "at once, as far as the machine lets it: nothing else is waited for"
    assert not heads.exists()
    assert server.stop() == 0
    [line] = heads.read_text().splitlines()
    assert json.loads(line) == head
    verdict = trunkline("audit", "verify")
    assert verdict == {
        "ok": True, "entries": 1, "linked": 1, "unlinked": 0, "heads": 1, "off_count": 0, "off": [],
    }  # fmt: skip


def test_heads_are_exported_on_the_schedule_also_by_a_worker_alone(
    trunkline: Trunkline, serve: Serve, tmp_path: pathlib.Path
) -> None:
    heads = tmp_path / "outside" / "heads.jsonl"
    trunkline("account", "create", "dev@example.com")
    serve("--role", "worker", TRUNKLINE_AUDIT__HEADS_FILE=str(heads), TRUNKLINE_AUDIT__EXPORT_SECONDS="1")
    deadline = time.monotonic() + 60
    while not heads.exists() or not heads.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert trunkline("audit", "verify", "--heads", str(heads))["heads"] == 1


def test_tampering_is_said_in_one_line_with_exit_code_1(trunkline: Trunkline, url: str, tmp_path: pathlib.Path) -> None:
    trunkline("account", "create", "dev@example.com", "--credit", "5")
    trunkline("account", "create", "other@example.com", "--credit", "5")
    assert trunkline("audit", "export")["position"] == 2
    public_key = tmp_path / "public.pem"
    public_key.write_text(trunkline("audit", "head")["public_key"])
    assert trunkline("audit", "verify", "--public-key", str(public_key))["heads"] == 1
    forge(url, "UPDATE audit_entry SET data = '{\"credit\": 500}' WHERE entry_id = 1")
    for words in ((), ("--public-key", str(public_key))):
        done = trunkline.run("audit", "verify", "--json", *words)
        assert done.returncode == 1
        assert done.stderr == "trunkline: The audit is off in 1 places.\n"
        assert json.loads(done.stdout)["off"] == [{"what": "hash_wrong", "position": 1, "entry_id": 1}]
    assert "off: {'what': 'hash_wrong'" in trunkline.run("audit", "verify").stdout


def test_what_cannot_be_used_is_said_in_one_line(trunkline: Trunkline, tmp_path: pathlib.Path) -> None:
    trunkline("account", "create", "dev@example.com")
    assert trunkline("audit", "head")["head"] is None
    assert trunkline("audit", "verify")["linked"] == 1
    key = tmp_path / "data" / "audit-signing-key.pem"
    secret = key.read_text()
    key.unlink()
    done = trunkline.run("audit", "verify")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not there" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not key.exists()
    key.write_text("no key")
    assert "no Ed25519 key" in trunkline.run("audit", "export").stderr
    key.write_text(secret)
    assert trunkline.run("audit", "verify", "--heads", str(tmp_path / "none")).returncode == 2
    wrong = Trunkline(trunkline.environment | {"TRUNKLINE_AUDIT__EXPORT_SECONDS": "0"})
    assert "export_seconds" in wrong.run("audit", "verify").stderr


def test_an_outsider_proves_a_dump_with_the_program_of_the_documentation(
    trunkline: Trunkline, tmp_path: pathlib.Path
) -> None:
    [program] = re.findall(r"```python\n(.+?)```", PAGE.read_text(), re.DOTALL)
    assert len(program.splitlines()) <= 30
    for name in ("dev", "zoë"):
        trunkline("account", "create", f"{name}@example.com", "--credit", "0.10")
    trunkline("audit", "export")
    dump, heads, public_key = (tmp_path / name for name in ("dump.jsonl", "heads.jsonl", "public.pem"))
    dump.write_text(trunkline.run("audit", "dump").stdout)
    assert trunkline("audit", "list", "--limit", "1")["acts"][0]["action"] == "audit.dumped"
    heads.write_bytes((tmp_path / "data" / "audit-heads.jsonl").read_bytes())
    public_key.write_text(trunkline("audit", "head")["public_key"])
    (tmp_path / "prove.py").write_text(program)

    def prove() -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "prove.py", "dump.jsonl", "heads.jsonl", "public.pem"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    proved = prove()
    assert (proved.returncode, proved.stdout) == (0, "2 acts and 1 heads are whole\n"), proved.stderr
    whole = dump.read_text()
    lines = whole.splitlines(keepends=True)
    for forged in (whole.replace("zoë", "zoe"), lines[0], lines[1], lines[1] + lines[0], ""):
        dump.write_text(forged)
        assert prove().returncode == 1, forged
    dump.write_text(whole)
    heads.write_text(heads.read_text().replace('"position":2', '"position":1'))
    assert prove().returncode == 1


def forge(url: str, statement: str) -> None:
    """What somebody does who owns the database."""

    async def main() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(statement)
        await connection.close()

    asyncio.run(main())
