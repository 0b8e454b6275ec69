"""The embedded PostgreSQL: shared by all who use a data directory, gone when the last of them is."""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import time

import asyncpg
import pytest

from trunkline.errors import OperatorError
from trunkline.storage import embedded, keeper

USER = """
import pathlib, sys, time
from trunkline.storage import embedded
server = embedded.start(pathlib.Path(sys.argv[1]))
print(server.url, flush=True)
time.sleep(600)
"""


def _user(data_dir: pathlib.Path) -> "tuple[subprocess.Popen[str], str]":
    process = subprocess.Popen([sys.executable, "-c", USER, str(data_dir)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def _kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert process.stdout is not None
    process.stdout.close()


async def _ask(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        answer: int = await connection.fetchval("SELECT 1")
        return answer
    finally:
        await connection.close()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="a Unix test")
def test_the_server_outlives_a_killed_user_and_stops_after_the_last(tmp_path: pathlib.Path) -> None:
    first, url = _user(tmp_path / "data")
    second, same = _user(tmp_path / "data")
    assert url == same
    _kill(first)
    assert asyncio.run(_ask(url)) == 1
    _kill(second)
    embedded.wait_until_stopped(tmp_path / "data")
    with pytest.raises(OSError, match=r"."):
        asyncio.run(_ask(url))


def test_a_server_that_was_killed_itself_is_started_again(tmp_path: pathlib.Path) -> None:
    server = embedded.start(tmp_path / "data")
    pid = int((tmp_path / "data" / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    while keeper.is_postmaster(pid):
        time.sleep(0.01)
    server.release()
    again = embedded.start(tmp_path / "data")
    assert asyncio.run(_ask(again.url)) == 1
    again.release()
    embedded.wait_until_stopped(tmp_path / "data")


def test_a_path_too_long_for_a_socket_works(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / ("long-" * 20) / ("longer-" * 10)
    server = embedded.start(folder)
    assert asyncio.run(_ask(server.url)) == 1
    server.release()
    embedded.wait_until_stopped(folder)


def test_nobody_else_can_reach_the_socket_or_list_the_folders(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o700)
    server = embedded.start(tmp_path / "data")
    assert (tmp_path / "data" / "postgres").stat().st_mode & 0o077 == 0
    for folder in (tmp_path, tmp_path / "data"):
        assert folder.stat().st_mode & 0o066 == 0
    server.release()
    embedded.wait_until_stopped(tmp_path / "data")


def test_a_directory_that_cannot_be_used_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OperatorError, match="cannot be used"):
        embedded.start(tmp_path / "file" / "data")
