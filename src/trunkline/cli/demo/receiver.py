"""A customer's side of webhooks, as small as the demo needs it: it takes them on loopback and looks who signed them."""

import contextlib
import dataclasses
import hmac
import http.server
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from trunkline.errors import OperatorError
from trunkline.events.webhooks import signing

TOLERANCE_SECONDS = 300  # how old a webhook may be, and how far its sender's clock ahead
LARGEST_BODY = 64 * 1024
READ_SECONDS = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Webhook:
    event_id: str
    type: str
    data: dict[str, Any]
    good: bool  # signed with the secret, over this body, just now
    at: float  # time.monotonic()


class Receiver:
    """Listens on a free loopback port and answers 204."""

    def __init__(self) -> None:
        self._came: queue.Queue[tuple[dict[str, str], bytes, float]] = queue.Queue()
        came = self._came

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = READ_SECONDS

            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), LARGEST_BODY))
                came.put(({name.lower(): value for name, value in self.headers.items()}, body, time.monotonic()))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """The demo's own lines are enough."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    def take(self, secret: str, seconds: float) -> Webhook:
        """The next webhook. Raises OperatorError where none comes within ``seconds``."""
        try:
            headers, body, at = self._came.get(timeout=seconds)
        except queue.Empty:
            raise OperatorError(f"No webhook came within {seconds:g} seconds.") from None
        content = msgspec.json.decode(body)
        good = signed(secret, headers, body)
        return Webhook(headers.get("webhook-id", ""), content["type"], content["data"], good, at)


def signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether a webhook is whole, fresh, and signed with a secret of ours (Standard Webhooks 1.0)."""
    stamp = headers.get("webhook-timestamp", "")
    if not stamp.isascii() or not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
        return False
    expected = signing.sign([signing.from_shown(secret)], headers.get("webhook-id", ""), int(stamp), body)
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(each.encode("latin-1", "replace"), expected.encode()) for each in given)


@contextlib.contextmanager
def listening() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
