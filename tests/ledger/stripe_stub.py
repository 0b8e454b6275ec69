"""A server that answers as Stripe's does, as far as we ask it, and signs messages with Stripe's own package."""

import contextlib
import http.server
import itertools
import json
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import stripe

WEBHOOK_SECRET = "whsec_of_the_stub"
_refs = itertools.count(1)


class Stub:
    """``answer`` is a status, "empty", "hang" (until released) or "cut" (the connection ends without an answer).

    The same idempotency key gets the same session."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answer: int | str = 200
        self.error: dict[str, Any] = {"type": "invalid_request_error", "message": "No."}
        self.asked: list[dict[str, str]] = []  # the forms that came, with their idempotency keys
        self.arrived = threading.Event()
        self.released = threading.Event()
        self._sessions: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def settings(self) -> dict[str, str]:
        return {
            "TRUNKLINE_STRIPE__SECRET_KEY": "sk_test_of_the_stub",
            "TRUNKLINE_STRIPE__WEBHOOK_SECRET": WEBHOOK_SECRET,
            "TRUNKLINE_STRIPE__SUCCESS_URL": "https://shop.example/paid",
            "TRUNKLINE_STRIPE__CANCEL_URL": "https://shop.example/not-paid",
            "TRUNKLINE_STRIPE__API_BASE": self.url,
        }

    def reply(self, form: dict[str, str]) -> tuple[int, dict[str, Any]] | None:
        with self._lock:
            self.asked.append(form)
        self.arrived.set()
        if self.answer == "hang":
            self.released.wait(200)
        if self.answer == "cut":
            return None
        if self.answer in ("hang", "empty"):
            return 200, {}
        if isinstance(self.answer, int) and self.answer != 200:
            return self.answer, {"error": self.error}
        with self._lock:
            session = self._sessions.setdefault(
                form["idempotency_key"],
                {"object": "checkout.session", "id": f"cs_{next(_refs)}", "metadata": {}},
            )
        session["url"] = f"{self.url}/pay/{session['id']}"
        return 200, session

    @property
    def last_session(self) -> str:
        session: str = list(self._sessions.values())[-1]["id"]
        return session


@contextlib.contextmanager
def stub() -> Iterator[Stub]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = dict(urllib.parse.parse_qsl(body)) | {
                "path": self.path,
                "idempotency_key": self.headers["idempotency-key"],
                "authorization": self.headers["authorization"],
            }
            reply = found.reply(form)
            if reply is None:
                self.close_connection = True
                return
            status, answer = reply
            raw = json.dumps(answer).encode()
            with contextlib.suppress(OSError):  # who hung up does not hear it
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128  # whoever is turned away comes again only after a second

    with Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found = Stub(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield found
        finally:
            found.released.set()
            server.shutdown()
            thread.join()


def event(
    session: str, minor: int, currency: str = "usd", kind: str = "checkout.session.completed", **more: Any
) -> str:
    """A message about a session, as Stripe writes it."""
    about = {
        "id": session, "object": "checkout.session", "amount_total": minor, "currency": currency,
        "payment_status": "paid", "mode": "payment",
    }  # fmt: skip
    return json.dumps({"id": "evt_1", "object": "event", "type": kind, "data": {"object": about | more}})


def signed(payload: str, *, secret: str = WEBHOOK_SECRET, at: int | None = None) -> dict[str, str]:
    """The headers with which Stripe sends it."""
    signature = stripe.WebhookSignature.generate_signature_header(payload, secret, at)
    return {"stripe-signature": signature, "content-type": "application/json; charset=utf-8"}
