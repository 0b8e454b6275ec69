"""Runs an embedded PostgreSQL for as long as anybody uses it: a supervisor, one for each data directory.

Started by ``embedded.py`` as a process of its own, ``keeper.py STATE_DIR PROGRAMS UID GID FOLDER WORD``, where FOLDER
is a handle of STATE_DIR and WORD one of a pipe, on which it says ``ready``, or why it is not. As root it becomes the
user first, so that nothing in a folder of theirs is ever done with root's rights.

- It holds ``keeper.lock``; whoever can take that lock knows that there is no keeper, and starts one.
- Each user of the server holds a shared lock on ``users.lock``, which the kernel drops however the user ends,
  ``kill -9`` included. Once the exclusive lock can be had there are no users, and the server is stopped.
- Where the server dies the keeper ends too, and a user starts the next one.
- ``address`` has folder and port of the server's socket and its process id, a line each, once it is ready for users.

Imports nothing but the standard library.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import re
import select
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import IO

LOOK_SECONDS = 0.2
LOCK_SECONDS = 5  # others hold the keeper's lock for a moment, to see whether it is held
SOCKET_PATH_LIMIT = 100  # sun_path holds 104 octets on macOS, 108 on Linux, the name .s.PGSQL.5432 included
DATA_PATH_LIMIT = 900  # PostgreSQL's own paths are cut at 1,023
PROGRAM_SECONDS = 300
GOING_SECONDS = 60  # for a server whose keeper was killed, which writes down what it has in memory
START_ATTEMPTS = 20  # half a second apart: the children of a server that was killed need a moment to see it and go
STOP_SECONDS = ((signal.SIGINT, 120), (signal.SIGQUIT, 15), (signal.SIGKILL, 15))  # fast, at once, without asking
PR_SET_PDEATHSIG = 1  # prctl(2)

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

# The database, and the role that serves: no superuser, owner of nothing (docs/decisions/0020).
PREPARE = rb"""
SELECT 'CREATE DATABASE trunkline' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'trunkline') \gexec
SELECT 'CREATE ROLE trunkline_server LOGIN'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'trunkline_server') \gexec
REVOKE TEMPORARY ON DATABASE trunkline FROM PUBLIC;
"""


class Failed(Exception):
    """The server cannot be started, and nothing that was begun is left; the message says why."""


class NobodyLeft(Exception):
    """Whoever wanted the server is gone."""


def alone(users: IO[bytes]) -> bool:
    """Whether nobody uses the server; then nobody can begin to until we end."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Process:
    """A postmaster: our child, or one that an earlier keeper has left behind."""

    def __init__(self, pid: int, child: "subprocess.Popen[bytes] | None" = None) -> None:
        self.pid = pid
        self._child = child

    def lives(self) -> bool:
        return self._child.poll() is None if self._child else is_postmaster(self.pid)

    def stop(self) -> None:
        for number, seconds in STOP_SECONDS:
            deadline = time.monotonic() + seconds
            with contextlib.suppress(ProcessLookupError):
                if self.lives():
                    os.kill(self.pid, number)
            while self.lives():
                if time.monotonic() > deadline:
                    break
                time.sleep(0.01)
            else:
                return


def is_postmaster(pid: int) -> bool:
    """Whether a process of that number lives and is a PostgreSQL; numbers are given again, in containers soon."""
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            name, _, rest = file.read().partition(b"(")[2].rpartition(b")")
    except OSError:
        return not os.path.isdir("/proc/self")
    return name == b"postgres" and not rest.startswith((b" Z", b" X"))


class Cluster:
    """The files of one embedded server. The current folder is its state folder."""

    def __init__(self, state_dir: str, programs: str) -> None:
        self.state_dir = state_dir
        self.programs = programs
        self.pgdata = os.path.join(state_dir, "data")

    def running(self) -> Process | None:
        """A server that runs already, over the very same files."""
        lines = self._pid_file()
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        return Process(pid) if pid > 0 and is_postmaster(pid) else None

    def start(self, users: IO[bytes]) -> Process:
        """Raises Failed, NobodyLeft."""
        if len(os.fsencode(self.pgdata)) > DATA_PATH_LIMIT:
            raise Failed(f"the path of the data directory is longer than {DATA_PATH_LIMIT} bytes")
        if not os.path.exists("data/PG_VERSION"):
            self._create()
        self._configure()
        attempts = START_ATTEMPTS if os.path.exists("data/postmaster.pid") else 1  # the last one came to no good end
        while True:
            attempts -= 1
            self._disown_pid_file()
            try:
                return self._launch(users)
            except Failed:
                if attempts <= 0:
                    raise
            time.sleep(0.5)

    def await_ready(self, process: Process, users: IO[bytes], why: Callable[[], str]) -> None:
        """Raises Failed once the server is gone, NobodyLeft where nobody waits for it any more."""
        while True:
            lines = self._pid_file()
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return
            if not process.lives():
                raise Failed(why())
            if alone(users):
                raise NobodyLeft
            time.sleep(0.01)

    def prepare(self) -> None:
        """Makes what users expect to find, and writes the server's address down. Raises Failed."""
        lines = self._pid_file()
        if len(lines) < 5:
            raise Failed("it went away again at once")
        place = ["-h", lines[4], "-p", lines[3], "-U", "trunkline", "-d", "postgres"]
        self._run("psql", "-X", "-q", "-t", "-w", "-v", "ON_ERROR_STOP=1", *place, "-f", "-", stdin=PREPARE)
        write("address", f"{lines[4]}\n{lines[3]}\n{lines[0]}\n")

    def _create(self) -> None:
        """initdb into a folder beside, then a rename, so that a kill in between leaves nothing half made."""
        subprocess.run(["/bin/rm", "-rf", "data.new"], check=False)
        self._run(
            "initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "trunkline", "--no-instructions",
            "-D", "data.new",
        )  # fmt: skip
        with open("data.new/postgresql.conf", "a", encoding="utf-8") as settings:
            settings.write("\ninclude_if_exists 'trunkline.conf'\n")
        os.rename("data.new", "data")

    def _configure(self) -> None:
        folder = self._socket_dir()
        write("data/trunkline.conf", f"{SETTINGS}unix_socket_directories = '{folder}'\n")

    def _launch(self, users: IO[bytes]) -> Process:
        with open("postgres.log", "ab") as log:
            begun = log.tell()
            child = subprocess.Popen(
                [os.path.join(self.programs, "postgres"), "-D", self.pgdata],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                preexec_fn=die_with_me(),
            )
        process = Process(child.pid, child)
        try:
            self.await_ready(process, users, lambda: last_words(begun))
        except BaseException:
            process.stop()
            raise
        return process

    def _run(self, program: str, *arguments: str, stdin: bytes = b"") -> None:
        try:
            done = subprocess.run(
                [os.path.join(self.programs, program), *arguments],
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=PROGRAM_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(f"{program}: {error}") from error
        if done.returncode:
            lines = [line.strip() for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
            told = [line for line in lines if re.search(r"error:|ERROR:|FATAL:|PANIC:|child process", line)] or lines
            raise Failed(f"{program}: {'; '.join(told[-2:]) or f'ended with {done.returncode}'}"[:500])

    def _pid_file(self) -> list[str]:
        try:
            with open("data/postmaster.pid", encoding="utf-8", errors="surrogateescape") as file:
                return file.read().splitlines()
        except OSError:
            return []

    def _disown_pid_file(self) -> None:
        """A killed server's number may be somebody else's by now, and PostgreSQL would take them for a server.

        It never does so with the process that starts it. The rest of the file stays: by it PostgreSQL finds out
        whether children of the killed server still live.
        """
        lines = self._pid_file()
        if lines and not (lines[0].isdigit() and is_postmaster(int(lines[0]))):
            write("data/postmaster.pid", "\n".join([str(os.getpid()), *lines[1:], ""]))

    def _socket_dir(self) -> str:
        """Beside the data; where a socket or a list of folders cannot have that path, a private temporary folder."""
        inside = os.fsencode(os.path.join(self.state_dir, ".s.PGSQL.5432.lock"))
        if len(inside) <= SOCKET_PATH_LIMIT and not re.search(r"""[,"'\\\x00-\x1f\x7f\udc80-\udcff]""", self.state_dir):
            return self.state_dir
        name = "trunkline-" + hashlib.sha256(os.fsencode(self.state_dir)).hexdigest()[:16]
        for folder in (self._last_socket_dir(), os.path.join(tempfile.gettempdir(), name), os.path.join("/tmp", name)):  # noqa: S108 - private
            if os.path.basename(folder) != name or not re.fullmatch(r"[\w./+@:-]{1,80}", folder, re.ASCII):
                continue
            with contextlib.suppress(OSError):
                os.mkdir(folder, 0o700)
            with contextlib.suppress(OSError):
                entry = os.lstat(folder)
                if stat.S_ISDIR(entry.st_mode) and entry.st_uid == os.geteuid() and not entry.st_mode & 0o077:
                    return folder
        raise Failed(f"{folder} belongs to somebody else; set TMPDIR or a shorter data directory")

    def _last_socket_dir(self) -> str:
        """Of the last start, which clients know, whatever TMPDIR was then and is now."""
        with contextlib.suppress(OSError), open("data/trunkline.conf", encoding="utf-8", errors="replace") as settings:
            found = re.search(r"^unix_socket_directories = '([^']*)'$", settings.read(), re.MULTILINE)
            if found:
                return found[1]
        return ""


def write(file: str, text: str) -> None:
    """Whoever reads it sees it as it was or as it is now, and so does whoever comes after a kill."""
    with open(f"{file}.new", "w", encoding="utf-8", errors="surrogateescape") as fresh:
        fresh.write(text)
    os.replace(f"{file}.new", file)


def last_words(begun: int) -> str:
    """What a server that did not start has written into its log since then, on one line."""
    with open("postgres.log", "rb") as log:
        log.seek(begun)
        lines = log.read(65536).decode(errors="replace").splitlines()
    told = [re.sub(r"^.*?\b(?=(LOG|FATAL|PANIC|ERROR|DETAIL): )", "", line).strip() for line in lines]
    told = [line for line in told if line and not line.startswith("HINT")]
    return "; ".join(told[-2:])[:500] or "postgres ended without a word"


def die_with_me() -> Callable[[], None] | None:
    """What a child does before it becomes PostgreSQL: it asks for a fast shutdown once its keeper is killed (Linux).

    Elsewhere the next keeper takes over what it finds running.
    """
    if sys.platform != "linux":
        return None
    prctl, keeper = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() != keeper:
            os._exit(1)

    return ask


def become(uid: int, gid: int) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def taken_over(cluster: Cluster, users: IO[bytes]) -> Process | None:
    """A server that runs without a keeper; None where there is none, or it was on its way down and has gone.

    Raises Failed, NobodyLeft.
    """
    process = cluster.running()
    if process is None:
        return None
    deadline = time.monotonic() + GOING_SECONDS
    try:
        cluster.await_ready(process, users, lambda: "it is gone")
        cluster.prepare()
        return process
    except NobodyLeft:
        process.stop()
        raise
    except Failed:
        while process.lives():
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    return None


def keep(cluster: Cluster, users: IO[bytes], say: Callable[[str], None]) -> None:
    """Raises Failed, NobodyLeft."""
    ended, ending = os.pipe()  # which can be read once a child has ended
    os.set_blocking(ending, False)
    signal.set_wakeup_fd(ending, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    process = taken_over(cluster, users)
    if process is None:
        process = cluster.start(users)
        try:
            cluster.prepare()
        except BaseException:
            process.stop()
            raise
    say("ready")
    while process.lives() and not alone(users):
        if select.select([ended], [], [], LOOK_SECONDS)[0]:
            os.read(ended, 4096)
    process.stop()


def main(state_dir: str, programs: str, uid: str, gid: str, folder: str, word: str) -> None:
    become(int(uid), int(gid))
    if os.fork():  # so that whoever started us need not collect us
        os._exit(0)
    os.setsid()
    os.umask(0o077)
    os.fchdir(int(folder))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # When a whole group of processes is told to end, the server's users still need it until they have ended.
        signal.signal(number, lambda *_: None)

    def say(words: str) -> None:
        with contextlib.suppress(OSError):
            os.write(int(word), os.fsencode(words))
            os.close(int(word))

    with open("keeper.lock", "ab") as kept, open("users.lock", "rb") as users:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(kept, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                say("there is another keeper")
                return
            time.sleep(0.01)
        with contextlib.suppress(FileNotFoundError):
            os.unlink("address")
        try:
            keep(Cluster(state_dir, programs), users, say)
        except NobodyLeft:
            say("nobody waits for it any more")
        except (Failed, OSError) as error:
            say(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:7])
