"""``trunkline verify``: what an operator does for accounts that send codes."""

from tests.conftest import Trunkline


def test_an_operator_sets_shows_and_approves_profiles(trunkline: Trunkline) -> None:
    email = trunkline("account", "create", "shop@example.com")["email"]
    text = "{brand}: {code}, acme.example/x"
    made = trunkline("verify", "profile", "set", "shop", "brand=ACME", f"text={text}", "ttl=90", "--account", email)
    assert (made["brand"], made["ttl"], made["text_approved"]) == ("ACME", 90, False)
    assert trunkline("verify", "profile", "approve", "shop", "--account", email)["text_approved"] is True
    assert trunkline("verify", "profile", "show", "shop", "--account", email)["text"] == text
    [listed] = trunkline("verify", "profile", "list", "--account", email)["profiles"]
    assert listed["slug"] == "shop"
    for wrong in (("brnd=x",), ("brand",), ("ttl=9",), ('countries=["uk"]',)):
        done = trunkline.run("verify", "profile", "set", "shop", *wrong, "--account", email)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr


def test_lint_says_what_is_wrong_and_fails_where_it_would_be_refused(trunkline: Trunkline) -> None:
    assert trunkline("verify", "lint", "{brand}: {code} is your code.")["segments"] == 1
    done = trunkline.run("verify", "lint", "{brand} {name}")
    assert done.returncode == 1
    assert "error: " in done.stdout


def test_statistics_and_the_guard_have_something_to_say_of_nothing(trunkline: Trunkline) -> None:
    email = trunkline("account", "create", "shop@example.com")["email"]
    assert trunkline("verify", "stats", "--account", email)["groups"] == []
    assert "No verifications" in trunkline.run("verify", "stats", "--account", email).stdout
    assert trunkline("verify", "guard", "log")["starts"] == []
    assert trunkline("verify", "guard", "replay", "--rule", "prefix_starts=5")["starts"] == 0
    assert trunkline.run("verify", "guard", "replay", "--rule", "colour=5").returncode == 1
