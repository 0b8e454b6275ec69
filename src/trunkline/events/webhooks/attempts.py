"""One attempt: an event posted to an endpoint, and what came back. ``answer_shown`` opens what is kept of that."""

import datetime
import email.utils
import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from trunkline import clock, egress
from trunkline.egress import Answer, Network, NoAnswer, Resolve, UrlRefused
from trunkline.events.contents import Content, content
from trunkline.events.webhooks.signing import sign
from trunkline.storage.database import Row
from trunkline.storage.vault import TextKey, unseal_part

log = logging.getLogger("trunkline.webhooks")

BODY_SECONDS = 2.0  # that an answer's body may take, which changes nothing
MOST_KEPT = 4096  # octets of an answer's body, and as many of its headers
GONE = 410
SLOWER = (429, 502, 504)  # and 503 where it says for how long

_write = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(tuple[dict[str, str], bytes]).decode


class Claim(NamedTuple):
    """A delivery that this process may send, until its lease is over."""

    row: Row  # of ``SQL.claim``, whose event is there
    told: Content | None  # what is sent; None: it cannot be made out
    made_at: float  # as time.monotonic() tells it


class Outcome(NamedTuple):
    """What came of an attempt."""

    succeeded: bool
    status: int | None = None  # None: no answer
    reason: str | None = None  # why it failed, or what was odd about an answer that counts; one sentence
    address: str | None = None
    answer: bytes | None = None  # what is kept of it, not sealed yet
    asks_for_less: bool = False
    retry_after: float | None = None  # seconds


def claimed(rows: Sequence[Row], made_at: float) -> list[Claim]:
    """``rows``: of ``SQL.claim``, whose events are there. What all of them say is made out in one go: between one
    connection and the next each costs twice as much."""
    return [Claim(row, _told(row), made_at) for row in rows]


def _told(row: Row) -> Content | None:
    try:
        return content(row)
    except Exception:
        log.exception("what the event %d says cannot be made out", row["event_id"])
        return None


async def attempt(claim: Claim, *, allow: Sequence[Network], seconds: float, resolve: Resolve) -> Outcome:
    row, told = claim.row, claim.told
    if told is None:
        return Outcome(succeeded=False, reason="The attempt failed: what the event says cannot be made out.")
    timestamp = int(time.time())
    try:
        headers = {
            "Content-Type": "application/json",
            "webhook-id": told.event_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(row["secrets"], told.event_id, timestamp, told.body),
        }
        answer = await egress.fetch(
            "POST",
            row["url"],
            headers,
            told.body,
            allow=allow,
            any_port=True,
            seconds=seconds,
            body_seconds=BODY_SECONDS,
            resolve=resolve,
        )
    except (UrlRefused, NoAnswer) as error:
        return Outcome(succeeded=False, reason=error.detail)
    except Exception as error:
        log.exception("an attempt at webhook %d failed", row["endpoint_id"])
        return Outcome(succeeded=False, reason=f"The attempt failed: {type(error).__name__}.")
    return judged(answer)


def judged(answer: Answer) -> Outcome:
    """Whether an answer counts: with a status of 2xx, whatever else it says."""
    status, retry_after = answer.status, None
    if 200 <= status < 300:
        reason = None if answer.whole else f"Its answer {answer.lacks}."
    elif status == GONE:
        reason = "It answered 410: it is gone."
    elif 300 <= status < 400:
        reason = f"It answered {status}: redirects are not followed."
    else:
        reason = f"It answered {status}."
        retry_after = _seconds(answer.headers.get("retry-after"), clock.now())
    return Outcome(
        succeeded=200 <= status < 300,
        status=status,
        reason=reason,
        address=answer.address,
        answer=_write((_beginning(answer.headers), answer.body[:MOST_KEPT])),
        asks_for_less=status in (*SLOWER, GONE) or (status == 503 and retry_after is not None),
        retry_after=retry_after,
    )


def sealed(outcome: Outcome, key: TextKey) -> bytes | None:
    """What is kept of an answer, as texts are kept: a receiver may send one back."""
    return None if outcome.answer is None else key.seal_part(outcome.answer)


def answer_shown(sealed: bytes | None, key: bytes | None) -> tuple[dict[str, str], str] | None:
    """Headers and the beginning of the body of an attempt's answer; None where there was none or its key is gone.

    Octets that are not UTF-8 are replaced.
    """
    if sealed is None or key is None:
        return None
    plain = unseal_part(key, sealed)
    if not plain:
        return None
    headers, body = _read(plain)
    return headers, body.decode("utf-8", "replace")


def _beginning(headers: dict[str, str]) -> dict[str, str]:
    kept, length = {}, 0
    for name, value in headers.items():
        length += len(name) + len(value)
        if length > MOST_KEPT:
            break
        kept[name] = value
    return kept


def _seconds(retry_after: str | None, now: datetime.datetime) -> float | None:
    """Seconds, or a date (RFC 9110 §10.2.3); None for what is neither."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = email.utils.parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=datetime.UTC)
    return max((until - now).total_seconds(), 0.0)
