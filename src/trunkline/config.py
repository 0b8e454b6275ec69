"""Settings: ``default.toml``, then the file named by ``TRUNKLINE_CONFIG``, then ``TRUNKLINE_*`` variables.

Read once, in ``app`` and ``cli``, which hand each slice the few values that it needs; nobody else sees a Config.
"""

import difflib
import importlib.resources
import os
import pathlib
import tomllib
import urllib.parse
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any, Literal

import msgspec
import platformdirs

from trunkline import egress, money
from trunkline.accounts.caps import SHARES, Caps
from trunkline.egress import urls
from trunkline.errors import InvalidRequest, OperatorError

PREFIX = "TRUNKLINE_"


class ServerOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    host: str
    port: int
    requests_per_minute: int
    account_requests_per_minute: int
    public_requests_per_minute: int
    account_concurrency: int
    account_held_calls: int
    nodes: int
    trusted_proxies: list[str]
    database_connections: int
    metrics_from: list[str]
    connections: int
    connections_of_address: int
    lame_duck_seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError("a port is 0 to 65535")
        if min(self.requests_per_minute, self.account_requests_per_minute) < 1:
            raise ValueError("requests_per_minute and account_requests_per_minute are 1 or more")
        if self.public_requests_per_minute < 0:
            raise ValueError("public_requests_per_minute is 1 or more, or 0 for no limit")
        if min(self.account_concurrency, self.account_held_calls) < 1:
            raise ValueError("account_concurrency and account_held_calls are 1 or more")
        if min(self.nodes, self.database_connections) < 1:
            raise ValueError("nodes and database_connections are 1 or more")
        if self.connections < 1 or self.connections_of_address < 0:
            raise ValueError("connections is 1 or more, connections_of_address 0 or more")
        if not 0 <= self.lame_duck_seconds <= 300:
            raise ValueError("lame_duck_seconds is 0 to 300")
        for network in [*self.trusted_proxies, *self.metrics_from]:
            ip_network(network)


class MoneyOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    currency: str
    default_price: str
    cancel_fee: str

    def __post_init__(self) -> None:
        try:
            money.parse(self.default_price)
            money.parse(self.cancel_fee)
        except InvalidRequest as error:
            raise ValueError(error.detail) from None
        if not (len(self.currency) == 3 and self.currency.isascii() and self.currency.isupper()):
            raise ValueError("a currency is three capital letters, as in USD")


class StripeOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    secret_key: str
    webhook_secret: str
    success_url: str
    cancel_url: str
    api_base: str
    minimum: str
    maximum: str

    def __post_init__(self) -> None:
        try:
            if not 0 < money.parse(self.minimum) <= money.parse(self.maximum):
                raise ValueError("minimum is more than 0, and not more than maximum")
        except InvalidRequest as error:
            raise ValueError(error.detail) from None
        needed = (self.webhook_secret, self.success_url, self.cancel_url, self.api_base)
        if self.secret_key and not all(needed):
            raise ValueError("with a secret_key, webhook_secret, success_url, cancel_url and api_base are needed")
        for url in filter(None, (self.success_url, self.cancel_url, self.api_base)):
            try:
                urls.check_page(url)
            except InvalidRequest as error:
                raise ValueError(f"success_url, cancel_url and api_base: {error.detail}") from None


class PoolOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    simulated: Literal["auto", "always", "test"]
    simulated_seed: int
    quarantine_seconds: int
    cancel_wait_seconds: int
    ttl_seconds: int

    def __post_init__(self) -> None:
        if self.quarantine_seconds < 0 or self.cancel_wait_seconds < 0:
            raise ValueError("a duration is 0 or more seconds")
        if not 60 <= self.ttl_seconds <= 3600:
            raise ValueError("ttl_seconds is 60 to 3600")


class PolicyOptions(Caps[int, float], forbid_unknown_fields=True, frozen=True):
    appeal: str
    most_keys: int
    keys_per_day: int

    def __post_init__(self) -> None:
        if any(getattr(self, name) < 0 for name in Caps.__struct_fields__ if name not in SHARES):
            raise ValueError("a cap is 0 or more")
        if not all(0 <= getattr(self, name) <= 1 for name in SHARES):
            raise ValueError(f"{' and '.join(SHARES)} are shares, 0 to 1")
        if min(self.most_keys, self.keys_per_day) < 1:
            raise ValueError("most_keys and keys_per_day are 1 or more")


class ControlOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    nameservers: list[str]

    def __post_init__(self) -> None:
        self.addresses()

    def addresses(self) -> list[tuple[str, int]]:
        return _addresses(self.nameservers)


def _addresses(nameservers: list[str]) -> list[tuple[str, int]]:
    """Address and port of each, of ``9.9.9.9``, ``127.0.0.1:5353`` or ``[::1]:5353``. Raises ValueError."""
    parts = [urllib.parse.urlsplit(f"//{each}") for each in nameservers]
    return [(str(ip_address(each.hostname or "")), each.port or 53) for each in parts]


class WebhookOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    allow: list[str]
    nameservers: list[str]
    retry_seconds: list[float]
    seconds: float
    concurrency: int
    endpoint_concurrency: int
    disable_after_seconds: float
    most_endpoints: int

    def __post_init__(self) -> None:
        egress.networks(self.allow)
        self.addresses()
        if min([self.seconds, self.disable_after_seconds, *self.retry_seconds]) <= 0:
            raise ValueError("a duration is more than 0 seconds")
        if min(self.concurrency, self.endpoint_concurrency, self.most_endpoints) < 1 or len(self.retry_seconds) > 99:
            raise ValueError("concurrency, endpoint_concurrency and most_endpoints are 1 or more, retries at most 99")

    def addresses(self) -> list[tuple[str, int]]:
        return _addresses(self.nameservers)


class EventOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    days: int
    streams_per_key: int
    streams_per_account: int
    heartbeat_seconds: float

    def __post_init__(self) -> None:
        if not 4 <= self.days <= 3650:
            raise ValueError("days is 4 to 3650: a webhook may be tried for more than three")
        if min(self.streams_per_key, self.streams_per_account) < 1 or not 0 < self.heartbeat_seconds <= 3600:
            raise ValueError("streams_per_key and streams_per_account are 1 or more, heartbeat_seconds more than 0")


class StatusOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    url: str


class LogOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    format: Literal["text", "json"]
    level: Literal["debug", "info", "warning", "error"]


class RetentionOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    days: int
    longest_days: int
    test_days: int
    label_days: int
    warn_gigabytes: float

    def __post_init__(self) -> None:
        if not 0 <= self.days <= self.longest_days <= 30:
            raise ValueError("days is 0 to longest_days, and that at most 30")
        if not 4 <= self.test_days <= 3650:
            raise ValueError("test_days is 4 to 3650: a text may be repeated, and a webhook tried, for more than three")
        if not 32 <= self.label_days <= 3650:
            raise ValueError("label_days is 32 to 3650")
        if self.warn_gigabytes <= 0:
            raise ValueError("warn_gigabytes is more than 0")


LONGEST_PART_WAIT_SECONDS = 1800  # parts further apart are of different texts


class InboxOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    group_size: int
    backlog: int
    part_wait_seconds: float
    repeat_secret: str

    def __post_init__(self) -> None:
        if self.group_size < 1 or self.backlog < 1:
            raise ValueError("group_size and backlog are 1 or more")
        if not 1 <= self.part_wait_seconds <= LONGEST_PART_WAIT_SECONDS:
            raise ValueError(f"part_wait_seconds is from 1 to {LONGEST_PART_WAIT_SECONDS}")

    def secret_path(self, directory: pathlib.Path) -> pathlib.Path:
        return pathlib.Path(self.repeat_secret).expanduser() if self.repeat_secret else directory / "repeat-secret"


class AuditOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    signing_key: str
    heads_file: str
    export_seconds: float

    def __post_init__(self) -> None:
        if self.export_seconds < 1:
            raise ValueError("export_seconds is 1 or more")

    def key_path(self, directory: pathlib.Path) -> pathlib.Path:
        return pathlib.Path(self.signing_key).expanduser() if self.signing_key else directory / "audit-signing-key.pem"

    def heads_path(self, directory: pathlib.Path) -> pathlib.Path:
        return pathlib.Path(self.heads_file).expanduser() if self.heads_file else directory / "audit-heads.jsonl"


class Config(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    database_url: str
    database_owner_url: str
    data_dir: str
    valkey_url: str
    server: ServerOptions
    money: MoneyOptions
    stripe: StripeOptions
    pool: PoolOptions
    policy: PolicyOptions
    control: ControlOptions
    webhooks: WebhookOptions
    events: EventOptions
    status: StatusOptions
    log: LogOptions
    retention: RetentionOptions
    inbox: InboxOptions
    audit: AuditOptions
    carriers: dict[str, dict[str, Any]]  # as they were read: each kind reads its own

    def directory(self, override: str | None = None) -> pathlib.Path:
        """Where the embedded database lives: one whole path, whatever folder is the current one later.

        Raises OperatorError.
        """
        chosen = override or self.data_dir
        try:
            found = pathlib.Path(chosen).expanduser() if chosen else platformdirs.user_data_path("trunkline")
            return pathlib.Path(os.path.realpath(found))
        except (OSError, ValueError, RuntimeError) as error:  # no current folder, a zero octet, nobody's home
            raise OperatorError(f"The data directory {chosen!r} cannot be used: {error}.") from None


def load(environment: Mapping[str, str] = os.environ) -> Config:
    """Raises OperatorError, naming the setting, for a file that cannot be read and a value that cannot be."""
    settings = tomllib.loads(importlib.resources.files("trunkline").joinpath("default.toml").read_text("utf-8"))
    file = environment.get("TRUNKLINE_CONFIG")
    if file:
        try:
            _overlay(settings, tomllib.loads(pathlib.Path(file).read_text("utf-8")))
        except OSError as error:
            raise OperatorError(f"The settings file {file} cannot be read: {error.strerror}.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise OperatorError(f"The settings file {file} is not TOML: {error}.") from None
    for name, value in sorted(environment.items()):
        path = name[len(PREFIX) :].lower().split("__")
        if name.startswith(PREFIX) and _is_setting(path[0], settings):
            _set(settings, path, value)
    try:
        return msgspec.convert(settings, Config, strict=False)
    except msgspec.ValidationError as error:
        raise OperatorError(f"The settings are wrong: {error}.") from None


def _overlay(settings: dict[str, Any], above: dict[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(settings.get(key), dict):
            _overlay(settings[key], value)
        else:
            settings[key] = value


def _is_setting(name: str, settings: dict[str, Any]) -> bool:
    """Whether a variable is ours: a client's (TRUNKLINE_API_KEY, …) is not, and a misspelt one of ours is refused."""
    if name in settings:
        return True
    near = difflib.get_close_matches(name, [*settings, "config"], n=1, cutoff=0.85)
    if near and near[0] != name:
        wrong, right = (PREFIX + word.upper() for word in (name, near[0]))
        raise OperatorError(f"There is no setting {wrong}; {right} is one.")
    return False


def _set(settings: dict[str, Any], path: list[str], value: str) -> None:
    table = settings
    for key in path[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise OperatorError(f"There is no setting {'.'.join(path)}.")
    is_list = isinstance(table.get(path[-1]), list)
    table[path[-1]] = [each.strip() for each in value.split(",") if each.strip()] if is_list else value
