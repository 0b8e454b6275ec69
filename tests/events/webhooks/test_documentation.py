"""The page about webhooks says what is, and its receivers take what is sent."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from tests.outside import lasting_port

from trunkline.events.types import TYPES
from trunkline.events.webhooks import signing

ROOT = pathlib.Path(__file__).parents[3]
PAGE = (ROOT / "docs/webhooks.md").read_text("utf-8")
NODE_MODULES = ROOT / ".cache/node/node_modules"
BODY = b'{"type":"webhook.test","timestamp":"2026-04-19T14:35:22Z","data":{"webhook_id":"1001","note":"\xc3\xa9"}}'


def test_the_page_lists_every_type_and_says_of_it_what_the_product_says() -> None:
    rows = re.findall(r"^\| `(\w+\.\w+)` \| ([^|]*) \|", PAGE, re.MULTILINE)
    assert dict(rows) == TYPES


def post(port: int, body: bytes, headers: dict[str, str]) -> int:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def wait_for(port: int, receiver: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and receiver.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 60).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError("the receiver does not listen")


@pytest.mark.parametrize(("language", "program"), [("python", [sys.executable, "-c"]), ("javascript", ["node", "-e"])])
def test_a_documented_receiver_takes_what_is_signed_and_refuses_what_is_not(language: str, program: list[str]) -> None:
    if language == "javascript" and not (shutil.which("node") and (NODE_MODULES / "standardwebhooks").exists()):
        pytest.skip("Node or its standardwebhooks is not installed")
    [code] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    port = lasting_port()
    secret, old = signing.new_secret(), signing.new_secret()
    receiver = subprocess.Popen(
        [*program, code.replace("3000", str(port))],
        env=os.environ | {"WEBHOOK_SECRET": signing.shown(secret), "NODE_PATH": str(NODE_MODULES)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with receiver:
        try:
            wait_for(port, receiver)
            now = int(time.time())
            headers = {
                "Content-Type": "application/json",
                "webhook-id": "evt_1042",
                "webhook-timestamp": str(now),
                "webhook-signature": signing.sign([old, secret], "evt_1042", now, BODY),
            }
            assert post(port, BODY, headers) == 204
            assert post(port, BODY.replace(b"1001", b"1002"), headers) == 401
            assert post(port, BODY, headers | {"webhook-id": "evt_1043"}) == 401
            assert post(port, BODY, headers | {"webhook-signature": signing.sign([old], "evt_1042", now, BODY)}) == 401
            assert post(port, BODY, headers | {"webhook-timestamp": str(now - 600)}) == 401
        finally:
            receiver.terminate()
        assert receiver.stdout is not None
        assert receiver.stdout.read() == "evt_1042 webhook.test\n"
