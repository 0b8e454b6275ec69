"""Whoever reads the log may stand still: the server answers, ends when it is told to, and says what was lost."""

import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import requests
from tests.conftest import END_SECONDS, Trunkline

from trunkline import log_queue, metrics
from trunkline.log_queue import LogQueue

SECONDS = 60


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """As a shell or a collector of logs lays it; nobody reads."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def fill(descriptor: int) -> int:
    """Leaves no room for a single byte; how many there are now."""
    os.set_blocking(descriptor, False)
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += os.write(descriptor, b"x")
    os.set_blocking(descriptor, True)
    return filled


def queue(descriptor: int) -> tuple[LogQueue, logging.Logger]:
    made = LogQueue(descriptor)
    logger = logging.Logger("trunkline.test")
    logger.addHandler(made)
    return made, logger


def read_lines(descriptor: int) -> list[str]:
    with open(descriptor, encoding="utf-8", closefd=False) as reading:
        return reading.read().splitlines()


def test_a_server_whose_log_nobody_reads_answers_and_ends_in_order(trunkline: Trunkline, pipe: tuple[int, int]) -> None:
    _, writing = pipe
    fill(writing)
    process = subprocess.Popen(
        [sys.executable, "-m", "trunkline", "serve", "--port", "0"],
        env=trunkline.environment, stdout=subprocess.PIPE, stderr=writing, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        base = process.stdout.readline().split()[-1]
        for _ in range(3):
            assert requests.get(f"{base}/healthz", timeout=SECONDS).status_code == 200
            refused = requests.get(f"{base}/api/v1/account", timeout=SECONDS)  # which is a line in the log
            assert refused.status_code == 401
        process.terminate()
        assert process.wait(END_SECONDS) == 0
    finally:
        process.kill()
        process.wait(SECONDS)
        process.stdout.close()


def test_lines_without_room_are_dropped_counted_and_told_of(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_queue, "MOST_BYTES", 10_000)
    before = metrics.LOG_DROPPED.value()
    reading, writing = pipe
    filled = fill(writing)
    made, logger = queue(writing)
    for number in range(200):
        logger.warning("line %03d %s", number, "y" * 90)
    dropped = metrics.LOG_DROPPED.value() - before
    assert 90 < dropped < 110
    assert os.read(reading, filled) == b"x" * filled
    made.close()
    os.close(writing)
    lines = read_lines(reading)
    [told] = [line for line in lines if "dropped" in line]
    assert f"{dropped:.0f} lines of the log were dropped" in told
    kept = [line for line in lines if line != told]
    assert [line[:8] for line in kept] == [f"line {number:03d}" for number in range(200 - int(dropped))]


def test_what_was_logged_is_written_before_a_process_ends(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    program = (
        "import logging; from trunkline import logs; logs.configure('text', 'info')\n"
        "for number in range(2000): logging.info('line %d', number)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=writing)
    os.close(writing)
    assert len(read_lines(reading)) == 2000
    assert process.wait(SECONDS) == 0


def test_a_reader_who_goes_away_stops_nobody(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    made, logger = queue(writing)
    os.close(reading)
    before = metrics.LOG_DROPPED.value()
    logger.warning("for nobody")
    made.close()
    assert metrics.LOG_DROPPED.value() == before + 1


def test_whoever_shares_the_descriptor_may_have_made_it_nonblocking(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    made, logger = queue(writing)
    reader: list[str] = []
    thread = threading.Thread(target=lambda: reader.extend(read_lines(reading)))
    for number in range(3000):
        logger.warning("line %04d %s", number, "y" * 90)
    thread.start()
    made.close()
    os.close(writing)
    thread.join(SECONDS)
    assert [line[:9] for line in reader] == [f"line {number:04d}" for number in range(3000)]
