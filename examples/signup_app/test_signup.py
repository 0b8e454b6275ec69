"""The sign-up page from end to end: a number is leased, signs up, and the code that arrives lets it in.

TRUNKLINE_API_KEY=tl_test_… python -m pytest test_signup.py
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

API = os.environ.get("TRUNKLINE_URL", "http://127.0.0.1:8600") + "/api/v1"
HEADERS = {"Authorization": f"Bearer {os.environ['TRUNKLINE_API_KEY']}", "Content-Type": "application/json"}


def trunkline(path: str, body: dict[str, str] | None = None) -> dict:
    asked = urllib.request.Request(API + path, json.dumps(body).encode() if body else None, HEADERS)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.load(answer)["data"]


@pytest.fixture
def shop() -> Iterator[str]:
    program = [sys.executable, str(pathlib.Path(__file__).with_name("app.py"))]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture
def lease() -> Iterator[dict]:
    lease = trunkline("/numbers/purchase", {"country": "us", "service": "any"})
    yield lease
    status = trunkline(f"/numbers/status/{lease['activation_id']}")["status"]
    word = "completed" if status == "received" else "cancelled"
    trunkline(f"/numbers/finish/{lease['activation_id']}", {"status": word})


def submit(url: str, **form: str) -> str:
    with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), timeout=60) as page:
        return page.read().decode()


def test_a_user_signs_up_with_the_code_that_arrives(shop: str, lease: dict) -> None:
    page = submit(f"{shop}/signup", phone=lease["phone_number"])
    verification = re.search(r'value="(ver_\d+)"', page)[1]
    code = trunkline(f"/numbers/status/{lease['activation_id']}?wait=30")["sms"]["code"]
    assert f"You are in, {lease['phone_number']}" in submit(f"{shop}/code", id=verification, code=code)


def test_another_code_lets_nobody_in(shop: str, lease: dict) -> None:
    page = submit(f"{shop}/signup", phone=lease["phone_number"])
    verification = re.search(r'value="(ver_\d+)"', page)[1]
    code = trunkline(f"/numbers/status/{lease['activation_id']}?wait=30")["sms"]["code"]
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    assert "4 tries left" in submit(f"{shop}/code", id=verification, code=wrong)
