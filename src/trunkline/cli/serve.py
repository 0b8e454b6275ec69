"""``trunkline serve``."""

import asyncio
import contextlib
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine
from typing import Any

import click
import msgspec
import uvloop

from trunkline import app, config, logs, roles
from trunkline.cli import root
from trunkline.codes.lexicon import lexicon
from trunkline.errors import OperatorError
from trunkline.monitoring import exposition

FIRST_PAUSE_SECONDS = 0.5  # before a process that has ended is started again; doubled each time that it ends soon
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
ORPHAN_SECONDS = roles.DRAIN_SECONDS + 15

log = logging.getLogger("trunkline")


@click.command()
@click.option("--host", help="The address to listen on; 127.0.0.1 unless the settings say another.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port; 8600 unless the settings say another, 0 for a free one. A carrier or worker listens only where one"
    " is given, for /healthz, /readyz and /metrics alone.",
)
@click.option("--role", type=click.Choice(["all", "api", "carrier", "worker"]), default="all", show_default=True)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="API processes that share the port."
)
@click.option("--data-dir", type=click.Path(path_type=pathlib.Path), help="Where the embedded database lives.")
@click.option("--json", "as_json", is_flag=True, help="Say that the server is ready as JSON.")
@click.option("--listener", type=int, hidden=True, help="A socket inherited from the process that started this one.")
@click.option("--processes", type=int, default=1, hidden=True)
@click.option("--metrics-folder", type=click.Path(path_type=pathlib.Path), hidden=True)
@click.option("--was-root", is_flag=True, hidden=True, help="The process that started this one has dropped root.")
def serve(
    host: str | None,
    port: int | None,
    role: roles.Role,
    workers: int,
    data_dir: pathlib.Path | None,
    as_json: bool,
    listener: int | None,
    processes: int,
    metrics_folder: pathlib.Path | None,
    was_root: bool,
) -> None:
    """Run the server. SIGTERM lets requests under way come to their end."""
    settings = config.load()
    logs.configure(settings.log.format, settings.log.level)
    directory = settings.directory(str(data_dir) if data_dir else None)
    if metrics_folder is not None:  # one of a supervisor's
        if was_root:
            root.hide()
        _end_with_parent()
        inherited = socket.socket(fileno=listener) if listener is not None else None
        _run(settings, directory, role, inherited, "ready", processes, metrics_folder)
        return
    was_root = os.geteuid() == 0
    if role not in ("all", "api") and port is None:
        _run(settings, directory, role, None, "ready", 1, still_root=root.drop(settings, directory))
        return
    chosen_host = host if host is not None else settings.server.host
    bound = roles.bind(chosen_host, port if port is not None else settings.server.port)
    shown = f"[{chosen_host}]" if ":" in chosen_host else chosen_host
    url = f"http://{shown}:{bound.getsockname()[1]}"
    ready = f'{{"listening":"{url}"}}' if as_json else f"listening on {url}"
    still_root = root.drop(settings, directory)
    if workers == 1 or role not in ("all", "api"):
        _run(settings, directory, role, bound, ready, 1, still_root=still_root)
    else:
        words = ["--was-root"] if was_root and still_root is None else []
        _supervise(settings, directory, role, bound, ready, workers, words, still_root)


def _run(
    settings: config.Config,
    directory: pathlib.Path,
    role: roles.Role,
    bound: socket.socket | None,
    ready: str,
    processes: int,
    metrics_folder: pathlib.Path | None = None,
    *,
    still_root: str | None = None,
) -> None:
    if role != "worker":  # which reads no texts
        lexicon()  # before anybody waits: it takes a moment to load
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        serving = roles.serve(
            settings,
            directory,
            role=role,
            listener=bound,
            ready=ready,
            processes=processes,
            metrics_folder=metrics_folder,
            still_root=still_root,
        )
        runner.run(_to_its_end(serving))


async def _to_its_end(serving: Coroutine[Any, Any, None]) -> None:
    try:
        await serving
    finally:
        roles.ignore_signals()


def _end_with_parent() -> None:
    """Ends this process as SIGTERM does once its supervisor is gone, however that ended.

    The supervisor holds the other end of our standard input and never writes to it, so the end of the input is its own.
    """

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)
        os._exit(1)  # it hangs, and nobody is there to see it

    threading.Thread(target=wait, name="end with the supervisor", daemon=True).start()


def _supervise(
    settings: config.Config,
    directory: pathlib.Path,
    role: roles.Role,
    bound: socket.socket,
    ready: str,
    workers: int,
    words: list[str],
    still_root: str | None,
) -> None:
    """API processes that share the socket, one for carriers and one for sweeps; one that dies is started again."""
    with (
        tempfile.TemporaryDirectory(prefix="trunkline-metrics-", ignore_cleanup_errors=True) as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        words += ["--data-dir", str(directory), "--metrics-folder", folder]
        supervised = _supervised(
            settings, directory, role, bound, ready, workers, words, pathlib.Path(folder), still_root
        )
        runner.run(_to_its_end(supervised))


async def _supervised(
    settings: config.Config,
    directory: pathlib.Path,
    role: roles.Role,
    bound: socket.socket,
    ready: str,
    workers: int,
    words: list[str],
    metrics_folder: pathlib.Path,
    still_root: str | None,
) -> None:
    stop = asyncio.Event()
    async with app.platform(settings, directory):  # so that the children find the database up to date
        roles.warn_of_root(still_root)
        command = [sys.executable, "-m", "trunkline", "serve", *words, "--role"]
        api = [*command, "api", "--listener", str(bound.fileno()), "--processes", str(workers)]
        commands: list[tuple[list[str], list[int]]] = [(api, [bound.fileno()])] * workers
        if role == "all":
            commands += [([*command, "carrier"], []), ([*command, "worker"], [])]
        roles.end_on_signals(stop)
        started: asyncio.Queue[None] = asyncio.Queue()
        children = [
            asyncio.create_task(_keep_alive(each, handles, started, metrics_folder)) for each, handles in commands
        ]
        waiting = asyncio.create_task(stop.wait())
        try:
            for _ in commands:
                up = asyncio.create_task(started.get())
                await asyncio.wait({up, waiting, *children}, return_when=asyncio.FIRST_COMPLETED)
                for child in children:
                    if child.done():
                        child.result()
                up.cancel()
            if not stop.is_set():
                click.echo(ready)
                sys.stdout.flush()
            await waiting
            bound.close()  # once the children have closed theirs, nobody listens: who calls then is told so
        finally:
            for child in children:
                child.cancel()
            await asyncio.gather(*children, return_exceptions=True)


async def _keep_alive(
    command: list[str], handles: list[int], started: "asyncio.Queue[None]", metrics_folder: pathlib.Path
) -> None:
    """Raises OperatorError for a process that ends before it was up even once."""
    clock = asyncio.get_running_loop().time
    was_up = False
    pause = FIRST_PAUSE_SECONDS
    while True:
        begun = clock()
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=handles, env=dict(os.environ)
        )
        assert process.stdout is not None
        try:
            if await process.stdout.readline():
                started.put_nowait(None)
                was_up = True
            code = await process.wait()
            if not was_up:
                raise OperatorError(f"A process of the server did not start ({code}).")
            lived = clock() - begun
            pause = FIRST_PAUSE_SECONDS if lived >= STEADY_SECONDS else min(2 * pause, LONGEST_PAUSE_SECONDS)
            log.error("a process ended with %d after %.0f s; it is started again in %.1f s", code, lived, pause)
            try:
                exposition.fold(metrics_folder, process.pid)
            except (OSError, msgspec.DecodeError) as error:
                log.warning("what the process had counted is lost: %s", error)
            await asyncio.sleep(pause)
        except asyncio.CancelledError:
            if process.returncode is None:
                process.terminate()
                await process.wait()
            raise
