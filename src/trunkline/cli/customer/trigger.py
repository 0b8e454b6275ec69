"""``trunkline trigger``: makes an event happen, for real and for nothing.

Each is made through the public API with a test key, so that everything that listens is told: webhooks, streams,
``trunkline listen``.
"""

import contextlib
import pathlib
import secrets
from collections.abc import Callable
from typing import Any

import click

from trunkline.cli.command import answer
from trunkline.cli.customer.client import Client, client, customer
from trunkline.cli.terminal import say
from trunkline.errors import OperatorError, TrunklineError
from trunkline.events.types import TYPES

COUNTRY = "us"
TEXT_SECONDS = 20  # a text of test_success comes within a second
SHORTEST_TTL = 60
UNDELIVERED_NUMBER, BLOCKED_NUMBER = "+443069990001", "+443069990005"  # docs/verifying.md

Say = Callable[[str], None]
Made = dict[str, Any]


@click.command()
@click.argument("event", required=False)
@click.option("--list", "listed", is_flag=True, help="The types of events, and which of them this makes.")
@customer
def trigger(event: str | None, listed: bool, server: str | None, key_file: pathlib.Path | None, as_json: bool) -> None:
    """Make an EVENT happen, such as sms.received, with a test key: it costs nothing."""
    if listed:
        _list(as_json)
        return
    if event is None:
        raise click.UsageError("Name an EVENT, or ask for the --list.")
    if event not in TYPES:
        raise OperatorError(f"There is no type of event {event!r}; there are {', '.join(TYPES)}.")
    if event not in MAKERS:
        raise OperatorError(
            f"{event} cannot be made with a test key. To see one, let a webhook be sent a specimen:"
            f' POST /webhooks/{{id}}/test {{"type": "{event}"}}.'
        )
    asked = client(server, key_file)
    if asked.key.startswith("tl_live_"):
        raise OperatorError("That is a live key, with which events cost money: use a test key (tl_test_…).")
    steps: list[str] = []
    made = MAKERS[event](asked, steps.append if as_json else say)
    answer(as_json, {"event": event, **made, "steps": steps}, f"{event} is made")


def _list(as_json: bool) -> None:
    shown = [{"event": name, "makes": name in MAKERS, "about": about} for name, about in TYPES.items()]
    lines = (f"{each['event']:<21} {'makes' if each['makes'] else '  -  '}  {each['about']}" for each in shown)
    answer(as_json, {"events": shown}, "\n".join(lines))


def _leased(asked: Client, say: Say, service: str, **more: Any) -> Any:
    lease = asked.call("POST", "/numbers/purchase", {"country": COUNTRY, "service": service, **more})
    say(f"leased {lease['phone_number']} for {service}: activation {lease['activation_id']}")
    return lease


def _received(asked: Client, say: Say) -> Made:
    activation = _leased(asked, say, "test_success")["activation_id"]
    status = asked.call("GET", f"/numbers/status/{activation}?wait={TEXT_SECONDS}&after_revision=0")
    if status["status"] != "received":
        raise OperatorError(f"No text came to activation {activation} within {TEXT_SECONDS} seconds.")
    say(f"a text came, with the code {status['sms']['code']}")
    return {"activation_id": activation, "code": status["sms"]["code"]}


def _created(asked: Client, say: Say) -> Made:
    return {"activation_id": _leased(asked, say, "test_success")["activation_id"]}


def _completed(asked: Client, say: Say) -> Made:
    made = _received(asked, say)
    _finish(asked, say, made["activation_id"], "completed")
    return made


def _cancelled(asked: Client, say: Say) -> Made:
    activation = _leased(asked, say, "test_timeout")["activation_id"]
    _finish(asked, say, activation, "cancelled")
    return {"activation_id": activation}


def _finish(asked: Client, say: Say, activation: str, word: str) -> None:
    asked.call("POST", f"/numbers/finish/{activation}", {"status": word})
    say(f"activation {activation} is {word}")


def _expired(asked: Client, say: Say) -> Made:
    lease = _leased(asked, say, "test_timeout", ttl=SHORTEST_TTL)
    say(f"no text will come: it takes a minute, until {lease['expires_at']}, and the event follows by itself")
    return {"activation_id": lease["activation_id"], "expires_at": lease["expires_at"]}


def _key(asked: Client, say: Say, *, rotate: bool = False) -> Made:
    """Makes a key and revokes it, so that none is left over."""
    name = f"trigger-{secrets.token_hex(4)}"
    key = asked.call("POST", "/keys", {"name": name, "scopes": ["numbers"]})["key_id"]
    say(f"key {key} is made")
    made = {"key_id": key}
    try:
        if rotate:
            made["rotated_from"] = key
            key = made["key_id"] = asked.call("POST", f"/keys/{key}/rotate", {"overlap_hours": 0})["key_id"]
            say(f"key {key} takes its place")
    finally:
        asked.call("DELETE", f"/keys/{key}")
        say(f"key {key} is revoked")
    return made


def _tested(asked: Client, say: Say) -> Made:
    enabled = [each for each in asked.call("GET", "/webhooks?limit=100") if each["status"] == "enabled"]
    if not enabled:
        raise OperatorError("There is no enabled webhook in the test mode; POST /webhooks makes one.")
    sent = []
    for each in enabled:
        event_id = asked.call("POST", f"/webhooks/{each['webhook_id']}/test", {})["event_id"]
        say(f"sent {event_id} to webhook {each['webhook_id']}, {each['url']}")
        sent.append({"webhook_id": each["webhook_id"], "event_id": event_id})
    return {"webhooks": sent}


def _started(asked: Client, say: Say, number: str | None = None, **more: Any) -> Made:
    """A code to a number that is leased for it, or to one of the magic ones."""
    lease: Any = None if number is not None else _leased(asked, say, "any")
    started = asked.call("POST", "/verifications", {"phone_number": number or lease["phone_number"], **more})
    say(f"a code is texted to {started['phone_number']}: {started['verification_id']}")
    made = {"verification_id": started["verification_id"]}
    return made | ({"activation_id": lease["activation_id"]} if lease is not None else {})


def _checked(asked: Client, say: Say, *, right: bool) -> Made:
    made = _started(asked, say)
    status = asked.call("GET", f"/numbers/status/{made['activation_id']}?wait={TEXT_SECONDS}&after_revision=0")
    if status["status"] != "received":
        raise OperatorError(
            f"The code did not come to activation {made['activation_id']} within {TEXT_SECONDS} seconds."
        )
    code, path = status["sms"]["code"], f"/verifications/{made['verification_id']}/check"
    if right:
        asked.call("POST", path, {"code": code})
        say(f"{code} is checked: approved")
        return made
    wrong = f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"
    with contextlib.suppress(TrunklineError):  # which the last of them is answered with
        while True:
            asked.call("POST", path, {"code": wrong})
    say(f"{wrong}, which is wrong, is checked until no check is left")
    return made


def _ended(asked: Client, say: Say) -> Made:
    made = _started(asked, say)
    asked.call("POST", f"/verifications/{made['verification_id']}/cancel")
    say(f"{made['verification_id']} is cancelled")
    return made


def _lapsed(asked: Client, say: Say) -> Made:
    made = _started(asked, say, ttl=SHORTEST_TTL)
    say("it takes a minute until it expires, and the event follows by itself")
    return made


def _blocked(asked: Client, say: Say) -> Made:
    with contextlib.suppress(TrunklineError):
        _started(asked, say, BLOCKED_NUMBER)
    [blocked] = asked.call("GET", "/verifications?status=blocked&limit=1")
    say(f"the guard blocks every start to {BLOCKED_NUMBER}: {blocked['verification_id']}")
    return {"verification_id": blocked["verification_id"]}


MAKERS: dict[str, Callable[[Client, Say], Made]] = {
    "sms.received": _received,
    "activation.created": _created,
    "activation.completed": _completed,
    "activation.cancelled": _cancelled,
    "activation.expired": _expired,
    "verification.started": _started,
    "verification.sent": _started,
    "verification.delivered": _started,
    "verification.undelivered": lambda asked, say: _started(asked, say, UNDELIVERED_NUMBER),
    "verification.approved": lambda asked, say: _checked(asked, say, right=True),
    "verification.failed": lambda asked, say: _checked(asked, say, right=False),
    "verification.cancelled": _ended,
    "verification.expired": _lapsed,
    "verification.blocked": _blocked,
    "key.created": _key,
    "key.rotated": lambda asked, say: _key(asked, say, rotate=True),
    "key.revoked": _key,
    "webhook.test": _tested,
}
