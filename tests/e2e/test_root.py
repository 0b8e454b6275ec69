"""A server that is started as root goes on as its database's user, or says why it does not."""

import os
import pathlib
import random
import re
import socket
import subprocess
import sys
from typing import Any

import pytest
import requests

from tests.conftest import Serve, Server, Trunkline

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can drop root; processes are looked at in /proc"
)

SECONDS = 60


@pytest.fixture
def data_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data"


@pytest.fixture
def embedded(data_dir: pathlib.Path) -> dict[str, str]:
    return {
        "TRUNKLINE_DATABASE_URL": "", "TRUNKLINE_DATABASE_OWNER_URL": "", "TRUNKLINE_DATA_DIR": str(data_dir),
    }  # fmt: skip


def uids(pid: int) -> set[int]:
    """Real, effective, saved and that of the file system (proc(5))."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^Uid:\s+(.*)$", status, re.MULTILINE)
    assert found is not None
    return set(map(int, found[1].split()))


def family(server: Server) -> list[int]:
    children = pathlib.Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [server.process.pid, *map(int, children.split())]


def buy(server: Server, key: str) -> Any:
    answer = requests.post(
        server.api + "/numbers/purchase", json={"country": "us", "service": "whatsapp"},
        headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_a_data_directory_of_a_version_that_served_as_root_is_taken_over(
    serve: Serve, trunkline: Trunkline, embedded: dict[str, str], data_dir: pathlib.Path
) -> None:
    customer = Trunkline(trunkline.environment | embedded).customer()
    files = [data_dir / "postgres" / name for name in ("start.lock", "users.lock")]
    for file in files:
        os.chown(file, 0, 0)
        file.chmod(0o644)
    server = serve(**embedded)
    assert buy(server, customer.live_key)["country"] == "us"
    assert {file.stat().st_uid for file in files} == {(data_dir / "postgres").stat().st_uid}


@pytest.mark.parametrize("words", [(), ("--workers", "2")], ids=["one process", "several"])
def test_it_serves_as_the_user_and_hides_from_what_else_runs_as_that(
    serve: Serve, trunkline: Trunkline, embedded: dict[str, str], data_dir: pathlib.Path, words: tuple[str, ...]
) -> None:
    operator = Trunkline(trunkline.environment | embedded)
    customer = operator.customer()  # root makes the data directory, and files in it
    assert data_dir.stat().st_uid == 0
    server = serve(*words, **embedded, TRUNKLINE_STRIPE__WEBHOOK_SECRET="whsec_of_the_server")
    user = (data_dir / "postgres").stat().st_uid
    assert user != 0
    assert {file.stat().st_uid for file in (data_dir, *data_dir.iterdir())} == {user}
    processes = family(server)
    assert len(processes) == (5 if words else 1)
    for pid in processes:
        assert uids(pid) == {user}
        peeping = subprocess.run(
            ["cat", f"/proc/{pid}/environ"], user=user, group=user, capture_output=True, check=False
        )
        assert b"Permission denied" in peeping.stderr
    lease = buy(server, customer.live_key)
    operator.sms(lease["phone_number"], "Your WhatsApp code: 847291")  # a command of root's beside it
    assert operator("audit", "verify")["ok"]
    assert operator("ledger", "verify")["ok"]
    assert "runs as root" not in server.log.read_text()
    assert server.stop() == 0


def test_a_port_that_only_root_may_have_is_bound_before(
    serve: Serve, trunkline: Trunkline, embedded: dict[str, str]
) -> None:
    while True:
        port = random.randrange(600, 1024)
        try:
            socket.create_server(("127.0.0.1", port)).close()
            break
        except OSError:
            continue
    server = serve("--port", str(port), **embedded)
    assert server.base.endswith(f":{port}")
    assert 0 not in uids(server.process.pid)
    assert requests.get(server.base + "/healthz", timeout=SECONDS).text == "ok"


def stays(server: Server, why: str) -> None:
    assert uids(server.process.pid) == {0}
    [line] = [line for line in server.log.read_text().splitlines() if "the server runs as root" in line]
    assert why in line
    assert requests.get(server.base + "/healthz", timeout=SECONDS).text == "ok"


def test_settings_that_only_root_can_read_keep_it_root(
    serve: Serve, embedded: dict[str, str], tmp_path: pathlib.Path
) -> None:
    settings = tmp_path / "secret.toml"
    settings.write_text('[status]\nname = "Ours"\n')
    settings.chmod(0o600)
    stays(serve(**embedded, TRUNKLINE_CONFIG=str(settings)), f"{settings} cannot be read")


def test_a_directory_that_holds_something_else_is_not_given_away(
    serve: Serve, embedded: dict[str, str], data_dir: pathlib.Path
) -> None:
    data_dir.mkdir()
    (data_dir / "thesis.odt").write_text("…")
    stays(serve(**embedded), "holds something else, 'thesis.odt'")
    assert data_dir.stat().st_uid == (data_dir / "thesis.odt").stat().st_uid == 0


def test_nothing_is_given_away_through_a_link(
    serve: Serve, embedded: dict[str, str], data_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    data_dir.mkdir()
    (tmp_path / "elsewhere").write_bytes(bytes(32))
    (data_dir / "repeat-secret").symlink_to(tmp_path / "elsewhere")
    stays(serve(**embedded), "cannot be given to its database's user")
    assert (tmp_path / "elsewhere").stat().st_uid == 0


def test_beside_a_database_of_ones_own_it_stays_what_it_was_started_as(serve: Serve) -> None:
    stays(serve(), "its database is not the embedded one")
