"""Two leases on one number: each text goes to the lease that it is for, whatever comes between, or to nobody."""

import random
from typing import Any

import pytest
from tests.house import House, data

pytestmark = pytest.mark.asyncio


# (sender, text, code); every one says by something else whose it is
ALIPAY = [
    ("10690329", "【支付宝】验证码：482913，用于登录，请勿泄露。", "482913"),
    ("10690329", "[Alipay] 551207 is your verification code.", "551207"),
    ("INFO", "校验码 660318，您正在登录支付宝，切勿告知他人。", "660318"),
    ("Alipay", "Your verification code is 118204.", "118204"),
    ("INFO", "Your code: 770143\n\n@alipay.com #770143", "770143"),
    ("ALIPAY", "Code 903771. Paying for tickets to WeChat Live 2026? Never share it.", "903771"),
]
WECHAT = [
    ("10690700", "【微信】验证码 309174，5分钟内有效。", "309174"),
    ("INFO", "WeChat verification code 441829. Do not forward it.", "441829"),
    ("INFO", "518 206 – use this code to log in. WeChat", "518206"),
    ("WeChat", "Your verification code is 227845.", "227845"),
    ("INFO", "Ваш код: 615093. Никому его не сообщайте.\n@weixin.qq.com #615093", "615093"),
]
NOBODYS = [
    ("INFO", "Your verification code is 100001."),  # either could be meant
    ("INFO", "WhatsApp code 100-002"),
    ("WhatsApp", "Your code is 100003"),
    ("10690", "【京东】验证码100004，请勿泄露"),
    ("INFO", "Your code: 100005\n@signal.org #100005"),
]


async def test_interleaved_texts_go_to_their_own_lease_in_any_order(house: House) -> None:
    for seed in range(20):
        await interleave_by_service(house, seed)


async def interleave_by_service(house: House, seed: int) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    alipay, wechat = await first.lease("alipay"), await second.lease("wechat")
    assert alipay["phone_number"] == wechat["phone_number"] == number
    coming = [(sender, text) for sender, text, _ in ALIPAY + WECHAT] + NOBODYS
    random.Random(seed).shuffle(coming)
    for sender, text in coming:
        await house.text(number, text, sender=sender)
    for buyer, lease, own in ((first, alipay, ALIPAY), (second, wechat, WECHAT)):
        arrived = (await buyer.status(lease))["messages"]
        wanted = [(sender, text) for sender, text in coming if (sender, text) in {row[:2] for row in own}]
        assert [(sms["sender"], sms["full_text"]) for sms in arrived] == wanted
        assert {sms["full_text"]: sms["code"] for sms in arrived} == {text: code for _, text, code in own}
    nobodys = [kept for kept in await house.kept() if kept.row["activation_id"] is None]
    assert {kept.body for kept in nobodys if kept.row["recipient"] == number} == {text for _, text in NOBODYS}
    assert all(kept.row["reason"] for kept in nobodys)


async def test_filters_part_two_leases_whose_texts_name_no_service(house: House) -> None:
    for seed in range(20):
        await interleave_by_filter(house, seed)


async def interleave_by_filter(house: House, seed: int) -> None:
    buyer = await house.buyer()
    [number] = await house.stock(1)
    by_sender = await buyer.lease("paypal", sender="ACME*")
    by_words = await buyer.lease("stripe", contains="berlin")
    coming = [("ACME-1", f"Code {100_000 + n}") for n in range(4)]
    coming += [("INFO", f"Berlin staging: code {200_000 + n}") for n in range(4)]
    coming += [("ACME-1", "Berlin: code 300000"), ("INFO", "Code 300001")]  # both, and neither
    random.Random(seed).shuffle(coming)
    for sender, text in coming:
        await house.text(number, text, sender=sender)
    for lease, first_digit in ((by_sender, "1"), (by_words, "2")):
        codes = [sms["code"] for sms in (await buyer.status(lease))["messages"]]
        assert len(codes) == 4
        assert {code[0] for code in codes} == {first_digit}


async def test_a_service_that_sends_in_another_name_gets_its_text_until_that_one_is_leased_too(house: House) -> None:
    buyer = await house.buyer()
    [number] = await house.stock(1)
    gmail = await buyer.lease("gmail")
    await house.text(number, "G-482913 is your Google verification code.")
    assert (await buyer.status(gmail))["sms"]["code"] == "482913"
    google = await buyer.lease("google")
    assert google["phone_number"] == number
    await house.text(number, "G-551207 is your Google verification code.")
    assert (await buyer.status(google))["sms"]["code"] == "551207"
    assert (await buyer.status(gmail))["sms"]["code"] == "482913"


async def timeline(buyer: Any, lease: Any) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = data(await buyer.get(f"/numbers/{lease['activation_id']}"))["timeline"]
    return steps


async def test_the_timeline_says_why_the_lease_got_a_text_and_how_its_code_was_read(house: House) -> None:
    buyer = await house.buyer()
    [number] = await house.stock(1)
    lease = await buyer.lease("paypal")
    await house.text(number, "USD 48.21 at ACME, card ending 9913. PayPal: your one-time code is 730 915")
    arrived = next(step for step in await timeline(buyer, lease) if step["type"] == "sms.received")
    assert arrived["detail"] == "A text arrived; its code is 730915."
    assert arrived["why"][0] == "This lease got it because the text names its service."
    assert arrived["why"][1] == "Taken 730915: “one-time code” before it."
    assert any(reason.startswith("Not 9913: “card") for reason in arrived["why"][2:])
    assert any("48.21: an amount" in reason for reason in arrived["why"][2:])


async def test_the_timeline_says_that_a_filter_kept_texts_back(house: House) -> None:
    buyer = await house.buyer()
    [number] = await house.stock(1)
    lease = await buyer.lease("paypal", contains="berlin")
    await house.text(number, "PayPal code 111111")
    await house.text(number, "PayPal code 222222")
    waiting = (await timeline(buyer, lease))[-1]
    assert waiting["detail"] == "2 texts have come to the number since, none for this lease."
    assert "2 of them were kept back by a sender or contains filter." in waiting["why"]
    assert "111111" not in str(waiting)


async def test_a_text_that_an_earlier_version_read_otherwise_says_so(house: House) -> None:
    buyer = await house.buyer()
    [number] = await house.stock(1)
    lease = await buyer.lease("paypal")
    await house.text(number, "PayPal code 111111")
    await house.platform.database.execute(
        "UPDATE message SET sealed = NULL, body = 'PayPal code 111111', code = '999999' WHERE activation_id = $1",
        int(lease["activation_id"]),
    )
    arrived = next(step for step in await timeline(buyer, lease) if step["type"] == "sms.received")
    assert arrived["detail"] == "A text arrived; its code is 999999."
    assert arrived["why"][1:] == ["It was read by an earlier version of Trunkline."]
