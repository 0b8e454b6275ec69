"""What an error of the database means: SQLSTATE classes (PostgreSQL, Appendix A) as what a caller can do about them."""

import asyncpg

from trunkline.errors import Unavailable


class DatabaseAway(Unavailable):
    """PostgreSQL cannot be reached, or cannot write at the moment; the call may be made again."""

    code = "database_away"


# 25006: read-only; 25P03: idle in a transaction for too long; 53300: too many connections.
_GONE = ("25006", "25P03", "53300")
# 53100: disk full, 53200: out of memory, 53400: a limit of its configuration, 58000, 58030: the system below, as I/O.
_SHORT = ("53000", "53100", "53200", "53400", "58000", "58030")


def is_away(error: BaseException) -> bool:
    """Whether an error says that this connection's server is gone or may no longer write (08, 57P0x, 25006, …)."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state.startswith(("08", "57P0")) or state in _GONE
    # InternalClientError: the server's last words came while asyncpg was about to speak
    return isinstance(error, (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError))


def is_short(error: BaseException) -> bool:
    """Whether the server lacks what it needs: a full disk, no memory. The connection is as good as any other."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in _SHORT


def refuses_writes(error: BaseException) -> bool:
    """Whether nothing can be stored: a disk that is full or broken."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in ("53100", "58030")


def words(error: BaseException) -> str:
    """In one line, and without the details of a server's error, which may quote a row."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    text = error.args[0] if isinstance(error, asyncpg.PostgresError) and error.args else error
    return " ".join(str(text).split()) or type(error).__name__
