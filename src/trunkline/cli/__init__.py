"""The ``trunkline`` command."""

import sys

import click

from trunkline.cli import (
    accounts,
    audit,
    carriers,
    catalog,
    codes,
    control,
    demo,
    inbox,
    incident,
    keys,
    ledger,
    listen,
    numbers,
    policy,
    serve,
    simulate,
    stats,
    trigger,
    usage,
    webhooks,
)
from trunkline.errors import TrunklineError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version="0.1.0", prog_name="trunkline")
def trunkline() -> None:
    """A self-hosted SMS verification platform: lease a number, get the code."""


for command in (
    serve.serve,
    demo.demo,
    accounts.account,
    keys.key,
    numbers.numbers,
    carriers.carriers,
    catalog.service,
    catalog.catalog,
    catalog.price,
    simulate.simulate,
    listen.listen,
    trigger.trigger,
    inbox.inbox,
    incident.incident,
    codes.extract,
    stats.stats,
    ledger.ledger,
    audit.audit,
    webhooks.webhook,
):
    trunkline.add_command(command)
accounts.account.add_command(usage.usage)
for command in (policy.policy, policy.freeze, policy.unfreeze):
    accounts.account.add_command(command)
catalog.service.add_command(control.control)


def main() -> None:
    """Exit codes: 0 done, 1 refused or failed (one line on stderr), 2 wrong usage."""
    try:
        trunkline(standalone_mode=False)
    except TrunklineError as error:
        click.echo(f"trunkline: {error.detail}", err=True)
        sys.exit(1)
    except click.exceptions.Abort:
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
