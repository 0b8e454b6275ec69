"""``trunkline serve``."""

import asyncio
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys

import asyncpg
import click
import uvloop

from trunkline import app, config, phone
from trunkline.activations.codes.lexicon import lexicon
from trunkline.errors import OperatorError


class _Discreet(logging.Formatter):
    """Whoever logs, phone numbers are masked, and the rows that the database quotes in its errors are left out."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        while error is not None:
            if isinstance(error, asyncpg.PostgresError):
                error.detail = None
            error = error.__cause__ or error.__context__
        return phone.mask_all(super().format(record))


@click.command()
@click.option("--host", help="The address to listen on; 127.0.0.1 unless the settings say another.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The port; 8600 unless the settings say another, 0 for a free one."
)
@click.option("--role", type=click.Choice(["all", "api", "carrier", "worker"]), default="all", show_default=True)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="API processes that share the port."
)
@click.option("--data-dir", type=click.Path(path_type=pathlib.Path), help="Where the embedded database lives.")
@click.option("--json", "as_json", is_flag=True, help="Say that the server is ready as JSON.")
@click.option("--listener", type=int, hidden=True, help="A socket inherited from the process that started this one.")
@click.option("--processes", type=int, default=1, hidden=True)
def serve(
    host: str | None,
    port: int | None,
    role: app.Role,
    workers: int,
    data_dir: pathlib.Path | None,
    as_json: bool,
    listener: int | None,
    processes: int,
) -> None:
    """Run the server. SIGTERM lets requests under way come to their end."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(_Discreet("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[output])
    settings = config.load()
    directory = settings.directory(str(data_dir) if data_dir else None)
    if listener is not None:
        inherited = socket.socket(fileno=listener)
        _run(settings, directory, role, inherited, "ready", processes)
        return
    if role not in ("all", "api"):
        _run(settings, directory, role, None, "ready", 1)
        return
    chosen_host = host if host is not None else settings.server.host
    bound = app.bind(chosen_host, port if port is not None else settings.server.port)
    shown = f"[{chosen_host}]" if ":" in chosen_host else chosen_host
    url = f"http://{shown}:{bound.getsockname()[1]}"
    ready = f'{{"listening":"{url}"}}' if as_json else f"listening on {url}"
    if workers == 1:
        _run(settings, directory, role, bound, ready, 1)
    else:
        _supervise(settings, directory, role, bound, ready, workers)


def _run(
    settings: config.Config,
    directory: pathlib.Path,
    role: app.Role,
    bound: socket.socket | None,
    ready: str,
    processes: int,
) -> None:
    lexicon()  # before anybody waits: it takes a moment to load
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(app.serve(settings, directory, role=role, listener=bound, ready=ready, processes=processes))


def _supervise(
    settings: config.Config, directory: pathlib.Path, role: app.Role, bound: socket.socket, ready: str, workers: int
) -> None:
    """API processes that share the socket, and this process for carriers and sweeps; one that dies is started again."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_supervised(settings, directory, role, bound, ready, workers))


async def _supervised(
    settings: config.Config, directory: pathlib.Path, role: app.Role, bound: socket.socket, ready: str, workers: int
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with app.platform(settings, directory):  # so that the children find the database up to date
        command = [
            sys.executable,
            "-m",
            "trunkline",
            "serve",
            "--role",
            "api",
            "--listener",
            str(bound.fileno()),
            "--processes",
            str(workers),
            "--data-dir",
            str(directory),
        ]
        commands = [command] * workers
        if role == "all":
            commands += [
                [sys.executable, "-m", "trunkline", "serve", "--role", other, "--data-dir", str(directory)]
                for other in ("carrier", "worker")
            ]
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        started: asyncio.Queue[None] = asyncio.Queue()
        children = [asyncio.create_task(_keep_alive(each, bound, started)) for each in commands]
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
        finally:
            for child in children:
                child.cancel()
            await asyncio.gather(*children, return_exceptions=True)


async def _keep_alive(command: list[str], bound: socket.socket, started: "asyncio.Queue[None]") -> None:
    """Raises OperatorError for a process that ends before it was up even once."""
    was_up = False
    while True:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=[bound.fileno()], env=dict(os.environ)
        )
        assert process.stdout is not None
        try:
            if await process.stdout.readline():
                started.put_nowait(None)
                was_up = True
            code = await process.wait()
            if not was_up:
                raise OperatorError(f"A process of the server did not start ({code}).")
            logging.getLogger("trunkline").error("a process ended with %d; it is started again", code)
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            if process.returncode is None:
                process.terminate()
                await process.wait()
            raise
