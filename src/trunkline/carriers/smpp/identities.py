"""What a text is known by over a link, since SMPP gives texts no identity: sequence numbers begin anew in each session.

The same words under a new sequence number are a new text once we had answered the former (SMPP 3.4 §2.9: then the peer
has no reason to send it again). While we had not, or where the session ended before the peer must have read the answer,
they are the former text sent again.
"""

import datetime
import secrets
from collections import deque

from trunkline.carriers.carrier import Identity

# A peer that has not read an answer for so long has sent the text again, or given the session up; and a text that was
# in hand when a session ended is committed within it.
_UNHEARD = datetime.timedelta(seconds=60)
_REPEATED_FOR = datetime.timedelta(hours=73)
_MOST_DOUBTS = 50

Doubts = tuple[tuple[datetime.datetime | None, datetime.datetime], ...]


class Identities:
    """Of a link's texts, session after session. Begins in doubt about everything: a process may follow another."""

    def __init__(self) -> None:
        self._doubts: deque[tuple[datetime.datetime | None, datetime.datetime]] = deque([(None, _now() + _UNHEARD)])
        self._current: Doubts = tuple(self._doubts)
        self._begin()

    def _begin(self) -> None:
        self._session = secrets.token_hex(6)
        self._unanswered: dict[bytes, str] = {}

    def identify(self, body: bytes, sequence: int) -> Identity:
        """Of a text that has come; ``body``: of its PDU, which a peer that sends it again sends again."""
        name = self._unanswered.setdefault(body, str(sequence))
        return Identity(name, self._session, self._current)

    def answered(self, body: bytes) -> None:
        """We are about to say yes to a text."""
        self._unanswered.pop(body, None)

    def interrupted(self, heard_at: datetime.datetime | None = None) -> None:
        """The session is over, or a text was refused whose commit may only not have been heard of.

        ``heard_at``: when the peer last said something. What we answered shortly before may not have been read.
        """
        now = _now()
        since, until = (heard_at or now) - _UNHEARD, now + _UNHEARD
        last_from, last_until = self._doubts[-1]
        if since <= last_until:  # the two are one
            self._doubts[-1] = (last_from and min(last_from, since), max(last_until, until))
        else:
            self._doubts.append((since, until))
        while self._doubts[0][1] < now - _REPEATED_FOR and len(self._doubts) > 1:
            self._doubts.popleft()
        if len(self._doubts) > _MOST_DOUBTS:
            first, _ = self._doubts.popleft()
            self._doubts[0] = (first, self._doubts[0][1])
        self._current = tuple(self._doubts)
        self._begin()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
