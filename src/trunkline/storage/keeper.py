"""Stops an embedded PostgreSQL when nobody uses it any more.

Runs as a process of its own, started by ``embedded.py`` with the server: ``keeper.py STATE_DIR PG_CTL PGDATA UID GID``.
Every user of the server holds a shared lock on ``users.lock``; the kernel drops it however the user ends, ``kill -9``
included. Once the exclusive lock can be had, there are no users. Imports nothing but the standard library.
"""

import fcntl
import os
import subprocess
import sys
from typing import IO


def alone(users: IO[bytes]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main(state_dir: str, pg_ctl: str, pgdata: str, uid: str, gid: str) -> None:
    root = os.geteuid() == 0
    with open(f"{state_dir}/users.lock", "rb") as users, open(f"{state_dir}/start.lock", "rb") as starting:
        while True:
            fcntl.flock(users, fcntl.LOCK_EX)  # wakes when the last user is gone
            fcntl.flock(users, fcntl.LOCK_UN)
            fcntl.flock(starting, fcntl.LOCK_EX)  # nobody starts or joins while we look again
            if alone(users):
                break
            fcntl.flock(starting, fcntl.LOCK_UN)
        subprocess.run(
            [pg_ctl, "-D", pgdata, "-m", "fast", "-w", "-t", "120", "stop"],
            user=int(uid) if root else None,
            group=int(gid) if root else None,
            extra_groups=[] if root else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


if __name__ == "__main__":
    main(*sys.argv[1:6])
