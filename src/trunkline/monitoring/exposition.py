"""Metrics as Prometheus reads them, of this process and of those that serve beside it.

Processes that share a port are scraped at random, so whoever is asked tells of all: each writes what it has counted
into a file of its own, every second and before it answers a scrape, so that no counter is ever seen to go back. The
process that started them keeps the counters of those that have ended.
"""

import asyncio
import contextlib
import logging
import os
import pathlib
import platform
import secrets
import time
from collections.abc import Callable, Iterator

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from trunkline import metrics
from trunkline.metrics import Gauge, Histogram, Series, Snapshot

log = logging.getLogger("trunkline.metrics")

WRITE_SECONDS = 1.0
SUFFIX = ".metrics"
ENDED = "ended"
MOST_NAMES = 100  # of folded files, remembered for whoever is reading at that moment


class Ended(msgspec.Struct):
    """What processes that have ended had counted, and whose files that includes."""

    counted: Snapshot
    files: list[str]


class Exposition:
    """What is shown. ``look`` sets the gauges of this process; ``folder`` is shared with the processes beside it."""

    def __init__(self, look: Callable[[], None], *, version: str, folder: pathlib.Path | None = None) -> None:
        self._look = look
        self._folder = folder
        self._own = f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"  # process ids come again
        self._writing = asyncio.Lock()
        self._collector = ProcessCollector(registry=CollectorRegistry())
        metrics.BUILD.set(1, version, platform.python_version())
        metrics.PROCESSES.set(1)

    async def run(self) -> None:
        """Writes what this process has counted, until cancelled."""
        if self._folder is None:
            return
        try:
            while True:
                try:
                    await self._write()
                except OSError as error:
                    log.warning("metrics cannot be written for the processes beside this one: %s", error)
                await asyncio.sleep(WRITE_SECONDS)
        finally:
            with contextlib.suppress(OSError):
                _replace(self._folder / self._own, msgspec.msgpack.encode(self._taken()))

    async def text(self, accept: str, beside: Snapshot) -> tuple[str, bytes]:
        """The content type that suits ``accept``, and the text; ``beside`` is what is known of the database."""
        together = self._taken()
        if self._folder is not None:
            try:
                await self._write()
                together = await asyncio.to_thread(_all, self._folder)
            except OSError as error:
                log.warning("only the metrics of this process are shown: %s", error)
        encode, content_type = _encoder(accept)
        return content_type, await asyncio.to_thread(_text, encode, metrics.merge([together, beside]))

    def _taken(self) -> Snapshot:
        self._look()
        for family in self._collector.collect():
            for sample in family.samples:
                if sample.name in metrics.PROCESS:
                    metrics.PROCESS[sample.name].reached(sample.value)
        metrics.REPORTED.set(time.time())
        return metrics.snapshot()

    async def _write(self) -> None:
        assert self._folder is not None
        async with self._writing:
            octets = msgspec.msgpack.encode(self._taken())
            await asyncio.to_thread(_replace, self._folder / self._own, octets)


def _replace(path: pathlib.Path, octets: bytes) -> None:
    """A reader sees the file as it was or as it is now, never a part."""
    beside = path.with_suffix(".new")
    beside.write_bytes(octets)
    beside.replace(path)


def _read(path: pathlib.Path) -> Snapshot:
    return msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)


def _ended(folder: pathlib.Path) -> Ended:
    try:
        return msgspec.msgpack.decode((folder / ENDED).read_bytes(), type=Ended)
    except FileNotFoundError:
        return Ended({}, [])


def _all(folder: pathlib.Path) -> Snapshot:
    living = {}
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            living[path.name] = _read(path)
        except FileNotFoundError:  # it was folded at this moment
            continue
    ended = _ended(folder)  # after the others: what is in neither is in no file
    return metrics.merge([*(each for name, each in living.items() if name not in ended.files), ended.counted])


def fold(folder: pathlib.Path, process_id: int) -> None:
    """Keeps what a process that has ended had counted. Called by one process alone, the one that started it."""
    for path in folder.glob(f"{process_id}-*{SUFFIX}"):
        ended = _ended(folder)
        if path.name not in ended.files:
            counted = metrics.merge([ended.counted, metrics.lasting(_read(path))])
            names = [*ended.files, path.name][-MOST_NAMES:]
            _replace(folder / ENDED, msgspec.msgpack.encode(Ended(counted, names)))
        path.unlink()


def _encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    try:
        return choose_encoder(accept)
    except TypeError:  # the library compares a version that is none
        return choose_encoder("")


class _Once:
    """A collector of what is there already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _text(encode: Callable[[CollectorRegistry], bytes], shown: Snapshot) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(list(_families(shown))))
    return encode(registry)


def _families(shown: Snapshot) -> Iterator[Metric]:
    for name, instrument in metrics.INSTRUMENTS.items():
        series = shown.get(name, {})
        if isinstance(instrument, Histogram):
            yield _histogram(instrument, series)
            continue
        kind = GaugeMetricFamily if isinstance(instrument, Gauge) else CounterMetricFamily
        family = kind(name, instrument.meaning, labels=instrument.labels)
        for labels, values in series.items():
            family.add_metric(labels, values[0])
        yield family


def _histogram(instrument: Histogram, series: Series) -> Metric:
    family = HistogramMetricFamily(instrument.name, instrument.meaning, labels=instrument.labels)
    for labels, (total, *counts) in series.items():
        buckets, below = [], 0.0
        for bound, count in zip([*map(str, instrument.bounds), "+Inf"], counts, strict=True):
            below += count
            buckets.append((bound, below))
        family.add_metric(labels, buckets, total)
    return family
