"""What is secret in a webhook's URL is neither kept for ever nor shown to whoever has no business with webhooks."""

import json
import logging

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.house import data, opened

from trunkline.audit import acts
from trunkline.egress import urls

HOOK = "https://93.184.216.34:8443/services/T000/SECRETPATH?token=SECRETQUERY"
MOVED = "https://93.184.216.35/SECRETPATH/2"


@pytest.mark.asyncio
async def test_the_audit_keeps_scheme_and_host_and_shows_acts_on_webhooks_to_keys_for_webhooks_alone(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with opened(url) as house:
            buyer = await house.buyer()
            made = data(await buyer.post("/webhooks", {"url": HOOK, "events": ["*"]}))
            path = f"/webhooks/{made['webhook_id']}"
            assert data(await buyer.ask("PATCH", path, json={"url": MOVED}))["url"] == MOVED
            await buyer.ask("DELETE", path)
            kept = await house.platform.database.fetch("SELECT action, data::text AS data FROM audit_entry")
            about = [row["data"] for row in kept if row["action"].startswith("webhook.")]
            assert len(about) == 3
            assert not [each for each in about if "SECRET" in each]

            reader = buyer.with_key((await buyer.new_key(["account:read"]))["key"])
            owner = buyer.with_key((await buyer.new_key(["account:read", "webhooks"]))["key"])
            seen = [act["action"] for act in data(await reader.get("/account/audit", limit=100))]
            assert seen.count("key.created") == 2
            assert not [action for action in seen if action.startswith("webhook.")]
            assert data(await reader.get("/account/audit", action="webhook.created")) == []
            [created] = data(await owner.get("/account/audit", action="webhook.created"))
            assert created["data"]["url"] == urls.discreet(HOOK)
            assert created["data"]["url"].startswith("https://93.184.216.34:8443/…")
            [updated] = data(await owner.get("/account/audit", action="webhook.updated"))
            assert updated["data"] == {"old": {"url": urls.discreet(HOOK)}, "new": {"url": urls.discreet(MOVED)}}
    assert "SECRET" not in caplog.text


@pytest.mark.asyncio
async def test_earlier_acts_stay_as_they_are_in_the_chain_and_are_shown_without_the_secret(url: str) -> None:
    async with opened(url) as house:
        buyer = await house.buyer()
        actor = acts.Actor("key:1", buyer.account_id)
        terms = {"old": {"url": HOOK}, "new": {"url": MOVED}, "url": HOOK}
        await acts.record(house.platform.database, actor, "webhook.updated", "webhook:1", terms)
        [act] = data(await buyer.get("/account/audit", action="webhook.updated"))
        assert act["data"] == {
            "old": {"url": urls.discreet(HOOK)}, "new": {"url": urls.discreet(MOVED)}, "url": urls.discreet(HOOK)
        }  # fmt: skip
        kept = await house.platform.database.fetchval("SELECT data FROM audit_entry WHERE action = 'webhook.updated'")
        assert json.loads(kept) == terms


def test_two_urls_are_told_apart_and_one_that_is_cut_stays() -> None:
    assert urls.discreet(HOOK) != urls.discreet(HOOK + "2")
    assert urls.discreet(urls.discreet(HOOK)) == urls.discreet(HOOK)
    assert (
        urls.discreet("https://user:secret@[2001:db8::1]:99/x")
        == "https://[2001:db8::1]:99/…" + urls.discreet("https://user:secret@[2001:db8::1]:99/x").rpartition("…")[2]
    )


@given(st.text(alphabet="abcdefgh:/?#@[]%.", max_size=40))
@example("https://example.com:99999/SECRETS")
@example("https://[::1/SECRETS")
def test_whatever_a_url_holds_nothing_behind_its_host_is_shown(text: str) -> None:
    for url in (f"https://example.com/SECRETS{text}", f"https://example.com/?{text}#SECRETS", f"{text}/SECRETS"):
        assert "SECRETS" not in urls.discreet(url)
