"""What two readers of a URL take for two hosts is refused when it is set, with what is wrong with it."""

import pytest
from tests.house import data, opened, problem

from trunkline import config
from trunkline.catalog import services
from trunkline.egress import UrlRefused, urls
from trunkline.errors import InvalidRequest, OperatorError

NOT_IN_ITS_USUAL_FORM = [
    *(
        "127.0.0.1.",
        "192.168.1.1.",
        "93.184.216.34.",
        "256.256.256.256",
        "1.2.3.4.5",
        "1.2.3",
        "127.1",
        "0",
        "2130706433",
    ),
    *("0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0x7f.0x0.0x0.0x1", "1.2.3.0x4", "01.2.3.4", "0x", "a.0x"),
    *("example.123", "example.com.1", "999999999999999999999", "１２７.0.0.1.", "①②⑦.1"),
]
NO_HOST = [
    *("a..b", ".a", "a..", "-a.example", "a.-b.example", f"{'a' * 64}.example", ".".join(["abcdefghi"] * 26)),
    *(
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[::1",
        "[v1.x]",
        "[127.0.0.1]",
        "a%2eb",
        "a*b",
        "a'b",
        "xn--a-",
        "a,b",
    ),
    *(
        "straße.example",
        "a\u200db.example",
        "a\u00adb.example",
        "a\u3000b",
        "\U0001f5ff.example",
        "a\u2488b",
        "a\u0000b",
    ),
    *("example.com:0", "example.com:65536", "example.com:", "example.com:+80", "example.com:8x", "user@example.com"),
    *(
        "user:secret@example.com",
        "@example.com",
        "example.com\\.evil.example",
        "exa\nmple.com",
        "example.com\u0085",
        "\udc80.a",
    ),
]


@pytest.mark.parametrize("host", NOT_IN_ITS_USUAL_FORM)
def test_a_host_that_ends_in_a_number_is_an_address_in_its_usual_form_or_nothing(host: str) -> None:
    for url in (f"https://{host}/", f"http://{host}:80/hook", f"HTTPS://{host}?a=b"):
        with pytest.raises(UrlRefused, match="usual form"):
            urls.read(url)


@pytest.mark.parametrize("host", NO_HOST)
def test_what_is_no_host_says_so(host: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        urls.read(f"https://{host}/")
    assert refused.value.detail.endswith(".")
    assert host not in refused.value.detail  # which may hold a secret


def test_what_is_one_is_read_as_it_stands() -> None:
    for host, read in [
        ("example.com", "example.com"),
        ("EXAMPLE.com.", "example.com."),
        ("app", "app"),
        ("my_app.local", "my_app.local"),
        ("3com.example", "3com.example"),
        ("1.2.3.a4", "1.2.3.a4"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--strae-oqa.example", "xn--strae-oqa.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
    ]:
        assert urls.read(f"https://{host}/").host == read
        assert urls.read(f"https://{host}:8443/?q").port == 8443


@pytest.mark.asyncio
async def test_a_webhook_with_such_a_url_is_refused_when_it_is_set_also_where_networks_are_allowed(url: str) -> None:
    async with opened(url, TRUNKLINE_WEBHOOKS__ALLOW="192.168.0.0/16,127.0.0.0/8") as house:
        buyer = await house.buyer()
        made = data(await buyer.post("/webhooks", {"url": "http://192.168.1.1/hook", "events": ["*"]}))
        for hook in ("http://192.168.1.1.:80/", "https://256.256.256.256/", "https://a..b/", "http://3232235777/"):
            refused = problem(await buyer.post("/webhooks", {"url": hook, "events": ["*"]}), 422, "url_refused")
            assert refused["field"] == "url"
            problem(await buyer.ask("PATCH", f"/webhooks/{made['webhook_id']}", json={"url": hook}), 422, "url_refused")


def test_domains_of_services_and_pages_of_deposits_are_read_alike() -> None:
    for domain in (
        "1.2.3",
        "256.256.256.256",
        "a..b",
        "acme.example/path",
        "acme.example#x",
        "u@a.example",
    ):
        with pytest.raises(InvalidRequest, match="Line 2"):
            services.read_csv(["slug,name,domain", f"acme,Acme,{domain}"])
    assert services.read_csv(["slug,name,domain", "acme,Acme,acme.example:8443"])
    stripe = {
        "TRUNKLINE_STRIPE__SECRET_KEY": "sk", "TRUNKLINE_STRIPE__WEBHOOK_SECRET": "whsec",
        "TRUNKLINE_STRIPE__CANCEL_URL": "http://localhost:3000/#/cancelled",
    }  # fmt: skip
    config.load(stripe | {"TRUNKLINE_STRIPE__SUCCESS_URL": "https://app.example/paid?id={CHECKOUT_SESSION_ID}#top"})
    for page in (
        "https://user:SECRET@app.example/",
        "https://127.0.0.1./SECRET",
        "app.example/SECRET",
        "ftp://a/SECRET",
    ):
        with pytest.raises(OperatorError, match="success_url") as refused:
            config.load(stripe | {"TRUNKLINE_STRIPE__SUCCESS_URL": page})
        assert "SECRET" not in refused.value.detail
