"""A small sign-up page: it texts a code to the number that a user gives, and lets in whoever types it.

    TRUNKLINE_API_KEY=tl_test_… python app.py [PORT]

It needs nothing but Python. TRUNKLINE_URL is http://127.0.0.1:8600 where it is not set.
"""

import html
import http.server
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

API = os.environ.get("TRUNKLINE_URL", "http://127.0.0.1:8600") + "/api/v1"
KEY = os.environ["TRUNKLINE_API_KEY"]

FORM = """<form method="post" action="/signup">
  <input name="phone" type="tel" placeholder="+1…"><button>Sign up</button></form>"""
CODE = """<form method="post" action="/code"><input type="hidden" name="id" value="{id}">
  <input name="code" autocomplete="one-time-code" inputmode="numeric"><button>Verify</button></form>"""


def trunkline(path: str, body: dict[str, str]) -> dict[str, str]:
    """What the API answers; a refusal has a ``code`` and a ``detail``."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    asked = urllib.request.Request(API + path, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as refused:
        return json.load(refused)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.show("Welcome. Your phone number?", FORM)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
        if self.path == "/signup":
            self.sign_up(form.get("phone", ""))
        else:
            self.check(form.get("id", ""), form.get("code", ""))

    def sign_up(self, phone: str) -> None:
        started = trunkline("/verifications", {"phone_number": phone, "brand": "Sample Shop"})
        if started.get("status") == "pending":
            self.show("We have texted you a code.", CODE.format(id=started["verification_id"]))
        else:
            self.show(started["detail"], FORM)

    def check(self, verification_id: str, code: str) -> None:
        checked = trunkline(f"/verifications/{urllib.parse.quote(verification_id, safe='')}/check", {"code": code})
        match checked.get("status"):
            case "approved":
                self.show(f"You are in, {checked['phone_number']}.", "")
            case "pending":
                form = CODE.format(id=checked["verification_id"])
                self.show(f"That is not it; {checked['checks_left']} tries left.", form)
            case _:
                self.show(checked["detail"], FORM)

    def show(self, words: str, rest: str) -> None:
        page = f"<!doctype html><title>Sample Shop</title><p>{html.escape(words)}</p>{rest}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Says nothing."""


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Page)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
