"""``--workers``: processes that share a port, and end with the one that started them."""

import os
import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import pytest
import requests

from tests.conftest import Serve, Server, Trunkline

PATIENCE_SECONDS = 90.0

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="children are looked up in /proc"),
]


def children_of(server: Server) -> list[int]:
    """Those that serve."""
    listed = subprocess.run(["ps", "-wweo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    lines = [line.split(None, 2) for line in listed.splitlines()]
    return [int(pid) for pid, parent, line in lines if int(parent) == server.process.pid and "--metrics-folder" in line]


def lives(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_processes_end_when_their_supervisor_is_killed_and_leave_the_port(serve: Serve) -> None:
    server = serve("--workers", "2")
    port = int(server.base.rpartition(":")[2])
    children = children_of(server)
    assert len(children) == 4
    server.kill()
    until(lambda: not any(lives(pid) for pid in children), "all of them end")
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_server_can_be_started_again_on_the_port_of_a_killed_one(serve: Serve, trunkline: Trunkline) -> None:
    server = serve("--workers", "2")
    port = server.base.rpartition(":")[2]
    server.kill()
    again = serve("--workers", "2", "--port", port)
    assert again.base == server.base
    headers = {"Authorization": f"Bearer {trunkline.customer().live_key}"}
    assert requests.get(f"{again.api}/account", headers=headers, timeout=60).status_code == 200


def test_a_process_that_is_killed_again_and_again_is_started_after_longer_and_longer_pauses(serve: Serve) -> None:
    server = serve("--workers", "2")
    for ends in range(1, 4):
        os.kill(children_of(server)[-1], signal.SIGKILL)
        until(lambda n=ends: server.log.read_text().count("it is started again in") == n, "it is noticed")  # type: ignore[misc]
        until(lambda: len(children_of(server)) == 4, "it is started again")
    pauses = [
        float(line.rpartition("again in ")[2].split()[0])
        for line in server.log.read_text().splitlines()
        if "it is started again in" in line
    ]
    assert pauses == sorted(pauses)
    assert server.stop() == 0


@pytest.mark.parametrize("words", [(), ("--workers", "2")])
def test_being_told_to_end_more_than_once_is_no_failure(serve: Serve, words: tuple[str, ...]) -> None:
    server = serve(*words)
    while server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.02)  # another one at every stage of its end
    assert server.process.returncode == 0
