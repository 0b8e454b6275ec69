"""The command, as an operator types it: what it says, what it exits with, and that bad words change nothing."""

import json
import pathlib

import pytest
from tests.cli.refusing import refused
from tests.conftest import Trunkline


def test_an_operator_makes_an_account_and_gives_it_money(trunkline: Trunkline) -> None:
    made = trunkline("account", "create", "dev@example.com", "--credit", "5.00")
    assert set(made) == {"account_id", "email", "live_key", "test_key"}
    assert made["live_key"].startswith("tl_live_")
    assert made["test_key"].startswith("tl_test_")
    assert trunkline("account", "credit", "dev@example.com", "0.000001")["balance"] == 5.000001
    assert trunkline("account", "limit", "dev@example.com", "--per-minute", "600")["per_minute"] == 600
    shown = trunkline("account", "show", "DEV@example.com")
    assert (shown["balance"], shown["held"], shown["per_minute"]) == (5.000001, 0, 600)
    assert trunkline("ledger", "verify")["ok"]


def test_what_cannot_be_done_is_said_in_one_line(trunkline: Trunkline) -> None:
    trunkline("account", "create", "dev@example.com")
    for words, saying in [
        (("account", "create", "dev@example.com"), "already"),
        (("account", "create", "Dev@Example.com"), "already"),
        (("account", "create", "not an address"), "not an e-mail address"),
        (("account", "create", "a@b.c", "--credit", "1.0000001"), "at most 6 decimals"),
        (("account", "create", "a@b.c", "--credit", "lots"), "not an amount"),
        (("account", "create", "a@b.c", "--credit", "-1"), "0 or more"),
        (("account", "create", "a@b.c", "--credit", "1e12"), "too large"),
        (("account", "credit", "nobody@example.com", "1"), "no account"),
        (("account", "limit", "dev@example.com", "--per-minute", "0"), "requests a minute"),
        (("service", "enable", "wattsapp"), "no service"),
        (("service", "enable", "whatsapp", "--country", "xx"), "no country"),
        (("price", "set", "1", "--service", "wattsapp"), "no service"),
        (("price", "set", "1", "--currency", "dollars"), "no currency"),
        (("simulate", "sms", "--to", "12345", "--from", "X", "--text", "x"), "plus sign"),
        (("simulate", "sms", "--to", "+14155550123", "--from", "", "--text", "x"), "sender"),
        (("numbers", "import", "-", "--carrier", "north"), "no carrier"),
    ]:
        assert saying in refused(trunkline, *words, input=""), words


def test_words_that_are_not_utf_8_are_refused_in_one_line(trunkline: Trunkline) -> None:
    odd = "caf\udce9"  # as a terminal gives the octet E9
    for words in [
        ("account", "create", f"{odd}@example.com"),
        ("service", "enable", odd),
        ("stats", "--carrier", odd),
        ("webhook", "list", odd),
        ("simulate", "sms", "--to", "+14155550123", "--from", odd, "--text", "x"),
        ("incident", "open", odd, "--component", "api", "--impact", "minor"),
    ]:
        assert "Traceback" not in refused(trunkline, *words), words


def test_wrong_usage_exits_with_2(trunkline: Trunkline) -> None:
    for words in (("account",), ("account", "create"), ("fly",), ("serve", "--port", "x"), ("extract",)):
        done = trunkline.run(*words)
        assert done.returncode == 2, (words, done.stderr)
        assert "Traceback" not in done.stderr


def test_a_price_set_for_a_service_and_a_country_counts_there_alone(trunkline: Trunkline) -> None:
    assert trunkline("price", "set", "0.80", "--service", "whatsapp", "--country", "US")["country"] == "us"
    assert trunkline("price", "set", "0.000125", "--service", "telegram")["price"] == 0.000125


def test_an_operators_catalog_is_imported_whole_or_not_at_all(trunkline: Trunkline, tmp_path: pathlib.Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text("slug,name,domain,senders,aliases\nacme,Acme,acme.example,ACME;Acme*,Acme Inc;アクメ\n")
    assert trunkline("catalog", "import", str(good)) == {"imported": 1}
    assert trunkline("service", "enable", "acme", "--country", "de")["enabled"] is True
    for text, saying in [
        ("name\nx\n", "first line"),
        ("slug,name\nok,Fine\nNot A Slug,Bad\n", "Line 3"),
        ("slug,name\nany,Any\n", "reserved"),
        ("slug,name\na1,A\na1,B\n", "already"),
        ("slug,name\nnew,A,too,many\n", "more cells"),
        ("slug,name\nnew,\n", "name"),
    ]:
        bad = tmp_path / "bad.csv"
        bad.write_text(text)
        assert saying in refused(trunkline, "catalog", "import", str(bad))
    assert "no service" in refused(trunkline, "service", "enable", "ok")


def test_extract_answers_each_line_in_the_order_asked(trunkline: Trunkline) -> None:
    lines = [
        {"id": 7, "text": "Your WhatsApp code: 847291", "sender": "WhatsApp"},
        {"id": "b", "text": "See you at 10:30", "more": True},
        {"id": None, "text": ""},
    ]
    done = trunkline.run("extract", "--jsonl", "-", input="".join(json.dumps(line) + "\n" for line in lines))
    assert done.returncode == 0
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [7, "b", None]
    assert [answer["code"] for answer in answers] == ["847291", None, None]
    assert answers[0]["service"] == "whatsapp"
    assert "Line 2" in refused(trunkline, "extract", "--jsonl", "-", input='{"id": 1, "text": "x"}\n{"id": 1}\n')
    assert trunkline("extract", "Your WhatsApp code: 847291") == {"code": "847291", "service": "whatsapp"}


def test_extract_explains_what_decided_and_what_was_turned_down(trunkline: Trunkline) -> None:
    text = "USD 48.21 at ACME, card ending 9913. PayPal: your one-time code is 730 915"
    found = trunkline("extract", "--explain", text)
    assert (found["code"], found["service"], found["kind"]) == ("730915", "paypal", "code")
    assert "one-time code" in found["decided"]
    assert [rejected["text"] for rejected in found["rejected"]] == ["48.21", "9913"]
    words = trunkline.run("extract", "--explain", text).stdout
    assert words.splitlines()[0] == "730915"
    assert "rejected  9913" in words
    lines = trunkline.run("extract", "--explain", "--jsonl", "-", input=json.dumps({"id": 1, "text": text})).stdout
    assert json.loads(lines)["decided"] == found["decided"]
    assert "no code" in trunkline.run("extract", "--explain", "See you at 10:30").stdout


def test_extract_answers_lines_with_half_a_surrogate_pair(trunkline: Trunkline) -> None:
    lines = [
        {"id": "a", "text": "\ud83d Your code is 847291"},
        {"id": "\ude00", "text": "\udc00"},
        {"id": 3, "text": "1234"},
    ]
    done = trunkline.run("extract", "--jsonl", "-", input="".join(json.dumps(line) + "\n" for line in lines))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(answer["id"], answer["code"]) for answer in answers] == [("a", "847291"), ("\ude00", None), (3, "1234")]
    assert "Line 1" in refused(trunkline, "extract", "--jsonl", "-", input='{"id": 1, "text": "\\ud83d"')
    assert "Line 1" in refused(trunkline, "extract", "--jsonl", "-", input="[1]\n")


def test_extract_names_the_service_by_the_sender_where_the_text_does_not(trunkline: Trunkline) -> None:
    line = {"id": 1, "text": "Your code is 847291", "sender": "PAYPAL"}
    done = trunkline.run("extract", "--jsonl", "-", input=json.dumps(line))
    assert json.loads(done.stdout) == {"id": 1, "code": "847291", "service": "paypal"}


def test_the_inbox_shows_the_texts_that_nobody_got_and_why(trunkline: Trunkline) -> None:
    assert "no texts" in trunkline.run("inbox").stdout
    assert trunkline("inbox") == {"texts": []}


def test_settings_that_cannot_be_are_named(trunkline: Trunkline, tmp_path: pathlib.Path) -> None:
    for settings, saying in [
        ({"TRUNKLINE_SERVER__PORT": "70000"}, "port"),
        ({"TRUNKLINE_SERVER__PROT": "1"}, "prot"),
        ({"TRUNKLINE_DATABSE_URL": "postgresql://x"}, "TRUNKLINE_DATABASE_URL is one"),
        ({"TRUNKLINE_MONEY__DEFAULT_PRICE": "much"}, "money"),
        ({"TRUNKLINE_CONFIG": str(tmp_path / "none.toml")}, "cannot be read"),
        ({"TRUNKLINE_CARRIERS__NORTH__KIND": "pigeon"}, "kind"),
        ({"TRUNKLINE_CARRIERS__NORTH__KIND": "simulated"}, "always there"),
        ({"TRUNKLINE_CARRIERS__SIMULATED__KIND": "smpp"}, "always there"),
        ({"TRUNKLINE_CARRIERS__NORTH__KIND": "smpp", "TRUNKLINE_CARRIERS__NORTH__URL": "http://x"}, "north"),
        ({"TRUNKLINE_DATABASE_URL": "postgresql://127.0.0.1:1/none"}, "cannot be reached"),
    ]:
        other = Trunkline(trunkline.environment | settings)
        assert saying in refused(other, "ledger", "verify"), settings


def test_a_clients_own_variables_are_left_alone(trunkline: Trunkline) -> None:
    client = {"TRUNKLINE_API_KEY": "tl_live_x", "TRUNKLINE_URL": "http://127.0.0.1", "TRUNKLINE_KEY": "x"}
    assert Trunkline(trunkline.environment | client)("ledger", "verify")["ok"]


def test_a_port_that_is_taken_is_said_at_once(trunkline: Trunkline) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "Cannot listen" in refused(trunkline, "serve", "--port", str(taken.getsockname()[1]))


@pytest.mark.parametrize("command", ["--help", "--version"])
def test_it_says_what_it_is(trunkline: Trunkline, command: str) -> None:
    done = trunkline.run(command)
    assert done.returncode == 0
    assert "trunkline" in done.stdout.lower()
