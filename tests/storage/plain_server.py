"""A PostgreSQL of the system's own, as an operator would run it: TCP, a password, no trust."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator

from tests.outside import lasting_port

PASSWORD = "s3cret:/@"
URL_PASSWORD = "s3cret%3A%2F%40"
SECONDS = 180  # for each of its programs; pg_ctl itself would give up after 60


def programs() -> pathlib.Path | None:
    """The folder of the newest server that is installed, 15 or newer."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found and int(found[-1].parts[-3]) >= 15 else None


class PlainServer:
    """One cluster on a loopback port of its own; it can be stopped and started again."""

    def __init__(self, folder: pathlib.Path) -> None:
        found = programs()
        assert found is not None
        self._programs = found
        self._user = _somebody() if os.geteuid() == 0 else None
        self._data = folder / "data"
        self.port = lasting_port()
        self.url = f"postgresql://postgres:{URL_PASSWORD}@127.0.0.1:{self.port}/postgres"
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if self._user:
            for path in (folder, secret):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
            for parent in folder.parents:
                parent.chmod(parent.stat().st_mode | 0o001)
        self._run(
            "initdb", "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync",
            str(self._data),
        )  # fmt: skip

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        log = self._data / "log"
        self._run("pg_ctl", "-D", str(self._data), "-l", str(log), "-w", "-t", str(SECONDS), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", str(SECONDS), "-m", mode, "stop")

    def processes(self) -> list[int]:
        """Of the whole cluster: the postmaster and its children."""
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, text=True, check=False
        )
        return [postmaster, *map(int, found.stdout.split())]

    def freeze(self) -> None:
        """Connections stay, and new ones are accepted by the system, and nobody answers."""
        for process_id in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGSTOP)

    def thaw(self) -> None:
        for process_id in reversed(self.processes()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGCONT)

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [str(self._programs / program), *words],
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            cwd="/",
            timeout=SECONDS,
        )


def _somebody() -> pwd.struct_passwd:
    """PostgreSQL does not run as root."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("there is no user but root")


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[PlainServer]:
    server = PlainServer(folder)
    server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(subprocess.CalledProcessError, OSError):
            server.thaw()
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
