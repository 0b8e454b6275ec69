"""``trunkline demo``: the main job, end to end, as a client would do it: over HTTP, against a server of its own."""

import contextlib
import json
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import platformdirs

from trunkline.cli import terminal
from trunkline.cli.customer.client import Client
from trunkline.cli.demo import receiver as demo_receiver
from trunkline.cli.demo import smsc as demo_smsc
from trunkline.errors import OperatorError

COUNTRY, SERVICE, SENDER = "us", "whatsapp", "WhatsApp"
SERVER_SECONDS = 60
TEXT_SECONDS = WEBHOOK_SECONDS = 30  # as long as a call may be held


@click.command()
@click.option("--smpp", is_flag=True, help="Let the text come over a real SMPP link.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, nothing else on stdout.")
@click.option("--data-dir", type=click.Path(path_type=pathlib.Path), help="Instead of a folder of the demo's own.")
def demo(smpp: bool, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Lease a number and get the code of a text that arrives; send a code to a number and check it; see the books."""
    directory = data_dir or platformdirs.user_data_path("trunkline") / ("demo-smpp" if smpp else "demo")
    code = f"{secrets.randbelow(1_000_000):06}"
    text = f"Your WhatsApp code: {code}"
    say = _silent if as_json else _say
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        environment = os.environ | {
            "TRUNKLINE_WEBHOOKS__ALLOW": "127.0.0.0/8",
            "TRUNKLINE_SERVER__LAME_DUCK_SECONDS": "0",  # no balancer has to notice
        }
        smsc = stack.enter_context(demo_smsc.listening()) if smpp else None
        if smsc:
            environment |= demo_smsc.settings(smsc)
            say("carrier", f"an SMSC listens on 127.0.0.1:{smsc.port} (SMPP 3.4)")
        directory.mkdir(parents=True, exist_ok=True)
        run = _Trunkline(directory, environment)
        if smsc:
            demo_smsc.prepare(run.command, SERVICE, COUNTRY)
        account = run.command("account", "create", f"demo-{secrets.token_hex(4)}@example.com", "--credit", "5.00")
        say("account", f"{account['email']} with 5.00 USD")
        base = stack.enter_context(run.server())
        say("server", f"{base}  (documentation at {base}/docs)")
        client = Client(base, account["live_key"])
        receiver = stack.enter_context(demo_receiver.listening())
        hook = client.call("POST", "/webhooks", {"url": receiver.url, "events": ["sms.received"]})
        say("listens", f"{receiver.url} is told of each sms.received")
        if smsc:
            smsc.wait_for_bind(SERVER_SECONDS)
            say("bound", "Trunkline is bound as transceiver")

        lease = client.call("POST", "/numbers/purchase", {"country": COUNTRY, "service": SERVICE})
        say("leased", f"{lease['phone_number']} for {SERVICE}, activation {lease['activation_id']}")
        money = client.call("GET", "/account")
        say("held", f"{money['held']:.2f} {money['currency']}, {money['balance']:.2f} available")

        polling = stack.enter_context(ThreadPoolExecutor(1)).submit(_poll, client, lease["activation_id"])
        if smsc:
            smsc.send(SENDER, lease["phone_number"], text)
            say("sent", f"deliver_sm «{text}»; acknowledged once it was committed")
        else:
            run.command("simulate", "sms", "--to", lease["phone_number"], "--from", SENDER, "--text", text)
            say("sent", f"«{text}»")
        status, answered_at = polling.result()
        received = (status.get("sms") or {}).get("code")
        say("received", f"code {received}, {status['status']}")
        webhook = receiver.take(hook["secret"], WEBHOOK_SECONDS)
        told, after_ms = webhook.data["code"], round((webhook.at - answered_at) * 1000)
        when = f"{abs(after_ms)} ms {'after' if after_ms > 0 else 'before'} the call was answered"
        signature = "signature good" if webhook.good else "SIGNATURE WRONG"
        say("webhook", f"{webhook.type} {webhook.event_id}, code {told}, {signature}, {when}")

        done = client.call("POST", f"/numbers/finish/{lease['activation_id']}", {"status": "completed"})
        money = client.call("GET", "/account")
        say("captured", f"{done['cost']:.2f} {money['currency']}, {money['balance']:.2f} available; {done['status']}")
        verified = _verify(Client(base, account["test_key" if smpp else "live_key"]), say)
        books = run.command("ledger", "verify")
        say("books", f"{books['transfers']} transfers, " + ("balanced" if books["ok"] else "OFF"))
    if as_json:
        click.echo(
            json.dumps(
                {
                    "sent": code,
                    "received": received,
                    "webhook": {"event_id": webhook.event_id, "code": told, "signature_ok": webhook.good},
                    "lease": lease,
                    "verification": verified,
                    "balance": money,
                    "books_ok": books["ok"],
                }
            )
        )
    if received != code or not books["ok"]:
        raise OperatorError(f"The code that came back is {received!r}, not {code!r}, or the books are off.")
    if told != code or not webhook.good:
        raise OperatorError(f"The webhook says {told!r}, not {code!r}, or is not signed with its secret.")
    if verified["status"] != "approved":
        raise OperatorError(f"The code that was sent to a user came back as {verified['status']!r}, not as approved.")
    say("done", f"the code that came back is the one that was sent ({time.monotonic() - started:.1f} s)")


def _verify(client: Client, say: Callable[[str, str], None]) -> dict[str, Any]:
    """The other half, and the loop closed: an app texts its user a code, and the user's number is leased here."""
    user = client.call("POST", "/numbers/purchase", {"country": COUNTRY, "service": "any"})
    say("act two", f"a user signs up somewhere with {user['phone_number']}, leased here")
    started = client.call("POST", "/verifications", {"phone_number": user["phone_number"], "brand": "ACME"})
    say("verify", f"{started['verification_id']}: a code is texted, good until {started['expires_at']}")
    status, _ = _poll(client, user["activation_id"])
    sms = status["sms"]
    say("received", f"«{sms['full_text']}»")
    checked = client.call("POST", f"/verifications/{started['verification_id']}/check", {"code": sms["code"]})
    say("checked", f"{sms['code']}: {checked['status']}")
    client.call("POST", f"/numbers/finish/{user['activation_id']}", {"status": "completed"})
    shown: dict[str, Any] = client.call("GET", f"/verifications/{started['verification_id']}")
    return shown


def _poll(client: Client, activation_id: str) -> tuple[Any, float]:
    """What a held call answers, and when."""
    status = client.call("GET", f"/numbers/status/{activation_id}?wait={TEXT_SECONDS}")
    return status, time.monotonic()


def _say(step: str, words: str) -> None:
    click.echo(f"{click.style(f'{step:>9}', fg='cyan')}  {terminal.plain(words)}")


def _silent(step: str, words: str) -> None:
    """Nothing but the JSON goes to stdout."""


class _Trunkline:
    """The command as a user would type it, over one data directory."""

    def __init__(self, directory: pathlib.Path, environment: dict[str, str]) -> None:
        self._program = [sys.executable, "-m", "trunkline"]
        self._directory = ["--data-dir", str(directory)]
        self._environment = environment

    def command(self, *words: str, stdin: str = "") -> dict[str, Any]:
        """A command's JSON. Raises OperatorError with its own words where it fails."""
        done = subprocess.run(
            [*self._program, *words, *self._directory, "--json"],
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            raise OperatorError(f"«trunkline {' '.join(words)}» failed: {done.stderr.strip()}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    @contextlib.contextmanager
    def server(self) -> Iterator[str]:
        """The base URL of a running server, which is stopped afterwards."""
        with (
            open(pathlib.Path(self._directory[1]) / "demo.log", "wb") as log,
            subprocess.Popen(
                [*self._program, "serve", "--port", "0", *self._directory],
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as process,
        ):
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("listening on "):
                raise OperatorError(f"The server did not start; see {log.name}.")
            try:
                yield line.removeprefix("listening on ").strip()
            finally:
                process.send_signal(signal.SIGTERM)
