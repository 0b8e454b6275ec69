"""The faults: each breaks one thing while customers are at work, and mends what would be mended by an operator."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import asyncpg

from tests.faults.world import Site, World
from trunkline.storage import embedded

_never = threading.Event()


def pause(seconds: float) -> None:
    """The fault lasts for so long; nobody could end it sooner."""
    _never.wait(seconds)


def kill_the_server(world: World, seconds: float) -> None:
    world.server.kill()
    world.start()


def stop_and_start_the_server(world: World, seconds: float) -> None:
    assert world.server.stop() == 0
    world.start()


def kill_the_postmaster(world: World, seconds: float) -> None:
    os.kill(world.processes()[0], signal.SIGKILL)


def kill_a_backend(world: World, seconds: float) -> None:
    """PostgreSQL ends all the others then, and recovers."""
    os.kill(_a_backend(world), signal.SIGKILL)


def freeze_the_database(world: World, seconds: float) -> None:
    frozen = world.processes()
    try:
        for process in frozen:
            os.kill(process, signal.SIGSTOP)
        pause(seconds)
    finally:
        for process in frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def silence_the_database(world: World, seconds: float) -> None:
    """As a firewall that forgot the connections does it, or a node that is gone."""
    assert world.line is not None
    world.line.hush()


def fill_the_disk(world: World, seconds: float) -> None:
    ballast = world.data_dir / "ballast"
    try:
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        pause(seconds)
    finally:
        ballast.unlink()


def cut_every_connection(world: World, seconds: float) -> None:
    asyncio.run(_terminate(world))


def drop_the_link(world: World, seconds: float) -> None:
    world.smsc.drop()


def fail_every_webhook(world: World, seconds: float) -> None:
    world.receiver.status = 500
    pause(seconds)
    world.receiver.status = 204


@dataclasses.dataclass(frozen=True)
class Fault:
    what: str
    inject: Callable[[World, float], None]
    seconds: float = 0  # for which it lasts
    words: tuple[str, ...] = ()  # of ``trunkline serve``
    site: Site = "embedded"

    def impossible(self) -> str | None:
        """Why it cannot be injected here."""
        if self.site == "small disk" and (sys.platform != "linux" or os.geteuid() != 0):
            return "only root on Linux mounts a small disk"
        return None


FAULTS = {
    "server-killed": Fault("the server is killed", kill_the_server),
    "server-stopped": Fault("the server is stopped and started", stop_and_start_the_server),
    "postmaster-killed": Fault("the embedded postmaster is killed", kill_the_postmaster),
    "backend-killed": Fault("a backend of PostgreSQL is killed", kill_a_backend),
    "database-frozen": Fault("all of PostgreSQL stands still", freeze_the_database, 8),
    "database-silent": Fault("open connections to PostgreSQL fall silent", silence_the_database, site="line"),
    "disk-full": Fault("the disk is full", fill_the_disk, 5, site="small disk"),
    "connections-cut": Fault("every connection to PostgreSQL is cut", cut_every_connection),
    "link-dropped": Fault("the carrier drops the link", drop_the_link),
    "webhooks-fail": Fault("the receiver answers 500", fail_every_webhook, 3),
    "workers-postmaster-killed": Fault(
        "the postmaster is killed under several processes", kill_the_postmaster, words=("--workers", "2")
    ),
}


def _a_backend(world: World) -> int:
    for process in world.processes()[1:]:
        shown = subprocess.run(["ps", "-o", "args=", "-p", str(process)], capture_output=True, text=True, check=False)
        if "trunkline" in shown.stdout and "idle" in shown.stdout:
            return process
    raise AssertionError("no backend is idle")


async def _terminate(world: World) -> None:
    share = await asyncio.to_thread(embedded.start, world.data_dir)
    try:
        connection = await asyncpg.connect(share.url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await connection.close()
    finally:
        share.release()
