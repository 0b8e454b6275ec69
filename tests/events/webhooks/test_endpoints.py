"""A customer's webhooks: made, changed, rotated, tried, told again, deleted; and what became of each delivery."""

import asyncio
import datetime
import re
from typing import Any

import msgspec
import pytest
from tests.egress.hostile import HOSTILE
from tests.house import Buyer, House, data, opened, problem

from trunkline import egress
from trunkline.accounts import issuing
from trunkline.audit.acts import Actor
from trunkline.egress import Answer, urls
from trunkline.events import contents, types
from trunkline.events.fan_out import FanOut
from trunkline.events.webhooks import attempts, endpoints, history, repeats, signing, views
from trunkline.events.webhooks.endpoints import Whose
from trunkline.storage.database import Database
from trunkline.storage.vault import Vault

pytestmark = pytest.mark.asyncio

ACTOR = Actor("operator:test")
PUBLIC = "https://93.184.216.34/hooks"


async def newcomer(house: House) -> Buyer:
    """A customer of whose account nothing is told yet, not even its first keys."""
    buyer = await house.buyer()
    await house.platform.database.execute("DELETE FROM event WHERE account_id = $1", buyer.account_id)
    return buyer


async def make(buyer: Buyer, *events: str, **more: Any) -> Any:
    """A webhook that must be made."""
    return data(await buyer.post("/webhooks", {"url": PUBLIC, "events": list(events) or ["*"], **more}))


async def plan(house: House) -> None:
    """What the worker does with events: it plans their deliveries."""
    await FanOut(house.platform.database, lambda _: None, keep_days=30).take()


async def log_of(buyer: Buyer, hook: Any, **parameters: Any) -> Any:
    return data(await buyer.get(f"/webhooks/{hook['webhook_id']}/deliveries", **parameters))


async def finish(house: House, state: str = "delivered") -> None:
    """Every delivery ends, after one attempt more."""
    await house.platform.database.execute(
        "UPDATE webhook_delivery SET state = $1, attempts = attempts + 1, ended_at = now() WHERE state = 'pending'",
        state,
    )


async def acts(buyer: Buyer) -> list[tuple[str, str, Any]]:
    rows = data(await buyer.get("/account/audit"))
    return [
        (row["action"], row["target"], row["data"]) for row in reversed(rows) if row["action"].startswith("webhook")
    ]


# Making


async def test_the_secret_stands_in_the_answer_that_makes_the_webhook_and_never_again(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer, "sms.received", "activation.*", "sms.received", description="signup tests ✓")
    secret = made.pop("secret")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{32}", secret)
    assert made == {
        "webhook_id": made["webhook_id"],
        "url": PUBLIC,
        "events": ["sms.received", "activation.*"],
        "description": "signup tests ✓",
        "status": "enabled",
        "disabled_reason": None,
        "created_at": made["created_at"],
    }
    path = f"/webhooks/{made['webhook_id']}"
    assert data(await buyer.get(path)) == made
    assert data(await buyer.get("/webhooks")) == [made]
    assert secret not in (await buyer.ask("PATCH", path, json={"description": ""})).text
    audited = await house.platform.database.fetch("SELECT to_jsonb(entry)::text AS row FROM audit_entry AS entry")
    assert audited
    assert not any(secret[6:] in row["row"] for row in audited)


async def test_a_lost_answer_can_be_asked_for_again_and_makes_no_second_webhook(house: House) -> None:
    buyer = await house.buyer()
    order = {"url": PUBLIC, "events": ["*"]}
    first = await buyer.post("/webhooks", order, **{"Idempotency-Key": "a hook"})
    again = await buyer.post("/webhooks", order, **{"Idempotency-Key": "a hook"})
    assert again.json() == first.json()
    assert len(data(await buyer.get("/webhooks"))) == 1
    kept = await house.platform.database.fetch("SELECT to_jsonb(kept)::text AS row FROM idempotent_answer AS kept")
    assert kept
    secret = signing.from_shown(data(first)["secret"])
    assert not any(data(first)["secret"] in row["row"] or secret.hex() in row["row"] for row in kept)


async def test_no_spelling_of_an_address_that_is_not_public_is_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "CHECK_SECONDS", 20.0)  # a name that takes longer to look up may be named
    buyer = await house.buyer(per_minute=10_000_000)
    connections = 0

    async def count(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    server = await asyncio.start_server(count, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = await make(buyer)
    refused, passed = 0, []
    for form in HOSTILE:
        url = form.replace("{P}", str(port))
        answer = await buyer.post("/webhooks", {"url": url, "events": ["*"]})
        if answer.status_code == 200:  # as no name that means anything
            passed.append(data(await buyer.ask("DELETE", f"/webhooks/{data(answer)['webhook_id']}"))["url"])
            continue
        assert problem(answer, 422, "url_refused")["field"] == "url", form
        change = {"url": url, "description": "new"}
        answer = await buyer.ask("PATCH", f"/webhooks/{made['webhook_id']}", json=change)
        assert problem(answer, 422, "url_refused")["field"] == "url", form
        refused += 1
    assert all(".:" in url for url in passed)  # with a full stop at the end: some resolvers know no such name
    assert refused >= 60
    assert [(hook["url"], hook["description"]) for hook in data(await buyer.get("/webhooks"))] == [(PUBLIC, "")]
    assert connections == 0
    server.close()


async def test_a_network_that_the_operator_allows_may_be_named(url: str) -> None:
    async with opened(url, TRUNKLINE_WEBHOOKS__ALLOW="127.0.0.0/8") as house:
        buyer = await house.buyer()
        made = data(await buyer.post("/webhooks", {"url": "http://127.0.0.1:9/x", "events": ["*"]}))
        assert made["url"] == "http://127.0.0.1:9/x"
        problem(await buyer.post("/webhooks", {"url": "http://10.0.0.1/", "events": ["*"]}), 422, "url_refused")


async def test_a_name_that_cannot_be_resolved_now_may_be_named(house: House) -> None:
    made = data(await (await house.buyer()).post("/webhooks", {"url": "https://hooks.invalid/", "events": ["*"]}))
    assert made["url"] == "https://hooks.invalid/"


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({}, "url"),
    ({"url": PUBLIC}, "events"),
    ({"url": None, "events": ["*"]}, "url"),
    ({"url": 1, "events": ["*"]}, "url"),
    ({"url": "https://example.com/" + "x" * 2048, "events": ["*"]}, "url"),
    ({"url": PUBLIC, "events": []}, "events"),
    ({"url": PUBLIC, "events": "*"}, "events"),
    ({"url": PUBLIC, "events": ["sms.recieved"]}, "events"),
    ({"url": PUBLIC, "events": ["sms.*", "nothing.*"]}, "events"),
    ({"url": PUBLIC, "events": ["**"]}, "events"),
    ({"url": PUBLIC, "events": [None]}, "events[0]"),
    ({"url": PUBLIC, "events": ["*"], "description": "x" * 501}, "description"),
    ({"url": PUBLIC, "events": ["*"], "description": "two\nlines"}, "description"),
    ({"url": PUBLIC, "events": ["*"], "description": None}, "description"),
    ({"url": PUBLIC, "events": ["*"], "secret": "whsec_x"}, "secret"),
    ({"url": PUBLIC, "events": ["*"], "enabled": True}, "enabled"),
]


async def test_a_mistake_is_named_and_makes_nothing(house: House) -> None:
    buyer = await house.buyer()
    for body, field in MISTAKES:
        code = "url_refused" if field == "url" and isinstance(body.get("url"), str) else "invalid_request"
        assert problem(await buyer.post("/webhooks", body), 422, code)["field"] == field
    assert data(await buyer.get("/webhooks")) == []
    assert await acts(buyer) == []


async def test_no_more_webhooks_than_the_operator_allows_however_many_are_made_at_once(url: str) -> None:
    async with opened(url, TRUNKLINE_WEBHOOKS__MOST_ENDPOINTS="4") as house:
        buyer = await house.buyer()
        order = {"url": PUBLIC, "events": ["*"]}
        answers = await asyncio.gather(*(buyer.post("/webhooks", order) for _ in range(12)))
        assert sorted(answer.status_code for answer in answers) == [200] * 4 + [409] * 8
        problem(next(answer for answer in answers if answer.status_code == 409), 409, "too_many_webhooks")
        assert len(data(await buyer.get("/webhooks"))) == 4
        await make(buyer.testing())  # which has as many of its own
        hook = data(await buyer.get("/webhooks"))[0]
        data(await buyer.ask("DELETE", f"/webhooks/{hook['webhook_id']}"))
        await make(buyer)


async def test_lists_go_page_by_page_newest_first(house: House) -> None:
    buyer = await house.buyer()
    made = [(await make(buyer))["webhook_id"] for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    for _ in range(3):
        answer = await buyer.get("/webhooks", limit=2, **cursor)
        seen += [hook["webhook_id"] for hook in data(answer)]
        cursor = {"cursor": answer.json()["next_cursor"]}
    assert seen == made[::-1]
    assert cursor == {"cursor": None}


# Changing


async def test_a_change_keeps_what_it_leaves_out_and_tells_the_audit_what_it_did(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer, "sms.received", description="one")
    path = f"/webhooks/{made['webhook_id']}"
    del made["secret"]
    assert data(await buyer.ask("PATCH", path)) == made
    assert data(await buyer.ask("PATCH", path, json={})) == made
    assert data(await buyer.ask("PATCH", path, json={"description": "one", "enabled": True})) == made
    changed = data(await buyer.ask("PATCH", path, json={"events": ["key.*"], "description": "one"}))
    assert changed == made | {"events": ["key.*"]}
    moved = data(await buyer.ask("PATCH", path, json={"url": PUBLIC + "/2", "description": ""}))
    assert moved == changed | {"url": PUBLIC + "/2", "description": ""}
    target = f"webhook:{made['webhook_id']}"
    assert await acts(buyer) == [
        ("webhook.created", target, {"url": urls.discreet(PUBLIC), "events": ["sms.received"], "description": "one"}),
        ("webhook.updated", target, {"old": {"events": ["sms.received"]}, "new": {"events": ["key.*"]}}),
        (
            "webhook.updated",
            target,
            {
                "old": {"url": urls.discreet(PUBLIC), "description": "one"},
                "new": {"url": urls.discreet(PUBLIC + "/2"), "description": ""},
            },
        ),
    ]


async def test_a_change_with_a_mistake_changes_nothing(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer)
    path = f"/webhooks/{made['webhook_id']}"
    for body, code in [
        ({"description": "new", "events": ["nothing"]}, "invalid_request"),
        ({"description": "new", "events": []}, "invalid_request"),
        ({"description": "new", "enabled": "no"}, "invalid_request"),
        ({"description": "new", "url": None}, "invalid_request"),
        ({"description": "new", "status": "disabled"}, "invalid_request"),
        ({"description": "new", "url": "http://127.0.0.1/"}, "url_refused"),
    ]:
        problem(await buyer.ask("PATCH", path, json=body), 422, code)
    assert data(await buyer.get(path))["description"] == ""
    assert [act[0] for act in await acts(buyer)] == ["webhook.created"]


async def test_a_disabled_webhook_hears_nothing_until_it_is_enabled_and_then_begins_anew(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer, "key.*")
    path = f"/webhooks/{made['webhook_id']}"
    off = data(await buyer.ask("PATCH", path, json={"enabled": False}))
    assert (off["status"], off["disabled_reason"]) == ("disabled", "Disabled by its owner.")
    assert data(await buyer.ask("PATCH", path, json={"enabled": False})) == off
    await buyer.new_key(["numbers"])
    await plan(house)
    assert await log_of(buyer, made) == []
    for action, body in (
        ("test", {}),
        ("replay", {"since": "2020-01-01T00:00:00Z"}),
        ("replay", {"event_id": "evt_1"}),
    ):
        problem(await buyer.post(f"{path}/{action}", body), 409, "webhook_disabled")
    database = house.platform.database
    await database.execute("UPDATE webhook_endpoint SET failing_since = now(), paused_until = now() + interval '1 day'")
    on = data(await buyer.ask("PATCH", path, json={"enabled": True}))
    assert (on["status"], on["disabled_reason"]) == ("enabled", None)
    row = await database.fetchrow("SELECT failing_since, paused_until FROM webhook_endpoint")
    assert row is not None
    assert tuple(row) == (None, None)
    await buyer.new_key(["numbers"])
    await plan(house)
    assert [each["type"] for each in await log_of(buyer, made)] == ["key.created"]
    assert [act[0] for act in await acts(buyer)] == ["webhook.created", "webhook.disabled", "webhook.enabled"]


# Secrets


async def live_secrets(house: House, hook: Any) -> list[bytes]:
    """What signs, newest first, as the dispatcher finds it."""
    rows = await house.platform.database.fetch(
        "SELECT secret FROM webhook_secret WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > now())"
        " ORDER BY secret_id DESC",
        int(hook["webhook_id"]),
    )
    return [row["secret"] for row in rows]


async def test_the_old_secret_signs_beside_the_new_one_until_the_overlap_is_over(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer)
    path = f"/webhooks/{made['webhook_id']}/rotate-secret"
    second = data(await buyer.post(path, {"overlap_hours": 2}))
    assert {**made, "secret": second["secret"]} == second
    third = data(await buyer.ask("POST", path))  # 24 hours
    shown = [third["secret"], second["secret"], made["secret"]]
    assert await live_secrets(house, made) == [signing.from_shown(secret) for secret in shown]
    database = house.platform.database
    left = "SELECT round(extract(epoch FROM expires_at - now()) / 3600) FROM webhook_secret ORDER BY secret_id"
    assert [row[0] for row in map(tuple, await database.fetch(left))] == [2, 24, None]
    await database.execute("UPDATE webhook_secret SET expires_at = expires_at - interval '3 hours'")
    assert await live_secrets(house, made) == [signing.from_shown(secret) for secret in shown[:2]]
    leaked = data(await buyer.post(path, {"overlap_hours": 0}))
    assert await live_secrets(house, made) == [signing.from_shown(leaked["secret"])]
    assert await database.fetchval("SELECT count(*) FROM webhook_secret") == 1
    rotated = [act[2] for act in await acts(buyer) if act[0] == "webhook.secret_rotated"]
    assert rotated == [{"overlap_hours": hours} for hours in (2, 24, 0)]


async def test_at_most_five_secrets_sign_however_many_rotate_at_once(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer)
    path = f"/webhooks/{made['webhook_id']}/rotate-secret"
    answers = await asyncio.gather(*(buyer.post(path, {"overlap_hours": 72}) for _ in range(9)))
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [409] * 5
    problem(next(answer for answer in answers if answer.status_code == 409), 409, "too_many_secrets")
    assert len(await live_secrets(house, made)) == 5
    for hours in (-1, 73, 1.5, "1", None):
        problem(await buyer.post(path, {"overlap_hours": hours}), 422, "invalid_request")
    assert len(await live_secrets(house, made)) == 5
    data(await buyer.post(path, {"overlap_hours": 0}))
    assert len(await live_secrets(house, made)) == 1


# Deleting


async def test_a_deleted_webhook_is_gone_everywhere_with_its_secrets_and_what_was_on_its_way(house: House) -> None:
    buyer = await house.buyer()
    made, other = await make(buyer), await make(buyer)
    path = f"/webhooks/{made['webhook_id']}"
    data(await buyer.post(f"{path}/test", {}))
    data(await buyer.post(f"/webhooks/{other['webhook_id']}/test", {}))
    await plan(house)
    del made["secret"]
    answers = await asyncio.gather(*(buyer.ask("DELETE", path) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404, 404]
    assert data(next(answer for answer in answers if answer.status_code == 200)) == made
    for answer in (
        await buyer.get(path),
        await buyer.get(f"{path}/deliveries"),
        await buyer.ask("PATCH", path, json={"enabled": True}),
        await buyer.post(f"{path}/test", {}),
        await buyer.post(f"{path}/rotate-secret", {}),
        await buyer.post(f"{path}/replay", {"since": "2020-01-01T00:00:00Z"}),
    ):
        problem(answer, 404, "not_found")
    assert [hook["webhook_id"] for hook in data(await buyer.get("/webhooks"))] == [other["webhook_id"]]
    assert await live_secrets(house, made) == []
    assert len(await live_secrets(house, other)) == 1
    rows = await house.platform.database.fetch("SELECT endpoint_id, state FROM webhook_delivery ORDER BY endpoint_id")
    assert [tuple(row) for row in rows] == [
        (int(made["webhook_id"]), "failed"),
        (int(other["webhook_id"]), "pending"),
    ]
    assert ("webhook.deleted", f"webhook:{made['webhook_id']}", {"url": urls.discreet(PUBLIC)}) in await acts(buyer)


async def test_a_secret_that_is_made_while_its_webhook_is_deleted_goes_with_it(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer)
    number, database = int(made["webhook_id"]), house.platform.database
    async with database.transaction() as rotating:
        await endpoints.rotate_secret(rotating, ACTOR, number, Whose(buyer.account_id, test=False), 24)
        deleting = asyncio.create_task(buyer.ask("DELETE", f"/webhooks/{number}"))
        while not await database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            assert not deleting.done()
    data(await deleting)
    assert await live_secrets(house, made) == []


# Trying out


async def test_a_test_goes_to_one_webhook_alone_whether_it_wants_the_type_or_not(house: House) -> None:
    buyer = await house.buyer()
    made, other = await make(buyer, "balance.low"), await make(buyer)
    answer = data(await buyer.ask("POST", f"/webhooks/{made['webhook_id']}/test"))
    await plan(house)
    assert await log_of(buyer, other) == []
    [delivery] = await log_of(buyer, made)
    assert (delivery["event_id"], delivery["type"], delivery["status"]) == (
        answer["event_id"],
        "webhook.test",
        "pending",
    )
    path = f"/webhooks/{made['webhook_id']}/test"
    for body in ({"type": "sms.recieved"}, {"type": "*"}, {"type": None}, {"url": PUBLIC}):
        problem(await buyer.post(path, body), 422, "invalid_request")
    assert len(await log_of(buyer, made)) == 1


async def told(house: House) -> list[Any]:
    """What every event says, oldest first."""
    rows = await house.platform.database.fetch("SELECT account_id, event_id, created_at FROM event ORDER BY event_id")
    found = await contents.contents(house.platform.database, [tuple(row) for row in rows])
    return [msgspec.json.decode(found[row["event_id"]].body) for row in rows]


def shape(data: Any) -> Any:
    """Names and types, whatever the values; a number is a number."""
    if isinstance(data, dict):
        return {name: shape(value) for name, value in data.items()}
    return float if isinstance(data, int | float) and not isinstance(data, bool) else type(data)


async def test_a_sample_has_the_shape_of_the_real_one_and_says_that_it_is_one(house: House) -> None:
    buyer = await house.buyer("20.00")
    await buyer.ask("PATCH", "/account", json={"low_balance": 19.99})
    for end in ("cancel", "complete", "expire"):
        lease = await buyer.lease("whatsapp", "us", labels={"run_id": "1"})
        if end == "complete":
            await house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
            await buyer.complete(lease)
        elif end == "cancel":
            await buyer.cancel(lease)
    await house.later(3600)
    key = await buyer.new_key(["numbers"])
    rotated = await issuing.rotate(house.platform.database, Actor("operator:test"), int(key["key_id"]), 1)
    await issuing.revoke(house.platform.database, Actor("operator:test"), int(rotated.key_id))
    real = {each["type"]: each for each in await told(house)}
    assert len(real) == 9
    made = await make(buyer)
    for name in types.TYPES:
        data(await buyer.post(f"/webhooks/{made['webhook_id']}/test", {"type": name}))
    sampled = {each["type"]: each for each in await told(house) if each["data"].get("sample")}
    assert list(sampled) == list(types.TYPES)
    for name, sample in sampled.items():
        assert sample["data"].pop("sample") is True
        if name in real:
            assert shape(sample) == shape(real[name]), name
    assert sampled["deposit.paid"]["data"] == {"deposit_id": "1001", "amount": 20, "currency": "USD"}
    assert sampled["webhook.disabled"]["data"].keys() == {"webhook_id", "url", "reason"}
    assert sampled["webhook.test"]["data"] == {"webhook_id": made["webhook_id"]}


async def test_a_sample_is_counted_nowhere(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer)
    for name in types.TYPES:
        data(await buyer.post(f"/webhooks/{made['webhook_id']}/test", {"type": name}))
    await plan(house)
    assert await house.platform.database.fetchval("SELECT count(*) FROM outcome_hour") == 0
    assert len(await log_of(buyer, made)) == len(types.TYPES)


# Deliveries


async def attempt(house: House, event_id: str, number: int, status: int | None, *, body: bytes = b"ok") -> None:
    """Writes an attempt down as the dispatcher does."""
    database = house.platform.database
    key = await Vault().key(database, None, 1)
    answer = Answer(status or 0, {"x-seen": "yes"}, body, None, "93.184.216.34")
    sealed = attempts.sealed(attempts.judged(answer), key) if status is not None else None
    await database.execute(
        "INSERT INTO webhook_attempt (delivery_id, number, url, duration_ms, status, reason, address, answer, key_id)"
        " SELECT delivery_id, $2, $3, 12, $4, $5, $6, $7, $8 FROM webhook_delivery WHERE event_id = $1",
        contents.from_shown_id(event_id), number, PUBLIC, status, None if status == 200 else "No.", "93.184.216.34",
        sealed, key.key_id if sealed else None,
    )  # fmt: skip
    await database.execute(
        "UPDATE webhook_delivery SET attempts = $2 WHERE event_id = $1", contents.from_shown_id(event_id), number
    )


async def test_the_log_shows_request_and_answer_of_each_attempt_and_no_secret(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer, "sms.received")
    lease = await buyer.lease("whatsapp", "us")
    await house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
    await plan(house)
    [fresh] = await log_of(buyer, made)
    assert (fresh["status"], fresh["attempts"]) == ("pending", [])
    assert fresh["next_attempt_at"] is not None
    await attempt(house, fresh["event_id"], 1, None)
    await attempt(house, fresh["event_id"], 2, 200, body=b"thanks \xff")
    await finish(house)
    answer = await buyer.get(f"/webhooks/{made['webhook_id']}/deliveries")
    [delivery] = data(answer)
    assert (delivery["status"], delivery["next_attempt_at"]) == ("delivered", None)
    failed, succeeded = delivery["attempts"]
    assert (failed["number"], failed["status"], failed["reason"], failed["answer"]) == (1, None, "No.", None)
    assert (succeeded["number"], succeeded["status"], succeeded["reason"], succeeded["duration_ms"]) == (
        2,
        200,
        None,
        12,
    )
    assert succeeded["answer"] == {"headers": {"x-seen": "yes"}, "body": "thanks \ufffd"}
    assert succeeded["url"] == PUBLIC
    request = succeeded["request"]
    assert request["headers"]["webhook-id"] == delivery["event_id"]
    assert re.fullmatch(r"\d{10}", request["headers"]["webhook-timestamp"])
    assert "webhook-signature" not in request["headers"]
    assert request["body"]["type"] == "sms.received"
    assert request["body"]["data"]["full_text"] == "Your WhatsApp code: 847291"
    assert made["secret"] not in answer.text
    for _ in range(2):  # to the lease's end, and to the end of what is kept after it
        await house.later(40 * 86_400)
    await house.platform.database.execute("UPDATE text_key SET key = NULL")
    [erased] = await log_of(buyer, made)
    body = erased["attempts"][1]["request"]["body"]["data"]
    assert (body["full_text"], body["code"], body["erased"]) == (None, None, True)
    assert erased["attempts"][1]["answer"] is None


async def test_an_event_that_is_no_longer_kept_leaves_its_delivery_in_the_log(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer)
    event_id = data(await buyer.ask("POST", f"/webhooks/{made['webhook_id']}/test"))["event_id"]
    await plan(house)
    await attempt(house, event_id, 1, 500)
    await house.platform.database.execute("DELETE FROM event")
    [delivery] = await log_of(buyer, made)
    assert (delivery["event_id"], delivery["type"]) == (event_id, None)
    assert delivery["attempts"][0]["request"]["body"] is None


async def test_the_log_goes_page_by_page_newest_event_first_with_the_same_number_of_statements(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer)
    sent = [data(await buyer.ask("POST", f"/webhooks/{made['webhook_id']}/test"))["event_id"] for _ in range(30)]
    await plan(house)
    for place, event_id in enumerate(sent):
        await attempt(house, event_id, 1, 200 if place % 3 else 500)
    database = house.platform.database
    await database.execute("UPDATE webhook_delivery SET state = 'delivered', ended_at = now() WHERE event_id % 3 = 0")
    path = f"/webhooks/{made['webhook_id']}/deliveries"
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while cursor != {"cursor": None}:
        answer = await buyer.get(path, limit=7, **cursor)
        seen += [each["event_id"] for each in data(answer)]
        cursor = {"cursor": answer.json()["next_cursor"]}
    assert seen == sent[::-1]
    delivered = await log_of(buyer, made, status="delivered", limit=100)
    pending = await log_of(buyer, made, status="pending", limit=100)
    assert len(delivered) == 10
    assert len(pending) == 20
    assert {each["status"] for each in delivered} == {"delivered"}
    assert await log_of(buyer, made, status="failed") == []
    asked = []
    whose = Whose(buyer.account_id, test=False)
    for limit in (1, 30):
        counting = Counting(database)
        await history.page(counting, int(made["webhook_id"]), whose, state=None, limit=limit)
        asked.append(counting.statements)
    assert asked == [4, 4]
    for parameters in ({"status": "lost"}, {"limit": 0}, {"limit": 101}, {"cursor": "x"}, {"type": "key.created"}):
        problem(await buyer.get(path, **parameters), 422, "invalid_request")


async def test_a_page_of_the_log_holds_so_many_attempts_however_long_the_answers_are(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer)
    path = f"/webhooks/{made['webhook_id']}"
    sent = [data(await buyer.ask("POST", f"{path}/test"))["event_id"] for _ in range(30)]
    await plan(house)
    for event_id in sent:
        await attempt(house, event_id, 1, 500, body=b"\x01" * 5000)
    database = house.platform.database
    await database.execute(
        "INSERT INTO webhook_attempt (delivery_id, number, url, duration_ms, status, reason, address, answer, key_id)"
        " SELECT delivery_id, n, url, 12, status, reason, address, answer, key_id"
        " FROM webhook_attempt, generate_series(2, 30) AS n"
    )
    await database.execute("UPDATE webhook_delivery SET attempts = 30")
    seen: list[Any] = []
    cursor: dict[str, Any] = {}
    while cursor != {"cursor": None}:
        answer = await buyer.get(f"{path}/deliveries", limit=100, **cursor)
        assert len(answer.content) < 10_000_000
        seen += data(answer)
        cursor = {"cursor": answer.json()["next_cursor"]}
    assert [each["event_id"] for each in seen] == sent[::-1]
    assert {len(each["attempts"]) for each in seen} == {views.MOST_ATTEMPTS_SHOWN}


class Counting:
    """The database, and how many statements it was asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        self.statements += 1
        return getattr(self._database, name)


# Telling again


async def test_an_event_is_sent_again_with_the_same_id_and_its_schedule_begins_anew(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer, "key.*")
    await buyer.new_key(["numbers"])
    await plan(house)
    [delivery] = await log_of(buyer, made)
    path = f"/webhooks/{made['webhook_id']}/replay"
    body = {"event_id": delivery["event_id"]}
    assert data(await buyer.post(path, body)) == {"replayed": 0, "more": False, "next_since": None}  # it is on its way
    for state in ("delivered", "failed"):
        await finish(house, state)
        assert (await log_of(buyer, made))[0]["status"] == state
        assert data(await buyer.post(path, body))["replayed"] == 1
        [again] = await log_of(buyer, made)
        assert (again["event_id"], again["status"]) == (delivery["event_id"], "pending")
    row = await house.platform.database.fetchrow("SELECT attempts, since, ended_at FROM webhook_delivery")
    assert row is not None
    assert tuple(row) == (2, 2, None)
    assert [act[2]["replayed"] for act in await acts(buyer) if act[0] == "webhook.replayed"] == [0, 1, 1]


async def test_an_event_from_before_the_webhook_is_sent_also_where_it_does_not_want_the_type(house: House) -> None:
    buyer = await house.buyer()
    await buyer.new_key(["numbers"])
    await plan(house)
    made = await make(buyer, "sms.received")
    number = await house.platform.database.fetchval("SELECT event_id FROM event WHERE type = 'key.created'")
    assert (
        data(await buyer.post(f"/webhooks/{made['webhook_id']}/replay", {"event_id": f"evt_{number}"}))["replayed"] == 1
    )
    [delivery] = await log_of(buyer, made)
    assert (delivery["event_id"], delivery["type"]) == (f"evt_{number}", "key.created")


async def test_nobody_elses_event_is_sent_nor_one_of_the_other_mode_or_for_another_webhook(house: House) -> None:
    buyer, stranger = await newcomer(house), await newcomer(house)
    made, other = await make(buyer), await make(buyer)
    theirs = await make(stranger)
    for who in (stranger, buyer.testing()):
        await who.new_key(["numbers"])
    for who, hook in ((stranger, theirs), (buyer, other)):
        data(await who.ask("POST", f"/webhooks/{hook['webhook_id']}/test"))
    path = f"/webhooks/{made['webhook_id']}/replay"
    events = await house.platform.database.fetch("SELECT event_id FROM event")
    assert len(events) == 4
    names = [f"evt_{row['event_id']}" for row in events]
    for name in (*names, "evt_0", "evt_999999", "evt_", "1", "evt_-1", "evt_x", "evt_" + "9" * 30, ""):
        problem(await buyer.post(path, {"event_id": name}), 404, "not_found")
    assert data(await buyer.post(path, {"since": "2020-01-01T00:00:00Z"}))["replayed"] == 0
    assert await log_of(buyer, made) == []


async def test_everything_wanted_since_a_time_is_sent_oldest_first(house: House) -> None:
    buyer = await newcomer(house)
    for _ in range(3):
        await buyer.new_key(["numbers"])
    lease = await buyer.lease("whatsapp", "us")
    made = await make(buyer, "key.*")
    database = house.platform.database
    rows = await database.fetch("SELECT event_id, created_at FROM event WHERE type = 'key.created' ORDER BY event_id")
    since = rows[1]["created_at"].isoformat()
    path = f"/webhooks/{made['webhook_id']}/replay"
    assert data(await buyer.post(path, {"since": since})) == {"replayed": 2, "more": False, "next_since": None}
    assert [each["event_id"] for each in await log_of(buyer, made)] == [
        f"evt_{rows[2]['event_id']}",
        f"evt_{rows[1]['event_id']}",
    ]
    await plan(house)
    assert data(await buyer.post(path, {"since": since}))["replayed"] == 0  # they are on their way
    await finish(house)
    await buyer.cancel(lease)
    assert data(await buyer.post(path, {"since": "2020-01-01T01:00:00+01:00"}))["replayed"] == 3
    future = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    assert data(await buyer.post(path, {"since": future.isoformat()}))["replayed"] == 0


async def test_a_replay_of_very_many_events_goes_on_where_it_stopped(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer = await newcomer(house)
    made = await make(buyer, "key.created")
    database = house.platform.database
    await database.execute(
        "INSERT INTO event (account_id, test, type, data, created_at)"
        " SELECT $1, false, CASE WHEN n % 2 = 0 THEN 'key.created' ELSE 'key.revoked' END, '{\"key_id\": \"1\"}',"
        " now() - interval '1 hour' + n * interval '1 second' FROM generate_series(1, 1000) AS n",
        buyer.account_id,
    )
    path = f"/webhooks/{made['webhook_id']}/replay"
    for most, looked_at, at_least in ((100, 100_000, 5), (10_000, 300, 4)):
        monkeypatch.setattr(repeats, "MOST_REPLAYED", most)
        monkeypatch.setattr(repeats, "MOST_LOOKED_AT", looked_at)
        since, total, calls = "2020-01-01T00:00:00Z", 0, 0
        while since is not None:
            answer = data(await buyer.post(path, {"since": since}))
            assert answer["replayed"] <= most
            assert answer["more"] == (answer["next_since"] is not None)
            total, calls, since = total + answer["replayed"], calls + 1, answer["next_since"]
        assert (total, calls >= at_least) == (500, True)
        await finish(house)


async def test_a_replay_gets_further_however_many_events_there_were_in_one_second(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "MOST_REPLAYED", 10)
    buyer = await newcomer(house)
    made = await make(buyer, "key.created")
    await house.platform.database.execute(
        "INSERT INTO event (account_id, test, type, data, created_at)"
        " SELECT $1, false, 'key.created', '{\"key_id\": \"1\"}', date_trunc('second', now()) - interval '1 hour'"
        " + n / 50 * interval '10 s' + n % 50 * interval '20 ms' FROM generate_series(0, 149) AS n",
        buyer.account_id,
    )
    path = f"/webhooks/{made['webhook_id']}/replay"
    since, total = "2020-01-01T00:00:00Z", 0
    while since is not None:
        answer = data(await buyer.post(path, {"since": since}))
        assert answer["next_since"] != since
        since, total = answer["next_since"], total + answer["replayed"]
    assert total == 150


async def test_replays_at_once_and_the_worker_beside_them_send_each_event_once(house: House) -> None:
    buyer = await newcomer(house)
    made = await make(buyer, "key.*")
    for _ in range(12):
        await buyer.new_key(["numbers"])
    path, body = f"/webhooks/{made['webhook_id']}/replay", {"since": "2020-01-01T00:00:00Z"}
    planning = asyncio.create_task(plan(house))
    answers = await asyncio.gather(*(buyer.post(path, body) for _ in range(5)))
    await planning
    assert sum(data(answer)["replayed"] for answer in answers) <= 12
    found = await log_of(buyer, made)
    assert len(found) == len({each["event_id"] for each in found}) == 12
    await finish(house)
    answers = await asyncio.gather(*(buyer.post(path, body) for _ in range(5)))
    assert sorted(data(answer)["replayed"] for answer in answers) == [0, 0, 0, 0, 12]


async def test_a_replay_says_one_thing_and_says_it_right(house: House) -> None:
    buyer = await house.buyer()
    made = await make(buyer)
    await buyer.new_key(["numbers"])
    number = await house.platform.database.fetchval("SELECT event_id FROM event")
    event_id, since = f"evt_{number}", "2020-01-01T00:00:00Z"
    for body in (
        {}, {"event_id": event_id, "since": since}, {"since": "2020-01-01T00:00:00"}, {"since": "yesterday"},
        {"since": None}, {"event_id": None}, {"event_id": number}, {"since": 1_600_000_000}, {"until": since},
        {"since": "0001-01-01T00:00:00+14:00"}, {"since": "9999-12-31T23:59:59-14:00"},
    ):  # fmt: skip
        problem(await buyer.post(f"/webhooks/{made['webhook_id']}/replay", body), 422, "invalid_request")
    assert await log_of(buyer, made) == []


async def test_an_event_that_was_tried_a_thousand_times_is_not_begun_anew(house: House) -> None:
    buyer = await newcomer(house)
    made = await make(buyer)
    event_id = data(await buyer.ask("POST", f"/webhooks/{made['webhook_id']}/test"))["event_id"]
    await plan(house)
    await house.platform.database.execute("UPDATE webhook_delivery SET attempts = 999")
    await finish(house)
    path = f"/webhooks/{made['webhook_id']}/replay"
    for body in ({"event_id": event_id}, {"since": "2020-01-01T00:00:00Z"}):
        assert data(await buyer.post(path, body))["replayed"] == 0


# Whose they are


async def test_test_keys_see_test_webhooks_alone_and_their_events(house: House) -> None:
    buyer = await house.buyer()
    live, test = await make(buyer), await make(buyer.testing())
    assert [hook["webhook_id"] for hook in data(await buyer.get("/webhooks"))] == [live["webhook_id"]]
    assert [hook["webhook_id"] for hook in data(await buyer.testing().get("/webhooks"))] == [test["webhook_id"]]
    await buyer.testing().lease("test_success", "us")
    await plan(house)
    assert await log_of(buyer, live) == []
    assert [each["type"] for each in await log_of(buyer.testing(), test)] == ["activation.created"]
