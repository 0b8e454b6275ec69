"""The example of a sign-up page passes its own tests against a running server, as its README says."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.conftest import Server, Trunkline

FOLDER = pathlib.Path(__file__).parents[2] / "examples" / "signup_app"


@pytest.mark.parametrize("runner", ["pytest", "node"])
def test_the_sign_up_page_passes_its_own_tests(runner: str, trunkline: Trunkline, server: Server) -> None:
    if runner == "node" and shutil.which("node") is None:
        pytest.skip("node is not installed")
    account = trunkline("account", "create", "shop@example.com")
    command = {
        "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "test_signup.py"],
        "node": ["node", "--test", "signup.test.mjs"],
    }[runner]
    own = {"TRUNKLINE_URL": server.base, "TRUNKLINE_API_KEY": account["test_key"], "PYTHON": sys.executable}
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "TRUNKLINE"))}
    done = subprocess.run(
        command, cwd=FOLDER, env=plain | own, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
