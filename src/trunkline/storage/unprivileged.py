"""The user under whom PostgreSQL runs where we are root, and what root does in folders that belong to that user.

Whoever owns a folder can put a link where a file was. So root opens what is there by handle, never through a link
(``O_NOFOLLOW``), looks at what it has opened, and changes owner and mode of that alone. Everything else in such a
folder is done by a process that has become the user (``keeper.py``, and the server itself).
"""

import contextlib
import dataclasses
import errno
import os
import pathlib
import pwd
import stat
import subprocess
from collections.abc import Iterator

from trunkline.errors import OperatorError

SYSTEM_USER = "trunkline"  # PostgreSQL refuses to run as root


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int


def owner_of(folder: int) -> User:
    """Who PostgreSQL runs as over an open folder: ourselves; as root the folder's owner.

    Where that is root, the system's user gets the folder. Raises OperatorError where the user cannot be made.
    """
    if os.geteuid() != 0:
        return User(os.geteuid(), os.getegid())
    status = os.fstat(folder)
    if status.st_uid != 0:  # given away before, or an ordinary user's own
        return User(status.st_uid, status.st_gid)
    made = _system_user()
    os.fchown(folder, made.uid, made.gid)
    return made


def _system_user() -> User:
    try:
        found = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        try:
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            why = made.stderr.strip()
        except OSError as error:
            why = f"useradd: {error.strerror}"
        try:  # two may make it at once
            found = pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            raise OperatorError(
                f"PostgreSQL does not run as root, and the user {SYSTEM_USER} cannot be made: {why}"
            ) from None
    return User(found.pw_uid, found.pw_gid)


def open_folder(path: pathlib.Path, name: str) -> int:
    """A handle of the folder ``name`` in the folder ``path``, both made where they are not. Raises OSError.

    A link in its place is followed only where nobody but root and ourselves could have put it there.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    parent = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        trusted = os.fstat(parent).st_uid in (0, os.geteuid())
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | (0 if trusted else os.O_NOFOLLOW), dir_fd=parent)
    finally:
        os.close(parent)


def user_of(path: pathlib.Path) -> User:
    """The user of a data directory's database, with a folder of theirs in it. Raises OSError, OperatorError."""
    state = open_folder(path, "postgres")
    try:
        return owner_of(state)
    finally:
        os.close(state)


def give_directory(path: pathlib.Path, own: frozenset[str], user: User) -> None:
    """Gives a data directory to its database's user, with the files named ``own`` in it.

    One that is somebody's already stays theirs. Raises OSError, and OperatorError where root's holds anything besides:
    it may be no data directory at all.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if os.fstat(folder).st_uid == 0:
            names = set(os.listdir(folder))
            if strange := names - own - {"postgres"}:
                raise OperatorError(f"the data directory {path} holds something else, {min(strange)!r}")
            for name in names & own:
                _give_file(folder, name, user)
            os.fchown(folder, user.uid, user.gid)
    finally:
        os.close(folder)
    _give_locks(path / "postgres", user)
    open_the_way(path, user)


def _give_locks(path: pathlib.Path, user: User) -> None:
    """Gives away what versions that served as root left of root's beside the database: locks and the log."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        for name in ("start.lock", "users.lock", "keeper.lock", "postgres.log", "address"):
            with contextlib.suppress(FileNotFoundError):
                _give_file(folder, name, user)
    finally:
        os.close(folder)


def _give_file(folder: int, name: str, user: User) -> None:
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        status = os.fstat(handle)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == 0:
            os.fchown(handle, user.uid, user.gid)
    finally:
        os.close(handle)


@contextlib.contextmanager
def acting_as(user: User) -> Iterator[None]:
    """Root has the user's rights for a moment, to see what they may."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(user.gid)
    os.seteuid(user.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def become(user: User) -> None:
    """Drops root for good, in this process and those that it starts (setuid(2))."""
    os.setgroups([])
    os.setgid(user.gid)
    os.setuid(user.uid)


def lock_file(folder: int, name: str, user: User) -> int:
    """A handle of an empty file to be locked, which the user can open too. Raises OSError, OperatorError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    handle = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size or status.st_nlink != 1:
            raise OperatorError(f"{name} in the folder of the embedded PostgreSQL is not the empty file that it was.")
        if status.st_uid != user.uid and os.geteuid() == 0:
            os.fchown(handle, user.uid, user.gid)
    except BaseException:
        os.close(handle)
        raise
    return handle


def open_the_way(folder: pathlib.Path, user: User) -> None:
    """Lets the user pass through (not list, not read) a folder and those above; only where they cannot yet."""
    if os.geteuid() != 0:
        return
    handle = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in folder.resolve().parts[1:]:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = below
            status = os.fstat(handle)
            needed = stat.S_IXOTH
            if status.st_uid == user.uid:
                needed = stat.S_IXUSR
            elif status.st_gid == user.gid:
                needed = stat.S_IXGRP
            if not status.st_mode & needed:
                os.fchmod(handle, stat.S_IMODE(status.st_mode) | needed)
    finally:
        os.close(handle)


def open_beside(path: pathlib.Path, flags: int) -> int:
    """A handle of a file in somebody's folder, theirs where root makes it, and never what they linked there.

    Raises OSError. In a folder of root's or of our own a link is followed.
    """
    owner = path.parent.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return os.open(path, flags, 0o666)
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise FileExistsError(errno.EEXIST, "it is not a file of its own", str(path))
        if status.st_uid == 0 and status.st_size == 0:
            os.fchown(handle, owner.st_uid, owner.st_gid)
    except BaseException:
        os.close(handle)
        raise
    return handle


def give(handle: int, folder: pathlib.Path) -> None:
    """Gives an open file that root has just made to the folder's owner."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)
