"""``trunkline serve``."""

import asyncio
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

import click
import msgspec
import uvloop

from trunkline import app, config, logs, roles
from trunkline.activations.codes.lexicon import lexicon
from trunkline.api import exposition
from trunkline.errors import OperatorError

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
) -> None:
    """Run the server. SIGTERM lets requests under way come to their end."""
    settings = config.load()
    logs.configure(settings.log.format, settings.log.level)
    directory = settings.directory(str(data_dir) if data_dir else None)
    if listener is not None:
        inherited = socket.socket(fileno=listener)
        _run(settings, directory, role, inherited, "ready", processes, metrics_folder)
        return
    if role not in ("all", "api") and port is None:
        _run(settings, directory, role, None, "ready", 1, metrics_folder)
        return
    chosen_host = host if host is not None else settings.server.host
    bound = roles.bind(chosen_host, port if port is not None else settings.server.port)
    shown = f"[{chosen_host}]" if ":" in chosen_host else chosen_host
    url = f"http://{shown}:{bound.getsockname()[1]}"
    ready = f'{{"listening":"{url}"}}' if as_json else f"listening on {url}"
    if workers == 1 or role not in ("all", "api"):
        _run(settings, directory, role, bound, ready, 1)
    else:
        _supervise(settings, directory, role, bound, ready, workers)


def _run(
    settings: config.Config,
    directory: pathlib.Path,
    role: roles.Role,
    bound: socket.socket | None,
    ready: str,
    processes: int,
    metrics_folder: pathlib.Path | None = None,
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
        )
        runner.run(serving)


def _supervise(
    settings: config.Config, directory: pathlib.Path, role: roles.Role, bound: socket.socket, ready: str, workers: int
) -> None:
    """API processes that share the socket, one for carriers and one for sweeps; one that dies is started again."""
    with (
        tempfile.TemporaryDirectory(prefix="trunkline-metrics-", ignore_cleanup_errors=True) as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_supervised(settings, directory, role, bound, ready, workers, pathlib.Path(folder)))


async def _supervised(
    settings: config.Config,
    directory: pathlib.Path,
    role: roles.Role,
    bound: socket.socket,
    ready: str,
    workers: int,
    metrics_folder: pathlib.Path,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with app.platform(settings, directory):  # so that the children find the database up to date
        places = ["--data-dir", str(directory), "--metrics-folder", str(metrics_folder)]
        command = [sys.executable, "-m", "trunkline", "serve", *places, "--role"]
        api = [*command, "api", "--listener", str(bound.fileno()), "--processes", str(workers)]
        commands = [api] * workers
        if role == "all":
            commands += [[*command, "carrier"], [*command, "worker"]]
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        started: asyncio.Queue[None] = asyncio.Queue()
        children = [asyncio.create_task(_keep_alive(each, bound, started, metrics_folder)) for each in commands]
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
    command: list[str], bound: socket.socket, started: "asyncio.Queue[None]", metrics_folder: pathlib.Path
) -> None:
    """Raises OperatorError for a process that ends before it was up even once."""
    was_up = False
    inherited = [bound.fileno()] if "--listener" in command else []
    while True:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=inherited, env=dict(os.environ)
        )
        assert process.stdout is not None
        try:
            if await process.stdout.readline():
                started.put_nowait(None)
                was_up = True
            code = await process.wait()
            if not was_up:
                raise OperatorError(f"A process of the server did not start ({code}).")
            log.error("a process ended with %d; it is started again", code)
            try:
                exposition.fold(metrics_folder, process.pid)
            except (OSError, msgspec.DecodeError) as error:
                log.warning("what the process had counted is lost: %s", error)
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            if process.returncode is None:
                process.terminate()
                await process.wait()
            raise
