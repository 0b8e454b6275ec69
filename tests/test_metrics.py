"""What is counted: processes add up to one server, ended ones are not forgotten, and the documents are true."""

import pathlib
import re
import threading

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from trunkline import metrics
from trunkline.metrics import Counter, Gauge, Histogram, Snapshot
from trunkline.monitoring.exposition import Exposition, _all, fold

DOCUMENT = pathlib.Path(__file__).parent.parent / "docs" / "monitoring.md"

_carriers = st.sampled_from([("north", "delivered"), ("north", "late"), ("south", "delivered")])
_whole = st.integers(0, 1000).map(float)
_spread = st.lists(_whole, min_size=len(metrics.ATTEMPT_SECONDS) + 2, max_size=len(metrics.ATTEMPT_SECONDS) + 2)
_snapshots = st.fixed_dictionaries(
    {
        metrics.TEXTS.name: st.dictionaries(_carriers, _whole.map(lambda value: [value])),
        metrics.STREAMS.name: st.fixed_dictionaries({(): _whole.map(lambda value: [value])}),
        metrics.TAIL_LAG.name: st.dictionaries(st.just(()), _whole.map(lambda value: [value])),
        metrics.REPORTED.name: st.fixed_dictionaries({(): _whole.map(lambda value: [value])}),
        metrics.ATTEMPT_DURATION.name: st.dictionaries(st.just(()), _spread),
    }
)


@settings(max_examples=50)
@given(st.lists(_snapshots, min_size=1, max_size=5))
def test_several_processes_are_as_one_that_did_it_all(taken: list[Snapshot]) -> None:
    before = msgspec.msgpack.encode(taken)
    together = metrics.merge(taken)
    for labels in {labels for each in taken for labels in each[metrics.TEXTS.name]}:
        added = sum(each[metrics.TEXTS.name].get(labels, [0.0])[0] for each in taken)
        assert together[metrics.TEXTS.name][labels] == [added]
    assert together[metrics.STREAMS.name][()] == [sum(each[metrics.STREAMS.name][()][0] for each in taken)]
    assert together[metrics.REPORTED.name][()] == [min(each[metrics.REPORTED.name][()][0] for each in taken)]
    lags = [each[metrics.TAIL_LAG.name][()][0] for each in taken if each[metrics.TAIL_LAG.name]]
    assert together[metrics.TAIL_LAG.name] == ({(): [max(lags)]} if lags else {})
    spreads = [each[metrics.ATTEMPT_DURATION.name][()] for each in taken if each[metrics.ATTEMPT_DURATION.name]]
    if spreads:
        assert together[metrics.ATTEMPT_DURATION.name][()] == [sum(column) for column in zip(*spreads, strict=True)]
    assert metrics.merge([metrics.merge(taken[:2]), *taken[2:]]) == together == metrics.merge(reversed(taken))
    assert msgspec.msgpack.encode(taken) == before  # nothing of it was changed


def test_a_process_that_has_ended_is_remembered_by_what_it_counted_alone() -> None:
    taken: Snapshot = {metrics.TEXTS.name: {("north", "late"): [3.0]}, metrics.STREAMS.name: {(): [5.0]}}
    assert metrics.lasting(taken) == {metrics.TEXTS.name: {("north", "late"): [3.0]}}


def test_a_value_on_a_bound_is_in_its_bucket_and_one_beyond_all_bounds_is_counted_too() -> None:
    spread = Histogram("some_seconds", "", bounds=(0.1, 1.0))
    for value in (0.05, 0.1, 0.100001, 1.0, 7.0):
        spread.observe(value)
    [(total, *counts)] = spread.series().values()
    assert counts == [2, 2, 1]
    assert total == pytest.approx(8.250001)
    assert spread.count() == 5


def test_requests_are_counted_by_code_and_timed_by_class_and_held_ones_are_not_timed() -> None:
    for status, seconds in ((200, 0.002), (204, 0.002), (200, None), (404, 3.0)):
        metrics.request_ended("/a/{test}", "GET", status, seconds)
    metrics.request_ended("/a/{test}", "BREW", 405, 0.0)
    taken = metrics.snapshot()
    counted = {
        labels[1:]: value for labels, [value] in taken[metrics.HTTP_REQUESTS.name].items() if labels[0] == "/a/{test}"
    }
    assert counted == {("GET", "200"): 2, ("GET", "204"): 1, ("GET", "404"): 1, ("other", "405"): 1}
    timed = {labels[1:]: sum(spread[1:]) for labels, spread in taken[metrics.HTTP_SECONDS.name].items()
             if labels[0] == "/a/{test}"}  # fmt: skip
    assert timed == {("GET", "2xx"): 2, ("GET", "4xx"): 1, ("other", "4xx"): 1}


@pytest.mark.asyncio
async def test_the_table_in_the_documents_names_every_metric_as_it_is_shown() -> None:
    _, text = await Exposition(lambda: None, version="1").text("", {})
    shown = {family.name: family.type for family in text_string_to_metric_families(text.decode())}
    documented = {}
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\|", DOCUMENT.read_text(), re.MULTILINE):
        documented[name] = (kind, tuple(re.findall(r"`(\w+)`", labels)))
    assert documented == {name: (_kind(each), each.labels) for name, each in metrics.INSTRUMENTS.items()}
    assert shown == {name.removesuffix("_total"): kind for name, (kind, _) in documented.items()}


def _kind(instrument: metrics.Instrument) -> str:
    if isinstance(instrument, Gauge):
        return "gauge"
    return "counter" if isinstance(instrument, Counter) else "histogram"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain;version=0.0.4",
        "text/plain; version=nonsense",
        "application/openmetrics-text; version=1.a",
    ],
)
async def test_whatever_a_scraper_asks_for_it_gets_something(accept: str) -> None:
    content_type, text = await Exposition(lambda: None, version="1").text(accept, {})
    assert content_type.startswith(("text/plain", "application/openmetrics-text"))
    assert b"trunkline_build_info" in text


@pytest.mark.asyncio
async def test_where_the_shared_folder_is_gone_a_process_tells_of_itself(tmp_path: pathlib.Path) -> None:
    alone = Exposition(lambda: None, version="1", folder=tmp_path / "gone")
    _, text = await alone.text("", {})
    assert b"trunkline_processes 1.0" in text


def _wrote(folder: pathlib.Path, name: str, texts: float) -> None:
    taken: Snapshot = {metrics.TEXTS.name: {("north", "late"): [texts]}, metrics.PROCESSES.name: {(): [1.0]}}
    (folder / f"{name}.metrics").write_bytes(msgspec.msgpack.encode(taken))


def test_what_ended_processes_counted_stays_and_a_process_id_that_comes_again_is_another_process(
    tmp_path: pathlib.Path,
) -> None:
    _wrote(tmp_path, "7-aa", 10)
    _wrote(tmp_path, "77-bb", 100)
    fold(tmp_path, 7)
    fold(tmp_path, 7)
    _wrote(tmp_path, "7-cc", 1)
    together = _all(tmp_path)
    assert together[metrics.TEXTS.name] == {("north", "late"): [111.0]}
    assert together[metrics.PROCESSES.name] == {(): [2.0]}


def test_who_reads_while_a_process_is_laid_to_rest_counts_it_once(tmp_path: pathlib.Path) -> None:
    generations = 100
    for generation in range(generations):
        _wrote(tmp_path, f"{1000 + generation}-aa", 1)
    seen = set()
    over = threading.Event()

    def read() -> None:
        is_over = False
        while not is_over:
            is_over = over.is_set()  # looked at first: who comes late reads once too
            seen.add(_all(tmp_path)[metrics.TEXTS.name]["north", "late"][0])

    reader = threading.Thread(target=read)
    reader.start()
    for generation in range(generations):
        fold(tmp_path, 1000 + generation)
    over.set()
    reader.join()
    assert seen == {generations}
    assert [path.name for path in tmp_path.iterdir()] == ["ended"]
