"""Dropping root (setuid): a server over the embedded database goes on as that database's user.

What needs root is over by then: the port is bound, the user is there, and the data directory is theirs. Where that user
could not serve, the server stays root and says why (docs/decisions/0021).
"""

import ctypes
import os
import pathlib
import sys
from collections.abc import Iterator

import asyncpg

import trunkline
from trunkline import config
from trunkline.config import Config
from trunkline.errors import OperatorError
from trunkline.storage import unprivileged
from trunkline.storage.unprivileged import User

PR_SET_DUMPABLE = 4  # of prctl(2)


def drop(settings: Config, directory: pathlib.Path) -> str | None:
    """Why this process is still root; None: it is not."""
    if os.geteuid() != 0:
        return None
    if settings.database_url:
        return "its database is not the embedded one, whose user it could be"
    own = [
        settings.inbox.secret_path(directory),
        settings.verify.secret_path(directory),
        settings.audit.key_path(directory),
        settings.audit.heads_path(directory),
    ]
    place = pathlib.Path(os.path.realpath(directory))
    try:
        user = unprivileged.user_of(place)
        for folder in _code():
            unprivileged.open_the_way(folder, user)
        with unprivileged.acting_as(user):
            config.load()  # as the processes of ``--workers`` do
            _check(user, _run_and_read(settings))
        unprivileged.give_directory(place, frozenset(file.name for file in own), user)
        with unprivileged.acting_as(user):
            _check(user, _written(own))
    except OSError as error:
        return f"{directory} cannot be given to its database's user: {error.strerror}"
    except OperatorError as error:
        return error.detail.rstrip(".")
    unprivileged.become(user)
    hide()
    return None


def hide() -> None:
    """Keeps this process's memory and environment from others of the same user: PostgreSQL is one (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _code() -> Iterator[pathlib.Path]:
    """Folders of what is run and imported."""
    yield pathlib.Path(os.path.realpath(sys.executable)).parent
    yield pathlib.Path(sys.executable).absolute().parent
    for module in (os, asyncpg, trunkline):
        yield pathlib.Path(str(module.__file__)).parent


def _run_and_read(settings: Config) -> Iterator[tuple[pathlib.Path, int]]:
    """Files and folders, and what has to be done with each."""
    yield pathlib.Path(sys.executable), os.X_OK
    for folder in _code():
        yield folder, os.R_OK | os.X_OK
    yield pathlib.Path(str(trunkline.__file__)), os.R_OK
    for carrier in settings.carriers.values():
        if carrier.get("tls_ca"):
            yield pathlib.Path(str(carrier["tls_ca"])), os.R_OK


def _written(own: list[pathlib.Path]) -> Iterator[tuple[pathlib.Path, int]]:
    for file in own:
        yield (file, os.R_OK | os.W_OK) if file.exists() else (_nearest(file), os.W_OK | os.X_OK)


def _nearest(file: pathlib.Path) -> pathlib.Path:
    """The folder in which it would be made, or the first above that is there."""
    return next(folder for folder in file.absolute().parents if folder.exists())


def _check(user: User, needed: Iterator[tuple[pathlib.Path, int]]) -> None:
    """Raises OperatorError for the first that the user, whose rights we have, may not use."""
    for path, mode in needed:
        if not os.access(path, mode, effective_ids=True):
            raise OperatorError(f"the user {user.uid} of its database may not use {path}")
