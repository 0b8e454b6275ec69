"""The examples of the guide, run as they stand against the real server."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.conftest import Server, Trunkline

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
NODE_MODULES = ROOT / ".cache" / "node" / "node_modules"

CLIENTS = {
    "receive.py": [sys.executable],
    "receive.mjs": ["node"],
    "receive-axios.cjs": ["node"],
    "receive.php": ["php"],
}


@pytest.mark.parametrize("example", CLIENTS)
def test_a_documented_client_leases_polls_and_completes(example: str, server: Server, trunkline: Trunkline) -> None:
    program = CLIENTS[example]
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    script = EXAMPLES / example
    client = subprocess.Popen(
        [*program, str(script)],
        env={
            "PATH": os.environ["PATH"],
            "NODE_PATH": str(NODE_MODULES),
            "TRUNKLINE_URL": server.base,
            "TRUNKLINE_API_KEY": trunkline.customer().live_key,
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    with client:
        assert client.stdout is not None
        number = client.stdout.readline().removeprefix("number: ").strip()
        assert trunkline.sms(number, "Your WhatsApp code: 847291")["outcome"] == "delivered"
        assert client.stdout.read().split() == ["code:", "847291", "finished:", "completed"]
    assert client.returncode == 0
    assert trunkline("ledger", "verify")["ok"]


def test_the_readme_shows_the_examples_as_they_stand() -> None:
    readme = (ROOT / "README.md").read_text()
    for example in ("receive.py", "receive.mjs"):
        assert (EXAMPLES / example).read_text() in readme
