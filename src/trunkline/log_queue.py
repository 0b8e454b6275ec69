"""A bounded queue between those who log and a file descriptor, with a listener thread that alone waits for its reader.

The pattern is that of logging's QueueHandler and QueueListener. Theirs is bounded by records, of which one may be a
megabyte; theirs writes through ``sys.stderr``, whose lock a process that ends would wait for.
"""

import atexit
import logging
import os
import select
import threading
import time
from collections import deque

from trunkline import metrics

MOST_BYTES = 4 * 1024 * 1024  # that wait for a reader
LONGEST_LINE = 64 * 1024  # of which the rest is cut off
CLOSE_SECONDS = 2.0  # that the end of a process waits for what is not read yet


class LogQueue(logging.Handler):
    """Whoever logs never waits: where there is no room a line is dropped and counted; later a line says how many."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._changed = threading.Condition(threading.Lock())
        self._closing = False
        self._thread = threading.Thread(target=self._listen, name="log", daemon=True)  # the end waits for no reader
        self._thread.start()
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode(errors="backslashreplace")
        except Exception:
            self._drop()
            return
        if len(line) > LONGEST_LINE:
            line = line[:LONGEST_LINE] + b"..."
        with self._changed:
            if self._bytes + len(line) > MOST_BYTES or self._closing:
                self._count_dropped(1)
                return
            self._lines.append(line + b"\n")
            self._bytes += len(line) + 1
            self._changed.notify()

    def close(self) -> None:
        """Writes what waits, as far as somebody reads it within CLOSE_SECONDS."""
        with self._changed:
            is_first = not self._closing
            self._closing = True
            self._changed.notify()
        if is_first:
            self._thread.join(CLOSE_SECONDS)
        super().close()

    def _drop(self) -> None:
        with self._changed:
            self._count_dropped(1)

    def _count_dropped(self, count: int) -> None:
        self._dropped += count
        metrics.LOG_DROPPED.add(count)

    def _listen(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._closing:
                    self._changed.wait()
                if not self._lines:
                    return
                line = self._lines[0]  # it counts until it is written
            written = self._write(line)
            with self._changed:
                self._lines.popleft()
                self._bytes -= len(line)
                if not written:
                    self._count_dropped(1)
                elif self._dropped and self._bytes < MOST_BYTES // 2:
                    self._say_dropped()

    def _say_dropped(self) -> None:
        words = f"{self._dropped} lines of the log were dropped: nobody read them in time"
        record = logging.LogRecord("trunkline.log", logging.WARNING, "", 0, words, (), None)
        line = self.format(record).encode() + b"\n"
        self._dropped = 0
        self._lines.appendleft(line)
        self._bytes += len(line)

    def _write(self, line: bytes) -> bool:
        """False for a line that cannot be written: the reader is gone, or the disk below is full."""
        view = memoryview(line)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:  # whoever shares the descriptor made it so
                select.select([], [self._descriptor], [])
            except OSError:
                time.sleep(0.01)
                return False
        return True
