"""The pace of deliveries: how many attempts at a time an endpoint gets, when it is left alone, when the next one comes.

All of it is arithmetic on instants that the caller names, in seconds of one clock.
"""

import random
from collections import Counter
from collections.abc import Sequence

START = 4  # attempts at a time to an endpoint of which nothing is known
AHEAD = 2  # times as many claimed as there may be at a time
HUNG_SECONDS = 2.0  # while an attempt has no answer for so long, its endpoint gets no more
FAILURES = 5  # in a row, that pause an endpoint
FIRST_PAUSE_SECONDS = 5.0  # each next one is twice as long,
LONGEST_PAUSE_SECONDS = 300.0  # to this
LONGEST_ASKED_SECONDS = 3600.0  # for which an endpoint may ask to be left alone
SPREAD = 0.2  # of every wait, so that those who failed together do not come again together
SHARE = 4  # of the free places, of which one endpoint gets no more than one part
ACCOUNT_SHARE = 2  # of the places that other accounts leave, of which one account gets no more than one part,
ACCOUNT_LEAST = 16  # but so many in any case, where one is left


def spread(seconds: float) -> float:
    """A fifth more or less."""
    return seconds * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311


def again_in(attempts: int, retry_seconds: Sequence[float]) -> float | None:
    """Seconds until the next attempt after so many that failed; None: that was the last."""
    return spread(retry_seconds[attempts - 1]) if attempts <= len(retry_seconds) else None


class Lane:
    """One endpoint's attempts in this process. It begins with few at a time and gets one more for each success."""

    def __init__(self, most: int, now: float) -> None:
        self.account_id: int | None = None  # whose it is, once something was claimed for it
        self._most = most
        self._width = min(START, most)
        self._failures = 0  # in a row
        self._pauses = 0  # since the last success
        self._paused_at = float("-inf")
        self._under_way: dict[int, float] = {}  # when each began, oldest first
        self.is_proven = False  # the last attempt succeeded
        self.ahead = 0  # claimed, and to begin as soon as there is room
        self.held = 0  # pauses that are not written down yet
        self.has_more = False  # something was due when last it had no room
        self.used_at = now

    def is_hanging(self, now: float) -> bool:
        return bool(self._under_way) and now - next(iter(self._under_way.values())) > HUNG_SECONDS

    def may_begin(self, now: float) -> bool:
        """Whether there is room for one attempt more."""
        return not self.held and not self.is_hanging(now) and len(self._under_way) < self._width

    def room(self, now: float) -> int:
        """How many deliveries more to claim: as many as may begin, and while the endpoint answers well AHEAD times as
        many again, so that the next one need not wait for a claim. While half of these are there none are claimed:
        a claim costs less for many."""
        if self.held or self.is_hanging(now) or self.ahead > AHEAD * self._width // 2:
            return 0
        most = (1 + AHEAD) * self._width if self.is_proven else self._width
        return max(0, most - len(self._under_way) - self.ahead)

    @property
    def is_idle(self) -> bool:
        return not self._under_way and not self.held and not self.ahead

    def begin(self, delivery: int, now: float) -> None:
        self._under_way[delivery] = self.used_at = now

    def end(self, delivery: int, now: float) -> float:
        """When it had begun."""
        self.used_at = now
        return self._under_way.pop(delivery)

    def succeeded(self) -> bool:
        """Whether it had been left alone, or tried one at a time."""
        was_paused = self._pauses > 0 or self._failures >= FAILURES - 1
        self._width = min(self._width + 1, self._most)
        self._failures = self._pauses = 0
        self.is_proven = True
        return was_paused

    def failed(self, began: float, now: float) -> float | None:
        """For how many seconds to leave the endpoint alone; None: not at all."""
        self._fail()
        self._width = max(self._width // 2, 1)
        return self._pause(began, now) if self._failures >= FAILURES else None

    def slowed(self, began: float, now: float, asked: float | None) -> float | None:
        """The endpoint asks for less, and may say for how many seconds it wants nothing."""
        self._fail()
        pause = self._pause(began, now)
        return pause if asked is None else min(max(asked, 1.0), LONGEST_ASKED_SECONDS)

    def tried_again(self) -> None:
        """The endpoint was paused before anything was known of it here: one at a time, and one failure is enough."""
        if self._failures == 0 and not self.is_proven:
            self._failures = FAILURES - 1
            self._width = 1

    def _fail(self) -> None:
        self._failures += 1
        self.is_proven = False

    def _pause(self, began: float, now: float) -> float | None:
        self._width = 1
        if began < self._paused_at:  # it failed together with those that the last pause was for
            return None
        self._paused_at = now
        self._pauses += 1
        return spread(min(FIRST_PAUSE_SECONDS * 2.0 ** min(self._pauses - 1, 16), LONGEST_PAUSE_SECONDS))


class Places:
    """The attempts at a time of the whole process.

    Endpoints whose last attempt did not succeed get half of those in which nobody hangs, so that however many hang,
    there is room for those that answer, and some for newcomers. An account gets half of what the others leave, however
    many endpoints it has and whatever they do.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun: dict[int, tuple[float, bool]] = {}  # when, and whether proven; oldest first, the hung left out
        self._unproven = 0  # of these
        self._hung = 0
        self._accounts: dict[int, int] = {}  # whose each is
        self._taken: Counter[int] = Counter()  # by each account

    def begin(self, delivery: int, account_id: int, now: float, *, proven: bool) -> None:
        self._begun[delivery] = now, proven
        self._unproven += not proven
        self._accounts[delivery] = account_id
        self._taken[account_id] += 1

    def end(self, delivery: int) -> None:
        account_id = self._accounts.pop(delivery)
        self._taken[account_id] -= 1
        if not self._taken[account_id]:
            del self._taken[account_id]
        self._no_longer_young(delivery)

    def _no_longer_young(self, delivery: int) -> None:
        if delivery in self._begun:
            self._unproven -= not self._begun.pop(delivery)[1]
        else:
            self._hung -= 1

    def look(self, now: float) -> None:
        """Sees which have hung by now."""
        while self._begun:
            oldest = next(iter(self._begun))
            if now - self._begun[oldest][0] <= HUNG_SECONDS:
                break
            self._no_longer_young(oldest)
            self._hung += 1

    def room(
        self, *, proven: bool, promised: int, promised_unproven: int, account_id: int | None, promised_account: int
    ) -> int:
        """How many one endpoint gets, beside those that others, and others of its account, were promised."""
        free = self._most - self._hung - len(self._begun) - promised
        if not proven and self._most > 1:
            free = min(free, (self._most - self._hung) // 2 - self._unproven - promised_unproven)
        share = max(0, -(-free // SHARE))
        if account_id is None or self._most == 1:
            return share
        own = self._taken[account_id] + promised_account
        left_by_others = self._most - len(self._accounts) - promised + own
        most = max(-(-left_by_others // ACCOUNT_SHARE), min(left_by_others - 1, ACCOUNT_LEAST))
        left = max(0, most - own)
        return min(share, left if proven else -(-left // SHARE))
