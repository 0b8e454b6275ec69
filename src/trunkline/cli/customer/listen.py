"""``trunkline listen``: webhooks on a machine that has no public address.

It reads the account's stream of events and posts each to a local receiver exactly as a webhook would be: the same
body, the same headers, signed with the secret that it prints. One at a time, in their order. What happens while the
connection is away follows once it is back (Last-Event-ID).
"""

import asyncio
import contextlib
import datetime
import os
import pathlib
import random
import signal
import sys
import time
import urllib.parse
from collections import deque
from typing import Any, NoReturn

import click
import msgspec

from trunkline import egress
from trunkline.cli.command import run
from trunkline.cli.customer.client import EVERYWHERE, Client, client, customer
from trunkline.cli.customer.server_events import ServerEvent, ServerEvents
from trunkline.cli.terminal import exact, say
from trunkline.egress import NoAnswer
from trunkline.errors import OperatorError, TrunklineError
from trunkline.events.webhooks import signing
from trunkline.surfaces.http import wire

SECRET = "TRUNKLINE_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
SILENT_SECONDS = 45.0  # three heartbeats, as a server has them by default
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 15.0  # before another try to connect
REMEMBERED = 1000  # events


@click.command()
@click.option("--forward-to", "url", help="A receiver of yours, as http://127.0.0.1:3000/hook; else only print.")
@click.option("--events", "types", help="Only these types, as sms.received,activation.*")
@click.option(
    "--secret-file",
    type=click.Path(path_type=pathlib.Path, allow_dash=True),
    help=f"Holds the signing secret, whsec_…, instead of {SECRET}; - is standard input. Else it is a new one.",
)
@click.option("--secret", hidden=True)
@customer
@run
async def listen(
    url: str | None,
    types: str | None,
    secret_file: pathlib.Path | None,
    secret: str | None,
    server: str | None,
    key_file: pathlib.Path | None,
    as_json: bool,
) -> None:
    """Hear what happens in your account, here: each event is printed, and posted as a signed webhook."""
    if secret is not None:
        raise OperatorError(
            "A secret is no argument, because arguments are seen in the list of processes: set"
            f" {SECRET}, or name a file with --secret-file."
        )
    signer = _signer(secret_file)
    asked = client(server, key_file)
    if url is not None:
        if not url.lower().startswith(("http://", "https://")):
            raise OperatorError("That is no receiver's URL, as http://127.0.0.1:3000/hook is one.")
        await egress.check(url, allow=EVERYWHERE)
    listening = asyncio.ensure_future(follow(asked, types, Sink(as_json, asked.server, url, signer)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, listening.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await listening


def _signer(file: pathlib.Path | None) -> bytes:
    """Raises OperatorError and InvalidRequest."""
    try:
        if file is None:
            text = os.environ.get(SECRET, "")
        else:
            text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise OperatorError(f"The secret's file {file} cannot be read: {reason}.") from None
    if not text.strip() and file is None:
        return signing.new_secret()
    return signing.from_shown(text.strip())


async def follow(asked: Client, types: str | None, sink: "Sink", *, silent_seconds: float = SILENT_SECONDS) -> NoReturn:
    """Goes on until it is cancelled. Raises OperatorError, and NoAnswer where not even the first connection comes."""
    path = "/events" + (f"?{urllib.parse.urlencode({'types': types}, errors='replace')}" if types is not None else "")
    last_id, wait, failures, was_connected = "", FIRST_WAIT_SECONDS, 0, False
    told: deque[str] = deque(maxlen=REMEMBERED)  # a stream that goes on may repeat the last few
    while True:
        reason = "the stream ended"
        try:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            async with asked.stream(path, headers, silent_seconds=silent_seconds) as pieces:
                was_connected = True
                events = ServerEvents(last_id)
                async for piece in pieces:
                    failures = 0
                    found = events.feed(piece)
                    if events.last_id:  # a stream begins with the id from which on it tells
                        sink.ready()
                    for event in found:
                        if event.event_id not in told:
                            told.append(event.event_id)
                            await sink.tell(event)
                    last_id = events.last_id
                    if events.retry_ms is not None:
                        wait = min(max(events.retry_ms / 1000, FIRST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)
        except NoAnswer as error:
            if not was_connected:
                raise NoAnswer(f"{asked.server}: {error.detail}") from None
            reason = error.detail.rstrip(".")
        pause = min(wait * 2**failures, LONGEST_WAIT_SECONDS) * random.uniform(0.5, 1)  # noqa: S311 - not to hide anything
        failures = min(failures + 1, 10)
        say(f"trunkline: {reason}; connecting again in {pause:.1f} s", err=True)
        await asyncio.sleep(pause)


class Sink:
    """Where events go: onto standard output, and to the receiver, where there is one."""

    def __init__(self, as_json: bool, server: str, url: str | None, secret: bytes) -> None:
        self._is_ready = False
        self._as_json = as_json
        self._server = server
        self._url = url
        self._secret = secret

    def ready(self) -> None:
        """Says so, once."""
        if self._is_ready:
            return
        self._is_ready = True
        if self._as_json:
            _say(wire.encode({"ready": True, "secret": signing.shown(self._secret) if self._url else None}))
        elif self._url:
            _say(f"ready: your webhook signing secret is {signing.shown(self._secret)}")
        else:
            _say(f"ready: waiting for events of {self._server}")

    async def tell(self, event: ServerEvent) -> None:
        outcome = await self._forward(event) if self._url else {}
        if self._as_json:
            told = {"event_id": event.event_id, **_body(event)}
            _say(wire.encode(told | ({"forwarded": outcome} if outcome else {})))
            return
        words = f"{datetime.datetime.now():%H:%M:%S}  {event.type:<20}  {event.event_id}"
        if "error" in outcome:
            words += f"  not delivered: {outcome['error']}"
        elif outcome:
            words += f"  {outcome['status']} in {outcome['ms']} ms"
        else:
            words += f"  {event.data}"
        _say(words)

    async def _forward(self, event: ServerEvent) -> dict[str, Any]:
        body, timestamp = event.data.encode(), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": event.event_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signing.sign([self._secret], event.event_id, timestamp, body),
        }
        started = time.monotonic()
        try:
            answer = await egress.fetch("POST", self._url or "", headers, body, allow=EVERYWHERE)
        except TrunklineError as error:
            return {"error": error.detail}
        return {"status": answer.status, "ms": round((time.monotonic() - started) * 1000)}


def _body(event: ServerEvent) -> dict[str, Any]:
    try:
        return msgspec.json.decode(event.data, type=dict[str, Any])
    except msgspec.DecodeError:
        return {"type": event.type, "data": event.data}


def _say(words: str | bytes) -> None:
    if isinstance(words, bytes):
        click.echo(exact(words.decode()))
    else:
        say(words)
