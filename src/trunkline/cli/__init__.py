"""The ``trunkline`` command."""

import importlib
import io
import sys

import click

from trunkline.cli import terminal
from trunkline.errors import TrunklineError

# In the order of --help; a module is imported when its command is used, since all together take half a second.
MODULES = {
    "serve": "serve",
    "demo": "demo.demo",
    "account": "operator.accounts",
    "key": "operator.keys",
    "numbers": "operator.numbers",
    "carriers": "operator.carriers",
    "service": "operator.catalog",
    "catalog": "operator.catalog",
    "price": "operator.catalog",
    "simulate": "operator.simulate",
    "inbox": "operator.inbox",
    "extract": "customer.codes",
    "verify": "operator.verify",
    "webhook": "operator.webhooks",
    "listen": "customer.listen",
    "trigger": "customer.trigger",
    "stats": "operator.stats",
    "incident": "operator.incident",
    "ledger": "operator.ledger",
    "audit": "operator.audit",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in MODULES:
            return None
        module = importlib.import_module(f"{__name__}.{MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version="0.1.0", prog_name="trunkline")
def trunkline() -> None:
    """A self-hosted SMS verification platform: lease a number, get the code."""


def main() -> None:
    """Exit codes: 0 done, 1 refused or failed (one line on stderr), 2 wrong usage."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a text may hold what the terminal has no character for
    try:
        trunkline(standalone_mode=False)
    except TrunklineError as error:
        terminal.say(f"trunkline: {error.detail}", err=True)
        sys.exit(1)
    except click.exceptions.Abort:
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # as of a full disk below standard output
        terminal.say(f"trunkline: {error}", err=True)
        sys.exit(1)
    except Exception as error:
        if not isinstance(error.__cause__ or error, UnicodeEncodeError):
            raise
        click.echo("trunkline: What was given is not text in UTF-8.", err=True)
        sys.exit(1)
