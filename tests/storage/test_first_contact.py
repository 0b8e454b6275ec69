"""A database that cannot be used is one clear line and exit 1, for the server and for every command."""

import asyncio
import contextlib
import pathlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import pytest
import pytest_asyncio
import trustme

from tests.conftest import Trunkline
from tests.outside import lasting_port
from tests.storage import plain_server
from tests.storage.plain_server import PASSWORD, URL_PASSWORD, PlainServer
from trunkline.storage import first_contact
from trunkline.storage.database import SERVING, SESSION, Database

pytestmark = pytest.mark.skipif(plain_server.programs() is None, reason="no PostgreSQL 15 or newer is installed")

SECONDS = 60


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainServer]:
    with plain_server.running(tmp_path_factory.mktemp("plain")) as server:
        yield server


@pytest.fixture
def url(plain: PlainServer) -> str:
    return plain.url


async def administer(plain: PlainServer, *statements: str) -> None:
    connection = await asyncpg.connect(plain.url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


def refused(trunkline: Trunkline, database_url: str) -> str:
    """What the server and a command say, which is the same."""
    trunkline.environment |= {"TRUNKLINE_DATABASE_URL": database_url, "TRUNKLINE_DATABASE_OWNER_URL": ""}
    said = set()
    for words in (("serve", "--port", "0"), ("numbers", "list"), ("account", "show", "a@example.com")):
        done = trunkline.run(*words)
        if words[0] == "numbers" and done.returncode == 2:  # there is no such command
            continue
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert "Traceback" not in done.stderr
        assert PASSWORD not in done.stderr
        [line] = done.stderr.splitlines()
        said.add(line)
    assert len(said) == 1, said
    [line] = said
    return line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda url: url.replace(URL_PASSWORD, "wrong"),
            "The database refuses the login: password authentication failed",
        ),
        (
            lambda url: url.replace("postgres:", "stranger:", 1).replace("stranger://", "postgresql://"),
            "refuses the login",
        ),
        (lambda url: url.rpartition("/")[0] + "/nowhere", 'does not exist: database "nowhere"'),
        (lambda url: url + "?channel_binding=require", "channel_binding=require of the database URL is not supported"),
        (lambda url: url + "?connect_timout=3", "is connect_timeout meant?"),
        (lambda url: url + "?options=-c%20no_such_setting%3D1", "no_such_setting"),
        (lambda url: url + "?sslmode=verify-full&sslrootcert=/nowhere.pem", "The file /nowhere.pem that sslrootcert"),
        (lambda url: url + "?options=-c%20default_transaction_read_only%3Don", "The database cannot be written"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_in_one_line(
    plain: PlainServer, trunkline: Trunkline, change: Callable[[str], str], said: str
) -> None:
    assert said in refused(trunkline, change(plain.url))


def test_a_role_that_may_not_make_tables_is_told_how_it_can(plain: PlainServer, trunkline: Trunkline) -> None:
    asyncio.run(administer(plain, "CREATE ROLE poor LOGIN PASSWORD 'poor'", "CREATE DATABASE lent"))
    line = refused(trunkline, f"postgresql://poor:poor@127.0.0.1:{plain.port}/lent")
    assert "permission denied for schema public" in line
    assert "ALTER DATABASE" in line


def test_a_role_without_rights_on_the_tables_is_told_so(plain: PlainServer, trunkline: Trunkline) -> None:
    asyncio.run(administer(plain, "CREATE ROLE late LOGIN PASSWORD 'late'", "CREATE DATABASE theirs"))
    owned = plain.url.rpartition("/")[0] + "/theirs"
    trunkline.environment |= {"TRUNKLINE_DATABASE_URL": owned, "TRUNKLINE_DATABASE_OWNER_URL": ""}
    trunkline.customer()
    line = refused(trunkline, f"postgresql://late:late@127.0.0.1:{plain.port}/theirs")
    assert "permission denied for table schema_version" in line
    database = owned.rpartition("/")[0] + "/theirs"

    async def lend() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute("GRANT SELECT ON schema_version TO late")
        await connection.close()

    asyncio.run(lend())
    line = refused(trunkline, f"postgresql://late:late@127.0.0.1:{plain.port}/theirs")
    assert "lacks rights: permission denied for" in line


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="no PgBouncer is installed")
@pytest.mark.parametrize("ignored", ["", "ignore_startup_parameters = {every}"])
def test_a_pooler_that_keeps_time_limits_back_is_refused_with_the_reason(
    plain: PlainServer, trunkline: Trunkline, tmp_path: pathlib.Path, ignored: str
) -> None:
    every = ",".join([*SESSION, *SERVING.settings()])
    port = lasting_port()
    (tmp_path / "users").write_text(f'"postgres" "{PASSWORD}"\n')
    (tmp_path / "ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={plain.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"auth_type = scram-sha-256\nauth_file = {tmp_path}/users\npool_mode = transaction\nunix_socket_dir =\n"
        f"{ignored.format(every=every)}\n"
    )
    for path in [tmp_path, *tmp_path.parents, tmp_path / "users", tmp_path / "ini"]:
        with contextlib.suppress(PermissionError):
            path.chmod(path.stat().st_mode | (0o005 if path.is_dir() else 0o004))
    pooler = subprocess.Popen(["pgbouncer", "-u", "nobody", str(tmp_path / "ini")], stderr=subprocess.DEVNULL)
    try:
        assert first_contact.POOLER in refused(trunkline, plain.url.replace(str(plain.port), str(port)))
    finally:
        pooler.terminate()
        pooler.wait(SECONDS)


@pytest_asyncio.fixture
async def silent() -> AsyncIterator[int]:
    """A port where connections are taken, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.asyncio
async def test_a_silent_host_is_passed_by_and_the_good_one_remembered(plain: PlainServer, silent: int) -> None:
    several = plain.url.replace("@127.0.0.1:", f"@127.0.0.1:{silent},127.0.0.1:")
    database = await Database.open(several, connections=8)
    try:
        assert (
            await asyncio.gather(*(database.fetchval("SELECT pg_sleep(0.2) IS NULL") for _ in range(8))) == [False] * 8
        )
        assert database._dialler._good is not None
        assert database._dialler._good.host is not None
        assert database._dialler._good.host.port == plain.port
    finally:
        await database.close()


@pytest.mark.asyncio
async def test_a_standby_is_passed_by_for_the_one_that_may_be_written(
    plain: PlainServer, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    with plain_server.running(folder) as second:
        await administer(second, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        several = plain.url.replace("@127.0.0.1:", f"@127.0.0.1:{second.port},127.0.0.1:")
        database = await Database.open(several)
        try:
            assert await database.fetchval("SELECT inet_server_port()") == plain.port
        finally:
            await database.close()


@pytest.mark.asyncio
async def test_the_name_is_proved_at_whatever_address(plain: PlainServer, tmp_path: pathlib.Path) -> None:
    authority = trustme.CA()
    proof = authority.issue_cert("db.test")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    proof.configure_cert(context)
    data = plain._data
    proof.private_key_pem.write_to_path(data / "server.key")
    for number, certificate in enumerate(proof.cert_chain_pems):
        certificate.write_to_path(data / "server.crt", append=number > 0)
    (data / "server.key").chmod(0o600)
    for name in ("server.key", "server.crt"):
        shutil.chown(data / name, data.owner(), data.group())
    await administer(plain, "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
    verified = f"?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={tmp_path}/ca.pem"
    for name, is_proved in (("db.test", True), ("other.test", False)):
        url = plain.url.replace("@127.0.0.1:", f"@{name}:") + verified
        if not is_proved:
            with pytest.raises(Exception, match="TLS is not accepted"):
                await Database.open(url)
            continue
        database = await Database.open(url)
        assert await database.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        with pytest.raises(TimeoutError):  # what was asked for is cancelled on the same way
            await asyncio.wait_for(database.fetchval("SELECT pg_sleep(60)"), 0.2)
        assert await database.fetchval("SELECT 1") == 1
        await database.close()
