"""Data directories as people have them, and what root does in one that somebody else can write."""

import os
import pathlib
import stat
import subprocess
import sys
import tempfile

import pytest

from tests.conftest import Trunkline
from trunkline.errors import OperatorError
from trunkline.storage import embedded, unprivileged

pytestmark = pytest.mark.timeout(300)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
UNKNOWN = 54321


@pytest.fixture
def operator(trunkline: Trunkline) -> Trunkline:
    return Trunkline(trunkline.environment | {"TRUNKLINE_DATABASE_URL": "", "TRUNKLINE_DATA_DIR": ""})


def run(operator: Trunkline, *words: str, folder: pathlib.Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "trunkline", *words],
        env=operator.environment | settings, cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_relative_data_directory_is_beneath_the_current_folder(operator: Trunkline, tmp_path: pathlib.Path) -> None:
    made = run(operator, "account", "create", "a@example.com", "--data-dir", "rel/../here", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    shown = run(operator, "account", "show", "a@example.com", folder=tmp_path, TRUNKLINE_DATA_DIR="./here/")
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "here" / "postgres" / "data" / "PG_VERSION").exists()
    embedded.wait_until_stopped(tmp_path / "here")


def test_a_data_directory_in_ones_home_is_found_by_its_tilde(operator: Trunkline, tmp_path: pathlib.Path) -> None:
    made = run(operator, "account", "create", "a@example.com", folder=pathlib.Path("/"),
               HOME=str(tmp_path), TRUNKLINE_DATA_DIR="~/mine")  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "mine" / "postgres").is_dir()
    embedded.wait_until_stopped(tmp_path / "mine")


@pytest.mark.parametrize("name", ["~nobody-of-that-name/data", "a\nb"])
def test_a_data_directory_that_cannot_be_is_refused_in_one_line(
    operator: Trunkline, tmp_path: pathlib.Path, name: str
) -> None:
    refused = run(operator, "account", "create", "a@example.com", "--data-dir", name, folder=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("trunkline: The ")
    assert "data directory" in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "name",
    [
        "with blanks, and a comma", 'a "quoted" one', "it's", "back\\slash", "$HOME", "`id`", "100%", "#1;&",
        "дані-データ", " blanks around ", "@at", "deep/" * 60 + "down", "x" * 200,
    ],
)  # fmt: skip
def test_a_data_directory_may_have_any_name(tmp_path: pathlib.Path, name: str) -> None:
    server = embedded.start(tmp_path / name)
    again = embedded.start(tmp_path / name)
    assert again.url == server.url
    server.release()
    again.release()
    embedded.wait_until_stopped(tmp_path / name)


def test_a_path_that_is_longer_than_postgresql_can_take_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OperatorError, match="longer than 900 bytes"):
        embedded.start(tmp_path / ("x" * 200 + "/") / ("y" * 200 + "/") / ("z" * 200) / ("w" * 200) / ("v" * 200))


def test_a_data_directory_behind_a_link_is_the_same_one(tmp_path: pathlib.Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    server = embedded.start(tmp_path / "link")
    other = embedded.start(tmp_path / "disk")
    assert server.url == other.url
    server.release()
    other.release()
    embedded.wait_until_stopped(tmp_path / "disk")


def test_another_folder_for_temporary_files_does_not_hide_a_running_server(
    operator: Trunkline, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / ("long-" * 20)
    server = embedded.start(folder)
    words = ("account", "create", "a@example.com", "--data-dir", str(folder))
    made = run(operator, *words, folder=tmp_path, TMPDIR=str(tmp_path))
    assert made.returncode == 0, made.stderr
    server.release()
    embedded.wait_until_stopped(folder)


HOSTILE = {
    "PGHOST": "192.0.2.1", "PGPORT": "5544", "PGUSER": "nobody", "PGDATABASE": "nowhere", "PGPASSWORD": "x",
    "PGSSLMODE": "require", "PGSSLNEGOTIATION": "direct", "PGSERVICE": "none", "PGREQUIREAUTH": "scram-sha-256",
    "PGCHANNELBINDING": "require", "PGGSSENCMODE": "require", "PGTARGETSESSIONATTRS": "standby",
    "PGOPTIONS": "-c no_such=1", "PGDATA": "/nowhere", "PGGSSLIB": "none", "PGCLIENTENCODING": "none",
}  # fmt: skip


def test_the_shells_variables_for_postgresql_do_not_reach_the_embedded_one(
    operator: Trunkline, tmp_path: pathlib.Path
) -> None:
    words = ("--data-dir", str(tmp_path / "data"))
    made = run(operator, "account", "create", "a@example.com", *words, folder=tmp_path, **HOSTILE)
    assert made.returncode == 0, made.stderr
    server = embedded.start(tmp_path / "data")
    for variables in ({}, HOSTILE, {"PGPORT": "1"}):
        shown = run(operator, "account", "show", "a@example.com", *words, folder=tmp_path, **variables)
        assert shown.returncode == 0, shown.stderr
    server.release()
    embedded.wait_until_stopped(tmp_path / "data")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="another's environment is read in /proc")
def test_postgresql_and_its_keeper_know_no_secret_of_the_servers(operator: Trunkline, tmp_path: pathlib.Path) -> None:
    secrets = {"TRUNKLINE_STRIPE__SECRET_KEY": "", "AWS_SECRET_ACCESS_KEY": "CANARY-1", "GITHUB_TOKEN": "CANARY-2"}
    with subprocess.Popen(
        [sys.executable, "-m", "trunkline", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")],
        env=operator.environment | secrets | {"LC_TIME": "C", "TZ": "UTC"}, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        assert server.stdout.readline()
        database = int((tmp_path / "data" / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        keeper = int(pathlib.Path(f"/proc/{database}/stat").read_text().rpartition(")")[2].split()[1])
        for pid in (database, keeper):
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
            names = {each.partition(b"=")[0].decode() for each in environment.split(b"\0") if each}
            assert {"PATH", "TZ", "LC_TIME"} <= names
            kept = {name for name in names if not name.startswith("LC_")}
            assert kept <= {"PATH", "LANG", "TZ", "TMPDIR", "PG_GRANDPARENT_PID", "PGLOCALEDIR", "PGSYSCONFDIR"}
        server.terminate()
        assert server.wait(90) == 0
    embedded.wait_until_stopped(tmp_path / "data")


def belongs_to(path: pathlib.Path) -> tuple[int, int, int]:
    entry = path.lstat()
    return entry.st_uid, stat.S_IMODE(entry.st_mode), entry.st_size


@as_root
@pytest.mark.parametrize(
    "name", ["data/trunkline.conf", "data/trunkline.conf.new", "postgres.log", "start.lock", "users.lock",
             "keeper.lock", "address", "address.new", "data/postmaster.pid"],
)  # fmt: skip
def test_roots_files_are_out_of_reach_of_links_in_the_databases_folder(tmp_path: pathlib.Path, name: str) -> None:
    folder = tmp_path / "data"
    embedded.start(folder).release()
    embedded.wait_until_stopped(folder)
    victim = tmp_path / "victim"
    victim.write_text("root:secret\n")
    victim.chmod(0o600)
    before = belongs_to(victim)
    link = folder / "postgres" / name
    link.unlink(missing_ok=True)
    link.symlink_to(victim)
    os.lchown(link, (folder / "postgres").stat().st_uid, -1)
    try:
        embedded.start(folder).release()
    except OperatorError as error:
        assert "\n" not in error.detail  # noqa: PT017 - it may also be put right in silence
    assert belongs_to(victim) == before
    assert victim.read_text() == "root:secret\n"


@as_root
def test_a_file_of_roots_under_a_locks_name_is_not_given_away(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "data"
    embedded.start(folder).release()
    embedded.wait_until_stopped(folder)
    victim = tmp_path / "victim"
    victim.write_text("root:secret\n")
    lock = folder / "postgres" / "users.lock"
    lock.unlink()
    os.link(victim, lock)
    with pytest.raises(OperatorError, match=r"users\.lock"):
        embedded.start(folder)
    assert victim.stat().st_uid == 0


@as_root
def test_the_databases_folder_is_no_link_where_another_could_have_put_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "postgres").symlink_to("../victim")
    os.chown(tmp_path / "data", 65534, 65534)
    with pytest.raises(OperatorError, match="cannot be used"):
        embedded.start(tmp_path / "data")
    assert (tmp_path / "victim").stat().st_uid == 0


@as_root
def test_a_directory_of_an_earlier_version_with_roots_locks_works(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "data"
    embedded.start(folder).release()
    embedded.wait_until_stopped(folder)
    (folder / "postgres" / "keeper.lock").unlink()
    (folder / "postgres" / "address").unlink(missing_ok=True)
    for name in ("start.lock", "users.lock"):
        os.chown(folder / "postgres" / name, 0, 0)
    embedded.start(folder).release()
    embedded.wait_until_stopped(folder)


@as_root
def test_root_uses_an_ordinary_users_database_as_that_user(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "data" / "postgres").mkdir(parents=True)
    for folder in (tmp_path / "data", tmp_path / "data" / "postgres"):
        os.chown(folder, 65534, 65534)
    embedded.start(tmp_path / "data").release()
    embedded.wait_until_stopped(tmp_path / "data")
    assert (tmp_path / "data" / "postgres" / "data" / "PG_VERSION").stat().st_uid == 65534


@as_root
def test_a_user_id_without_a_name_is_told_what_to_do(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data" / "postgres").mkdir(parents=True)
    os.chown(tmp_path / "data" / "postgres", UNKNOWN, UNKNOWN)
    with pytest.raises(OperatorError, match="/etc/passwd") as refused:
        embedded.start(tmp_path / "data")
    assert str(UNKNOWN) in refused.value.detail


@as_root
def test_a_user_id_without_a_name_may_use_a_database_that_is_there() -> None:
    with tempfile.TemporaryDirectory() as short:  # so that the socket stands in it too
        folder = pathlib.Path(short) / "data"
        embedded.start(folder).release()
        embedded.wait_until_stopped(folder)
        subprocess.run(["chown", "-hR", f"{UNKNOWN}:{UNKNOWN}", folder], check=True)
        embedded.start(folder).release()
        embedded.wait_until_stopped(folder)


@as_root
def test_the_way_is_opened_for_passing_only_and_not_through_links(tmp_path: pathlib.Path) -> None:
    (tmp_path / "closed" / "folder").mkdir(parents=True)
    for folder in (tmp_path / "closed", tmp_path / "closed" / "folder"):
        folder.chmod(0o700)
    unprivileged.open_the_way(tmp_path / "closed" / "folder", unprivileged.User(65534, 65534))
    assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) == 0o701


@as_root
def test_the_audits_files_in_an_ordinary_users_directory_are_theirs_and_written_through_no_link(
    operator: Trunkline, tmp_path: pathlib.Path
) -> None:
    tmp_path.chmod(0o755)
    folder = tmp_path / "data"
    (folder / "postgres").mkdir(parents=True)
    for each in (folder, folder / "postgres"):
        os.chown(each, 65534, 65534)
    words = ("--data-dir", str(folder))
    assert run(operator, "account", "create", "a@example.com", *words, folder=tmp_path).returncode == 0
    exported = run(operator, "audit", "export", *words, folder=tmp_path)
    assert exported.returncode == 0, exported.stderr
    files = [folder / "audit-signing-key.pem", folder / "audit-heads.jsonl"]
    assert [belongs_to(file)[:2] for file in files] == [(65534, 0o600), (65534, 0o600)]
    victim = tmp_path / "victim"
    victim.write_text("root:secret\n")
    files[1].unlink()
    files[1].symlink_to(victim)
    refused = run(operator, "audit", "export", *words, folder=tmp_path)
    assert refused.returncode == 1
    assert "audit-heads.jsonl" in refused.stderr
    assert victim.read_text() == "root:secret\n"
    embedded.wait_until_stopped(folder)
