"""What a process counts of itself: plain numbers in memory, which cost next to nothing until somebody asks for them.

A slice adds to an instrument below where something has happened, ``monitoring/exposition.py`` shows all. Names and
units are those of https://prometheus.io/docs/practices/naming/. A label has few values, all known beforehand: a route's
pattern, a status, a carrier's name; never an id, a number or anything else that a caller chose.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Literal

Labels = tuple[str, ...]
Series = dict[
    Labels, list[float]
]  # one number; of a histogram the sum and the count in each bucket, the last unbounded
Snapshot = dict[str, Series]

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ATTEMPT_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"  # the route of a path that there is not


class Counter:
    """Only goes up."""

    def __init__(self, name: str, meaning: str, *labels: str) -> None:
        self.name, self.meaning, self.labels = name, meaning, labels
        self._series: Series = {} if labels else {(): [0.0]}

    def add(self, amount: float, *labels: str) -> None:
        found = self._series.get(labels)
        if found is None:
            found = self._series[labels] = [0.0]
        found[0] += amount

    def reached(self, total: float, *labels: str) -> None:
        """For what somebody else counts."""
        self._series[labels] = [total]

    def value(self, *labels: str) -> float:
        return self._series.get(labels, [0.0])[0]

    def series(self) -> Series:
        return {labels: values.copy() for labels, values in self._series.items()}


class Gauge(Counter):
    """Goes up and down. Of several processes, what they have together, or the worst of them, as ``together`` says."""

    def __init__(self, name: str, meaning: str, *labels: str, together: Literal["sum", "max", "min"] = "sum") -> None:
        super().__init__(name, meaning, *labels)
        self._series = {}
        self.together = together

    def set(self, value: float, *labels: str) -> None:
        self._series[labels] = [value]


class Histogram:
    """How values are spread, in buckets up to and including each bound."""

    def __init__(self, name: str, meaning: str, *labels: str, bounds: tuple[float, ...]) -> None:
        self.name, self.meaning, self.labels, self.bounds = name, meaning, labels, bounds
        self._series: Series = {}

    def observe(self, value: float, *labels: str) -> None:
        found = self._series.get(labels)
        if found is None:
            found = self._series[labels] = [0.0] * (len(self.bounds) + 2)
        found[0] += value
        found[1 + bisect_left(self.bounds, value)] += 1

    def count(self, *labels: str) -> float:
        return sum(self._series.get(labels, [0.0])[1:])

    def series(self) -> Series:
        return {labels: values.copy() for labels, values in self._series.items()}


Instrument = Counter | Gauge | Histogram

HTTP_REQUESTS = Counter(
    "trunkline_http_requests_total",
    "Requests answered. 499: the caller went away before the request was whole.",
    "route", "method", "status",
)  # fmt: skip
HTTP_SECONDS = Histogram(
    "trunkline_http_request_duration_seconds",
    "Time to the beginning of the answer, held calls (?wait=) left out.",
    "route", "method", "status",
    bounds=REQUEST_SECONDS,
)  # fmt: skip
HTTP_ERRORS = Counter("trunkline_http_errors_total", "Requests that failed on our side (5xx), by problem code.", "code")
HTTP_REFUSED = Counter("trunkline_http_refused_total", "Requests refused by a limit (429), by problem code.", "code")
HTTP_DENIED = Counter(
    "trunkline_http_denied_total",
    "Requests without a good key (401) or the right to ask (403), by problem code.",
    "code",
)
LOG_DROPPED = Counter("trunkline_log_lines_dropped_total", "Lines of the log that nobody read in time.")
HTTP_CONNECTIONS = Gauge("trunkline_http_connections", "Connections to the API that are open.")
CONNECTIONS_REFUSED = Counter(
    "trunkline_http_connections_refused_total",
    "Connections not let in: of one address (too_many_connections), in all (unavailable), for want of a descriptor"
    " (files); made_room: ended for others while they waited for their caller.",
    "reason",
)
STREAMS = Gauge("trunkline_streams_open", "Streamed answers that are under way.")
HELD_CALLS = Gauge("trunkline_held_calls", "Calls that are held until a text is there.")
LEASES_REMEMBERED = Gauge("trunkline_leases_remembered", "Live leases whose answer is kept in memory.")
POLLS = Counter("trunkline_polls_total", "Leases looked up for polls: in memory or in the database.", "source")
PURCHASES = Counter(
    "trunkline_purchases_total",
    "Orders for a number, by what became of them: leased, or the problem code. Dry runs are left out.",
    "mode", "result",
)  # fmt: skip
VERIFICATIONS = Counter(
    "trunkline_verifications_total",
    "Starts of verifications, by what became of them: started, or the problem code. Dry runs are left out.",
    "mode",
    "result",
)
CODES_SENT = Counter(
    "trunkline_codes_sent_total", "Texts with a code that were submitted, by what became of that.", "carrier", "state"
)
TEXTS = Counter(
    "trunkline_texts_total",
    "Texts that came in and are stored, by what became of them; put_off: the carrier was told to send it again.",
    "carrier", "outcome",
)  # fmt: skip
TEXTS_SHOWN = Counter(
    "trunkline_texts_shown_total", "Texts of real carriers that a lease got, by what made them that lease's.", "by"
)
TEXTS_WAITING = Gauge("trunkline_texts_waiting", "Texts that wait for their commit.")
CARRIER_UP = Gauge("trunkline_carrier_link_up", "Whether a carrier's link is up.", "carrier", together="max")
TAIL_LAG = Gauge(
    "trunkline_tail_lag_seconds",
    "Age of what a process knows from the outbox; of several processes the greatest.",
    together="max",
)
FAN_OUT_LAG = Gauge(
    "trunkline_fan_out_lag_seconds", "Age of the oldest event that is not planned and counted yet.", together="max"
)
EVENTS_TAKEN = Counter("trunkline_fan_out_events_total", "Events planned and counted.")
DELIVERY_ATTEMPTS = Counter(
    "trunkline_webhook_attempts_total",
    "Attempts to deliver a webhook: delivered, retried (it is tried again) or failed (it is not).",
    "result",
)
ATTEMPT_DURATION = Histogram(
    "trunkline_webhook_attempt_duration_seconds",
    "Time that an attempt to deliver a webhook took.",
    bounds=ATTEMPT_SECONDS,
)
DELIVERIES_DUE = Gauge("trunkline_webhook_deliveries_due", "Deliveries whose time has come.", together="max")
DELIVERIES_LAG = Gauge(
    "trunkline_webhook_oldest_due_seconds", "How long the oldest of them has been due.", together="max"
)
DATABASE_UP = Gauge("trunkline_database_up", "Whether the database answers and may be written.", together="max")
DATABASE_BYTES = Gauge("trunkline_database_bytes", "Size of the database on disk.", together="max")
CONNECTIONS = Gauge("trunkline_database_connections", "Connections to the database: idle or in_use.", "state")
CONNECTIONS_MOST = Gauge("trunkline_database_connections_max", "Connections to the database that there may be.")
PROCESSES = Gauge("trunkline_processes", "Processes of this server whose numbers these are.")
REPORTED = Gauge(
    "trunkline_last_report_timestamp_seconds",
    "When the processes told their numbers; of several the earliest: it stands still where one hangs.",
    together="min",
)
BUILD = Gauge("trunkline_build_info", "1, with the versions as labels.", "version", "python", together="max")

# Of the operating system, where the library can read them (Linux).
PROCESS: dict[str, Counter | Gauge] = {
    each.name: each
    for each in (
        Counter("process_cpu_seconds_total", "Processor time spent."),
        Gauge("process_resident_memory_bytes", "Memory in use."),
        Gauge("process_virtual_memory_bytes", "Address space in use."),
        Gauge("process_open_fds", "Open file descriptors."),
        Gauge("process_max_fds", "File descriptors that a process may have.", together="min"),
        Gauge("process_start_time_seconds", "When the oldest process began, in Unix time.", together="min"),
    )
}

_ALL: tuple[Instrument, ...] = (
    HTTP_REQUESTS, HTTP_SECONDS, HTTP_ERRORS, HTTP_REFUSED, HTTP_DENIED, HTTP_CONNECTIONS, CONNECTIONS_REFUSED,
    LOG_DROPPED, STREAMS, HELD_CALLS, LEASES_REMEMBERED, POLLS, PURCHASES, VERIFICATIONS,
    CODES_SENT, TEXTS, TEXTS_SHOWN, TEXTS_WAITING,
    CARRIER_UP, TAIL_LAG, FAN_OUT_LAG, EVENTS_TAKEN, DELIVERY_ATTEMPTS, ATTEMPT_DURATION, DELIVERIES_DUE,
    DELIVERIES_LAG, DATABASE_UP, DATABASE_BYTES, CONNECTIONS, CONNECTIONS_MOST, PROCESSES, REPORTED, BUILD,
    *PROCESS.values(),
)  # fmt: skip
INSTRUMENTS = {each.name: each for each in _ALL}

for found, labels in (
    (HTTP_ERRORS, ("internal_error", "database_away")),
    (HTTP_REFUSED, ("rate_limited",)),
    (HTTP_DENIED, ("invalid_key", "insufficient_scope")),
    (CONNECTIONS_REFUSED, ("too_many_connections", "unavailable", "files", "made_room")),
    (POLLS, ("memory", "database")),
    (DELIVERY_ATTEMPTS, ("delivered", "retried", "failed")),
):
    for label in labels:
        found.add(0, label)  # there before it has happened once: whoever watches sees the first time too
STREAMS.set(0)
HELD_CALLS.set(0)

_requests: dict[tuple[str, str, int], list[float]] = {}  # count, sum of seconds, and the count in each bucket


def request_ended(route: str, method: str, status: int, seconds: float | None) -> None:
    """Counts a request. ``route`` is a pattern; ``seconds`` None: it took as long as its caller wanted.

    On the way of every request, so one dict is all that it touches.
    """
    found = _requests.get((route, method, status))
    if found is None:
        found = _requests.setdefault(
            (route, method if method in METHODS else "other", status), [0.0] * (len(REQUEST_SECONDS) + 3)
        )
    found[0] += 1
    if seconds is not None:
        found[1] += seconds
        found[2 + bisect_left(REQUEST_SECONDS, seconds)] += 1


def snapshot() -> Snapshot:
    """Everything that this process has counted, as a copy."""
    taken = {name: instrument.series() for name, instrument in INSTRUMENTS.items()}
    requests, seconds = taken[HTTP_REQUESTS.name], taken[HTTP_SECONDS.name]
    for (route, method, status), (count, *spread) in _requests.items():
        requests[route, method, str(status)] = [count]
        if any(spread[1:]):
            labels = (route, method, f"{status // 100}xx")
            known = seconds.get(labels)
            seconds[labels] = spread if known is None else [a + b for a, b in zip(known, spread, strict=True)]
    return taken


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Several processes as one: counters and histograms add up, gauges do as they mean."""
    merged: Snapshot = {}
    for each in snapshots:
        for name, series in each.items():
            instrument = INSTRUMENTS.get(name)
            together = instrument.together if isinstance(instrument, Gauge) else "sum"
            into = merged.setdefault(name, {})
            for labels, values in series.items():
                known = into.get(labels)
                if known is None:
                    into[labels] = values.copy()
                elif together == "sum":
                    into[labels] = [a + b for a, b in zip(known, values, strict=True)]
                else:
                    into[labels] = [(max if together == "max" else min)(known[0], values[0])]
    return merged


def lasting(taken: Snapshot) -> Snapshot:
    """What remains of a process that has ended: what it counted, and not how things stood."""
    return {name: series for name, series in taken.items() if not isinstance(INSTRUMENTS.get(name), Gauge)}
