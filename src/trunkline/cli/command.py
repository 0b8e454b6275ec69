"""What every command shares: ``--json``, ``--data-dir``, an open platform, and one way to answer."""

import asyncio
import functools
import getpass
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import click

from trunkline import app, config
from trunkline.app import Platform
from trunkline.audit.acts import Actor
from trunkline.cli import terminal
from trunkline.config import Config
from trunkline.storage.database import COMMAND
from trunkline.surfaces.http import wire

Function = TypeVar("Function", bound=Callable[..., Any])


def common(function: Function) -> Function:
    """Adds ``--json`` and ``--data-dir``."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Machine-readable output, nothing else on stdout."),
        click.option("--data-dir", type=click.Path(path_type=pathlib.Path), help="Where the embedded database lives."),
    ):
        function = option(function)
    return function


def run(main: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Lets an ``async def`` be a command."""

    @functools.wraps(main)
    def call(*arguments: Any, **options: Any) -> Any:
        return asyncio.run(main(*arguments, **options))  # type: ignore[arg-type]

    return call


@asynccontextmanager
async def opened(data_dir: pathlib.Path | None) -> AsyncIterator[tuple[Config, Platform]]:
    """The settings and the platform that they describe, for one command."""
    settings = config.load()
    directory = settings.directory(str(data_dir) if data_dir else None)
    async with app.platform(settings, directory, connections=2, budget=COMMAND) as built:
        yield settings, built


def operator() -> Actor:
    """Whoever runs this command, for the audit."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # no name for the user id, as in a container
        name = "unknown"
    return Actor(f"operator:{name}")


def answer(as_json: bool, data: Mapping[str, Any], words: str) -> None:
    """One JSON object, or words for a person."""
    if as_json:
        click.echo(terminal.exact(wire.encode(data).decode()))
    else:
        terminal.say(*words.split("\n"))
