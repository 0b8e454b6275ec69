"""The embedded PostgreSQL heals: whoever ends it or its keeper, it is there again, once, and for its users only."""

import asyncio
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.conftest import Customer, Serve, Server, Trunkline
from trunkline.errors import OperatorError
from trunkline.storage import embedded, keeper
from trunkline.storage.embedded import EmbeddedServer

PATIENCE_SECONDS = 60.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def data_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data"


@pytest.fixture
def settings(data_dir: pathlib.Path) -> dict[str, str]:
    """Of a product with its own database in a folder."""
    return {"TRUNKLINE_DATABASE_URL": "", "TRUNKLINE_DATA_DIR": str(data_dir)}


@pytest.fixture
def operator(trunkline: Trunkline, settings: dict[str, str]) -> Trunkline:
    return Trunkline(trunkline.environment | settings)


def postmaster(data_dir: pathlib.Path) -> int:
    return int((data_dir / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])


def processes_of(data_dir: pathlib.Path, program: str) -> list[int]:
    """The numbers of the living processes whose command line names a program and the data directory."""
    listed = subprocess.run(["ps", "-wweo", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    lines = [line.split(None, 2) for line in listed.splitlines()]
    return [
        int(pid)
        for pid, state, line in lines
        if program in line and str(data_dir) in line and not state.startswith("Z")
    ]


def keepers(data_dir: pathlib.Path) -> list[int]:
    return processes_of(data_dir, "keeper.py")


def postmasters(data_dir: pathlib.Path) -> list[int]:
    """Without their children, which have the same name until they take one of their own."""
    found = processes_of(data_dir, "bin/postgres -D")
    return [each for each in found if _parent(each) not in found]


def _parent(pid: int) -> int:
    shown = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(shown.stdout.strip() or 0)


def is_replaced(data_dir: pathlib.Path, pid: int) -> bool:
    """Whether another postmaster than this one runs; its children may answer for a moment after it was killed."""
    return len(postmasters(data_dir)) == 1 and postmasters(data_dir) != [pid]


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def balance(server: Server, customer: Customer) -> int:
    headers = {"Authorization": f"Bearer {customer.live_key}"}
    return requests.get(f"{server.api}/account", headers=headers, timeout=60).status_code


def serves_again(server: Server, customer: Customer) -> None:
    until(lambda: balance(server, customer) == 200, "it serves again")


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def stopped_at_once(pid: int) -> None:
    os.kill(pid, signal.SIGQUIT)  # as pg_ctl -m immediate


def stopped_by_somebody(pid: int) -> None:
    os.kill(pid, signal.SIGINT)  # as pg_ctl -m fast


@pytest.mark.parametrize("end", [killed, stopped_at_once, stopped_by_somebody])
def test_a_running_server_starts_its_database_again(
    serve: Serve, operator: Trunkline, settings: dict[str, str], data_dir: pathlib.Path, end: Callable[[int], None]
) -> None:
    server = serve(**settings)
    customer = operator.customer()
    before = postmaster(data_dir)
    end(before)
    until(lambda: is_replaced(data_dir, before), "there is another one")
    serves_again(server, customer)
    assert requests.get(f"{server.base}/readyz", timeout=60).status_code == 200
    assert operator("ledger", "verify")["ok"]
    assert "the embedded PostgreSQL is gone; it is started again" in server.log.read_text()
    assert server.stop() == 0
    embedded.wait_until_stopped(data_dir)
    until(lambda: postmasters(data_dir) == keepers(data_dir) == [], "both have ended")


def test_many_processes_that_heal_one_database_start_it_once(
    serve: Serve, operator: Trunkline, settings: dict[str, str], data_dir: pathlib.Path
) -> None:
    server = serve("--workers", "2", **settings)
    customer = operator.customer()
    for _ in range(3):
        before = postmaster(data_dir)
        killed(before)
        until(lambda pid=before: is_replaced(data_dir, pid), "there is another one")  # type: ignore[misc]
        serves_again(server, customer)
        until(lambda: len(postmasters(data_dir)) == len(keepers(data_dir)) == 1, "there is one of each")
    assert server.stop() == 0
    embedded.wait_until_stopped(data_dir)
    until(lambda: postmasters(data_dir) == keepers(data_dir) == [], "both have ended")


def test_a_keeper_that_was_killed_is_replaced_and_the_database_stops_after_its_last_user(
    serve: Serve, operator: Trunkline, settings: dict[str, str], data_dir: pathlib.Path
) -> None:
    server = serve(**settings)
    customer = operator.customer()
    [before] = keepers(data_dir)
    killed(before)
    until(lambda: len(keepers(data_dir)) == 1 and keepers(data_dir) != [before], "there is a new one")
    serves_again(server, customer)
    until(lambda: len(postmasters(data_dir)) == 1, "there is one")
    server.kill()
    embedded.wait_until_stopped(data_dir)
    until(lambda: postmasters(data_dir) == keepers(data_dir) == [], "both have ended")


def test_a_database_whose_keeper_and_users_are_killed_at_once_ends(data_dir: pathlib.Path) -> None:
    if not os.path.exists("/proc/self"):
        pytest.skip("only Linux tells a child that its parent has died")
    server = embedded.start(data_dir)
    [pid] = keepers(data_dir)
    killed(pid)
    server.release()
    until(lambda: postmasters(data_dir) == [], "PostgreSQL ends with its keeper")
    again = embedded.start(data_dir)  # and its next user finds everything as it should be
    until(lambda: len(postmasters(data_dir)) == 1, "there is one")
    again.release()
    embedded.wait_until_stopped(data_dir)


def test_a_server_that_somebody_else_has_left_running_is_taken_over(data_dir: pathlib.Path) -> None:
    first = embedded.start(data_dir)
    first.release()
    embedded.wait_until_stopped(data_dir)
    owner = (data_dir / "postgres").stat()
    is_root = os.geteuid() == 0
    subprocess.run(
        [embedded.programs() / "pg_ctl", "-D", data_dir / "postgres" / "data", "-w", "-s", "-l", "/dev/null", "start"],
        user=owner.st_uid if is_root else None, group=owner.st_gid if is_root else None,
        extra_groups=[] if is_root else None, cwd="/", check=True,
    )  # fmt: skip
    left = postmaster(data_dir)
    second = embedded.start(data_dir)
    assert postmaster(data_dir) == left
    until(lambda: len(keepers(data_dir)) == 1, "there is one")
    second.release()
    embedded.wait_until_stopped(data_dir)
    until(lambda: postmasters(data_dir) == [], "it has ended")


@pytest.fixture
def spoilt(data_dir: pathlib.Path) -> Iterator[pathlib.Path]:
    """A data directory whose settings PostgreSQL refuses."""
    embedded.start(data_dir).release()
    embedded.wait_until_stopped(data_dir)
    spoil(data_dir)
    yield data_dir
    until(lambda: postmasters(data_dir) == keepers(data_dir) == [], "nothing that was begun is left")


def spoil(data_dir: pathlib.Path) -> None:
    with open(data_dir / "postgres" / "data" / "postgresql.conf", "a") as file:
        file.write("\nmax_connections = many\n")


def mend(data_dir: pathlib.Path) -> None:
    file = data_dir / "postgres" / "data" / "postgresql.conf"
    file.write_text(file.read_text().replace("max_connections = many", ""))


def test_a_start_that_fails_says_why_in_one_line_and_leaves_nothing_running(spoilt: pathlib.Path) -> None:
    for _ in range(2):
        with pytest.raises(OperatorError, match=r"max_connections.*many") as refused:
            embedded.start(spoilt)
        assert "\n" not in refused.value.detail
    until(lambda: keepers(spoilt) == [], "the keeper ends too")


def test_a_start_that_fails_after_the_database_is_up_leaves_nothing_running(data_dir: pathlib.Path) -> None:
    embedded.start(data_dir).release()
    embedded.wait_until_stopped(data_dir)
    (data_dir / "postgres" / "data" / "pg_hba.conf").write_text("local all all reject\n")
    with pytest.raises(OperatorError, match=r"psql: .*pg_hba"):
        embedded.start(data_dir)
    until(lambda: postmasters(data_dir) == keepers(data_dir) == [], "nothing is left")


def test_a_data_folder_that_others_can_read_is_refused_and_nothing_is_left_running(data_dir: pathlib.Path) -> None:
    embedded.start(data_dir).release()
    embedded.wait_until_stopped(data_dir)
    (data_dir / "postgres" / "data").chmod(0o777)
    with pytest.raises(OperatorError, match="invalid permissions"):
        embedded.start(data_dir)
    until(lambda: postmasters(data_dir) == keepers(data_dir) == [], "nothing is left")


def test_a_user_that_is_killed_while_the_database_is_made_leaves_nothing_running(
    operator: Trunkline, data_dir: pathlib.Path
) -> None:
    starting = subprocess.Popen(
        [sys.executable, "-m", "trunkline", "account", "create", "somebody@example.com"],
        env=operator.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: keepers(data_dir) != [], "it is on its way")
    starting.kill()
    starting.wait(PATIENCE_SECONDS)
    until(lambda: postmasters(data_dir) == keepers(data_dir) == [], "nothing is left")
    customer = operator.customer()
    assert operator("account", "show", customer.email)["balance"] == 5


def test_a_database_that_cannot_be_started_is_tried_again_with_a_line_each_time_until_it_can(
    serve: Serve, operator: Trunkline, settings: dict[str, str], data_dir: pathlib.Path
) -> None:
    server = serve(**settings)
    customer = operator.customer()
    spoil(data_dir)
    killed(postmaster(data_dir))
    until(lambda: server.log.read_text().count("It is tried again in") >= 2, "each attempt is told of")
    ready = requests.get(f"{server.base}/readyz", timeout=60)
    assert ready.status_code == 503
    assert balance(server, customer) == 503
    lines = [line for line in server.log.read_text().splitlines() if "It is tried again in" in line]
    assert all("max_connections" in line for line in lines)
    pauses = [int(line.split("It is tried again in ")[1].split()[0]) for line in lines]
    assert pauses == sorted(pauses)
    until(lambda: postmasters(data_dir) == [], "it has ended")
    mend(data_dir)
    serves_again(server, customer)


def test_a_number_that_went_from_a_killed_database_to_another_process_is_no_obstacle(data_dir: pathlib.Path) -> None:
    """As in a container, where numbers are given again at once."""
    server = embedded.start(data_dir)
    [pid] = keepers(data_dir)
    file = data_dir / "postgres" / "data" / "postmaster.pid"
    lines = file.read_text().splitlines()
    killed(pid)
    with contextlib.suppress(ProcessLookupError):
        killed(int(lines[0]))
    until(lambda: postmasters(data_dir) == [], "it is gone")
    owner = file.parent.stat()
    is_root = os.geteuid() == 0
    somebody = subprocess.Popen(["sleep", "600"], user=owner.st_uid if is_root else None)
    try:
        file.write_text("\n".join([str(somebody.pid), *lines[1:], ""]))
        os.chown(file, owner.st_uid, owner.st_gid)
        server.ensure_running()
        until(lambda: len(postmasters(data_dir)) == 1, "there is one")
    finally:
        somebody.kill()
        somebody.wait(PATIENCE_SECONDS)
    server.release()
    embedded.wait_until_stopped(data_dir)


def test_it_is_a_postmaster_only_if_it_lives_and_is_postgresql() -> None:
    assert not keeper.is_postmaster(os.getpid())
    ended = subprocess.Popen(["true"])
    ended.wait(PATIENCE_SECONDS)
    assert not keeper.is_postmaster(ended.pid)


@pytest.mark.asyncio
async def test_a_watch_that_is_ended_in_the_middle_of_a_start_waits_for_nothing(data_dir: pathlib.Path) -> None:
    server: EmbeddedServer = await asyncio.to_thread(embedded.start, data_dir)
    watch = asyncio.create_task(server.watch())
    killed(postmaster(data_dir))
    await asyncio.to_thread(until, lambda: not server.is_kept(), "its keeper has noticed")
    watch.cancel()
    await asyncio.to_thread(server.release)
    await asyncio.to_thread(embedded.wait_until_stopped, data_dir)
    until(lambda: postmasters(data_dir) == keepers(data_dir) == [], "both have ended")
