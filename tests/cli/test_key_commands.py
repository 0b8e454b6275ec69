"""``trunkline key``, as an operator types it."""

from tests.conftest import Trunkline


def test_an_operator_makes_lists_rotates_and_revokes_keys(trunkline: Trunkline) -> None:
    customer = trunkline.customer()
    made = trunkline(
        "key", "create", customer.email, "--name", "ops", "--mode", "test", "--scope", "admin", "--scope", "numbers",
        "--cidr", "10.0.0.0/8", "--expires", "2999-01-01T00:00:00Z", "--cap-day", "5.00", "--cap-month", "50",
    )  # fmt: skip
    assert made["key"].startswith("tl_test_")
    assert (made["scopes"], made["cidrs"], made["cap_day"]) == (["admin", "numbers"], ["10.0.0.0/8"], 5)
    new = trunkline("key", "rotate", made["key_id"], "--overlap-hours", "0")
    assert (new["rotated_from"], new["mode"], new["cap_month"]) == (made["key_id"], "test", 50)
    assert (
        trunkline("key", "revoke", new["key_id"])["revoked_at"]
        == trunkline("key", "revoke", new["key_id"])["revoked_at"]
    )
    assert [key["name"] for key in trunkline("key", "list", customer.email)["keys"]] == [
        "first test key",
        "first live key",
    ]
    ended = trunkline("key", "list", customer.email, "--ended")["keys"]
    assert [key["key_id"] for key in ended[:2]] == [new["key_id"], made["key_id"]]
    assert all("key" not in key for key in ended)
    shown = trunkline.run("key", "list", customer.email, "--ended").stdout
    assert f"{made['key_id']}  test  ops  admin, numbers from 10.0.0.0/8  revoked" in shown
    for words, saying in [
        (("create", customer.email, "--name", "x\udcff", "--scope", "admin"), "control character"),
        (("create", customer.email, "--name", "x", "--scope", "admin", "--expires", "soon"), "not a time"),
        (("create", customer.email, "--name", "x", "--scope", "admin", "--expires", "2999-01-01"), "time zone"),
        (("rotate", made["key_id"]), "revoked, expired or rotated"),
        (("rotate", made["key_id"], "--overlap-hours", "73"), "0 to 72"),
        (("revoke", "x"), "no such key"),
    ]:
        done = trunkline.run("key", *words)
        assert (done.returncode, done.stdout) == (1, ""), words
        assert saying in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert len(trunkline("key", "list", customer.email, "--ended")["keys"]) == 4
