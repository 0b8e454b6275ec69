"""Settings: ``default.toml``, then the file named by ``TRUNKLINE_CONFIG``, then ``TRUNKLINE_*`` variables.

Each slice says in its ``options.py`` what it lets be set and what cannot be; here they are put together. Read once, in
``app`` and ``cli``, which hand each slice the few values that it needs; nobody else sees a Config.
"""

import difflib
import importlib.resources
import os
import pathlib
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec
import platformdirs

from trunkline.accounts.options import PolicyOptions
from trunkline.activations.options import InboxOptions, RetentionOptions
from trunkline.audit.options import AuditOptions
from trunkline.catalog.options import ControlOptions, PoolOptions
from trunkline.errors import OperatorError
from trunkline.events.options import EventOptions
from trunkline.events.webhooks.options import WebhookOptions
from trunkline.ledger.options import MoneyOptions, StripeOptions
from trunkline.logs import LogOptions
from trunkline.monitoring.options import StatusOptions
from trunkline.surfaces.http.options import ServerOptions
from trunkline.verify.options import VerifyOptions

PREFIX = "TRUNKLINE_"


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
    verify: VerifyOptions
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
