"""A customer over HTTP."""

import time
from typing import Any

import requests

from tests.conftest import Server


class Client:
    """A customer's HTTP client."""

    def __init__(self, server: Server, key: str) -> None:
        self.base = server.api
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {key}"

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.base + path, timeout=60, **options)

    def post(self, path: str, body: Any, **options: Any) -> requests.Response:
        return self.session.post(self.base + path, json=body, timeout=60, **options)

    def until_received(self, lease: Any) -> Any:
        """The status of a lease that has its text: a server shows what another process has done with a delay."""
        deadline = time.monotonic() + 30
        while (status := self.get(f"/numbers/status/{lease['activation_id']}").json()["data"])["status"] != "received":
            assert time.monotonic() < deadline, status
            time.sleep(0.02)
        return status
