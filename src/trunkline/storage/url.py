"""Reads a PostgreSQL connection URI (PostgreSQL 18, §34.1.1.3, with the parameters of §34.1.2).

Every parameter of libpq's is followed, or harmless to leave out, or refused by name; so is one that there is not. No
error holds a part of the URL that may be the password.
"""

import dataclasses
import difflib
import os
import ssl
import urllib.parse
from collections.abc import Callable, Mapping

from trunkline.errors import OperatorError

CONNECT_SECONDS = 3.0  # that an address gets unless the URL says ``connect_timeout``
DEFAULT_PORT = 5432
ENCODING = "(In a password, / is written as %2F, : as %3A, @ as %40, ? as %3F, % as %25.)"
SCHEMES = ("postgresql", "postgres")


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """``name`` is what certificates know it by; one that begins with / is a folder with a socket."""

    name: str
    port: int
    address: str | None = None  # where it is, without asking a name server


@dataclasses.dataclass(frozen=True, slots=True)
class Keepalive:
    """TCP keepalives of a connection, in seconds; 0 leaves one to the system."""

    is_on: bool = True
    idle: int = 10
    interval: int = 5
    count: int = 3
    user_timeout_ms: int = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where a database is, and how it is connected to."""

    hosts: tuple[Host, ...]  # none: what asyncpg tries then, or what its service file names
    dsn: str  # what asyncpg reads itself: who, which database, TLS
    tls: ssl.SSLContext | None  # None: as ``dsn`` says
    settings: Mapping[str, str]  # of the session
    connect_seconds: float  # of each address
    keepalive: Keepalive
    in_any_order: bool


# What asyncpg follows itself.
PASSED = (
    "user", "password", "passfile", "dbname", "service", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl",
    "sslpassword", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib",
)  # fmt: skip
# What this program follows.
FOLLOWED = (
    "host", "hostaddr", "port", "connect_timeout", "application_name", "fallback_application_name", "options",
    "target_session_attrs", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
    "tcp_user_timeout", "load_balance_hosts",
)  # fmt: skip
# What goes without saying where the value is one of these; any other is refused, with a reason.
HARMLESS: dict[str, tuple[tuple[str, ...], str]] = {
    "channel_binding": (("prefer", "disable"), "a login is not bound to its TLS connection here; leave it out, and name"
                        " sslmode=verify-full, by which the server proves who it is"),
    "gssencmode": (("prefer", "disable"), "only TLS encrypts; leave it out"),
    "client_encoding": (("UTF8", "UTF-8", "utf8", "utf-8", "auto"), "texts are UTF-8"),
    "sslcompression": (("0",), "TLS is not compressed"),
    "sslsni": (("1",), "the name is always told"),
    "sslcertmode": (("allow", "disable"), "name the certificate with sslcert"),
    "replication": (("false", "off", "no", "0"), "this is no replica"),
    "gssdelegation": (("0",), "no ticket is passed on"),
    "min_protocol_version": (("3.0",), "protocol 3.0 is spoken"),
    "max_protocol_version": (("3.0", "latest"), "protocol 3.0 is spoken"),
}  # fmt: skip
UNSUPPORTED = (
    "require_auth", "requirepeer", "requiressl", "servicefile", "sslcrldir", "sslkeylogfile", "scram_client_key",
    "scram_server_key", "oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope",
)  # fmt: skip
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
CHOICES: dict[str, tuple[str, ...]] = {
    "sslmode": SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "load_balance_hosts": ("disable", "random"),
    "keepalives": ("0", "1"),
}
# A server that is only read from is of no use.
SESSIONS = ("any", "primary", "read-write")


def read(url: str) -> Target:
    """Raises OperatorError, in one line that names what is wrong."""
    scheme, separator, rest = url.partition("://")
    if scheme not in SCHEMES or not separator:
        raise OperatorError("The database URL begins with postgresql:// or postgres://.")
    cut = min(found if (found := rest.find(mark)) >= 0 else len(rest) for mark in "/?")
    authority, rest = rest[:cut], rest[cut:]
    if "@" in rest and "@" not in authority:
        raise OperatorError(f"The database URL cannot be read. {ENCODING}")
    path, _, query = rest.partition("?")
    given = _parameters(query)
    userinfo, _, hostlist = authority.rpartition("@")
    user, _, password = userinfo.partition(":")
    for name, value in (("user", user), ("password", password), ("dbname", path.removeprefix("/"))):
        if value:
            given.setdefault(name, _decoded(value, name))
    _check(given)
    hosts = tuple(_hosts(hostlist, given))
    return Target(
        hosts,
        "postgresql://?" + urllib.parse.urlencode(_passed(given), quote_via=urllib.parse.quote),
        _system_trust(given),
        _settings(given),
        float(_whole(given, "connect_timeout", 0)) or CONNECT_SECONDS,
        _keepalive(given),
        given.get("load_balance_hosts") == "random",
    )


def _parameters(query: str) -> dict[str, str]:
    given = {}
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise OperatorError("In the database URL, a parameter after the ? has no value.")
        name = _decoded(name, "a parameter's name")
        given[{"database": "dbname"}.get(name, name)] = _decoded(value, name)
    if given.pop("ssl", None) == "true":  # as JDBC writes it
        given.setdefault("sslmode", "require")
    return {name: value for name, value in given.items() if value}


def _decoded(text: str, what: str) -> str:
    try:
        return urllib.parse.unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise OperatorError(f"In the database URL, {what} is not UTF-8.") from None


def _check(given: Mapping[str, str]) -> None:
    for name, value in given.items():
        if name in HARMLESS:
            values, reason = HARMLESS[name]
            if value not in values:
                raise _refused(name, value, f"is not supported: {reason}")
        elif name in UNSUPPORTED:
            raise OperatorError(f"The parameter {name} of the database URL is not supported; leave it out.")
        elif name not in PASSED and name not in FOLLOWED:
            near = difflib.get_close_matches(name, [*PASSED, *FOLLOWED, *HARMLESS], n=1)
            meant = f"; is {near[0]} meant?" if near else "."
            raise OperatorError(f"The database URL has a parameter that there is not: {name!r}{meant}")
        if name in FILES and value != "system" and not os.access(value, os.R_OK):
            raise OperatorError(f"The file {value} that {name} of the database URL names cannot be read.")
        if name in CHOICES and value not in CHOICES[name]:
            raise _refused(name, value, f"is not one of {', '.join(CHOICES[name])}")
    session = given.get("target_session_attrs", "any")
    if session not in SESSIONS:
        raise _refused("target_session_attrs", session, "cannot be: the database is written; name read-write")


def _refused(name: str, value: str, why: str) -> OperatorError:
    return OperatorError(f"The parameter {name}={value} of the database URL {why}.")


def _whole(given: Mapping[str, str], name: str, default: int) -> int:
    value = given.get(name)
    if value is None:
        return default
    try:
        return max(int(value), 0)
    except ValueError:
        raise _refused(name, value, "is not a whole number") from None


def _hosts(hostlist: str, given: Mapping[str, str]) -> list[Host]:
    """Those of the authority, or else those of the parameters; with their ports, one for all or one for each."""
    names, ports = [], []
    for each in hostlist.split(",") if hostlist else ():
        name, port = _name_and_port(each)
        names.append(name)
        ports.append(port)
    if "host" in given and not any(names):
        names, ports = given["host"].split(","), []
    addresses = given["hostaddr"].split(",") if "hostaddr" in given else []
    names = names or [""] * len(addresses)
    if addresses and len(addresses) != len(names):
        raise OperatorError("The database URL has not as many values in hostaddr as it has hosts.")
    if "port" in given:
        shared = given["port"].split(",")
        if len(shared) not in (1, max(len(names), 1)):
            raise OperatorError("The database URL has neither one port nor one for each host.")
        shared = shared * max(len(names), 1) if len(shared) == 1 else shared
        ports = [own or another for own, another in zip(ports or [""] * len(shared), shared, strict=False)]
    if not any(names) and not any(ports) and not addresses:
        return []
    names, ports = names or [""], ports or [""] * len(names)
    addresses = addresses or [""] * len(names)
    return [
        Host(name or address or "localhost", _port(port), address or None)
        for name, port, address in zip(names, ports, addresses, strict=True)
    ]


def _name_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise OperatorError("In the database URL, an IPv6 address has no ] at its end.")
        return name, rest[1:]
    name, _, port = text.partition(":")
    return _decoded(name, "a host"), port


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise OperatorError(f"In the database URL, a port is not a number up to 65535. {ENCODING}")
    return int(text)


def _passed(given: Mapping[str, str]) -> dict[str, str]:
    passed = {name: value for name, value in given.items() if name in PASSED}
    if passed.get("sslrootcert") == "system":
        del passed["sslrootcert"]
        passed.pop("sslmode", None)
    return passed


def _system_trust(given: Mapping[str, str]) -> ssl.SSLContext | None:
    """``sslrootcert=system``: the certificates that the system trusts, and the server's name is always checked."""
    if given.get("sslrootcert") != "system":
        return None
    mode = given.get("sslmode", "verify-full")
    if mode != "verify-full":
        raise _refused(
            "sslmode", mode, "is too weak beside sslrootcert=system, which anybody can satisfy; name verify-full"
        )
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["postgresql"])
    if "sslcert" in given:
        _load(lambda: context.load_cert_chain(given["sslcert"], given.get("sslkey"), given.get("sslpassword")))
    return context


def _load(load: Callable[[], None]) -> None:
    try:
        load()
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"The certificate that sslcert names cannot be read: {error.strerror or error}.") from None


def _settings(given: Mapping[str, str]) -> dict[str, str]:
    settings = {
        "application_name": given.get("application_name") or given.get("fallback_application_name", "trunkline")
    }
    if "options" in given:
        settings["options"] = given["options"]
    return settings


def _keepalive(given: Mapping[str, str]) -> Keepalive:
    usual = Keepalive()
    return Keepalive(
        given.get("keepalives", "1") == "1",
        _whole(given, "keepalives_idle", usual.idle),
        _whole(given, "keepalives_interval", usual.interval),
        _whole(given, "keepalives_count", usual.count),
        _whole(given, "tcp_user_timeout", usual.user_timeout_ms),
    )
