"""``trunkline webhook``, as an operator types it."""

import asyncio

import pytest
from tests.conftest import Trunkline
from tests.house import data, opened

HOOK = {"url": "https://93.184.216.34/hooks", "events": ["sms.received", "key.*"]}


@pytest.mark.asyncio
async def test_an_operator_lists_disables_and_enables_webhooks(url: str, trunkline: Trunkline) -> None:
    async with opened(url) as house:
        buyer, stranger = await house.buyer(), await house.buyer()
        live = data(await buyer.post("/webhooks", HOOK))["webhook_id"]
        test = data(await buyer.testing().post("/webhooks", HOOK))["webhook_id"]
        theirs = data(await stranger.post("/webhooks", HOOK))["webhook_id"]

        everybodys = (await asyncio.to_thread(trunkline, "webhook", "list"))["webhooks"]
        assert [(each["webhook_id"], each["mode"], each["email"]) for each in everybodys] == [
            (theirs, "live", stranger.account.email),
            (test, "test", buyer.account.email),
            (live, "live", buyer.account.email),
        ]
        assert not any("secret" in each for each in everybodys)
        off = await asyncio.to_thread(trunkline, "webhook", "disable", live, "--reason", "It calls a hospital.")
        assert (off["status"], off["disabled_reason"]) == ("disabled", "It calls a hospital.")
        await asyncio.to_thread(trunkline, "webhook", "disable", live, "--reason", "Another reason.")
        assert data(await buyer.get(f"/webhooks/{live}"))["disabled_reason"] == "It calls a hospital."
        shown = await asyncio.to_thread(trunkline.run, "webhook", "list", buyer.account.email)
        assert [line.split("  ")[0] for line in shown.stdout.splitlines()] == [test, live]
        assert "sms.received, key.*  disabled: It calls a hospital." in shown.stdout
        on = await asyncio.to_thread(trunkline, "webhook", "enable", live, "--reason", "It was mistaken.")
        assert (on["status"], on["disabled_reason"]) == ("enabled", None)
        acts = [row for row in data(await buyer.get("/account/audit")) if row["actor"] == "operator"]
        assert [(row["action"], row["target"], row["data"]) for row in acts if row["action"].startswith("webhook")] == [
            ("webhook.enabled", f"webhook:{live}", {"reason": "It was mistaken."}),
            ("webhook.disabled", f"webhook:{live}", {"reason": "It calls a hospital."}),
        ]
        for words, code, saying in [
            (("disable", "9999", "--reason", "x"), 1, "no such webhook"),
            (("disable", test, "--reason", " "), 1, "for a reason"),
            (("enable", test, "--reason", " "), 1, "for a reason"),
        ]:
            done = await asyncio.to_thread(trunkline.run, "webhook", *words)
            assert (done.returncode, done.stdout) == (code, ""), words
            assert saying in done.stderr
        assert data(await buyer.testing().get(f"/webhooks/{test}"))["status"] == "enabled"
