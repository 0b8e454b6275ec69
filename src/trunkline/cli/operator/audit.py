"""``trunkline audit``: who did what, and the proof that nobody has rewritten it."""

import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Callable, Iterator

import click
import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trunkline.accounts import accounts
from trunkline.audit import acts, chain, heads, proof
from trunkline.cli.command import answer, common, opened, operator, run
from trunkline.cli.terminal import exact, say
from trunkline.errors import OperatorError


@click.group()
def audit() -> None:
    """The audit: list, verify, dump, and the chain's signed head."""


@audit.command("list")
@click.option("--account", "email", help="Only acts on this account.")
@click.option("--action", help="Only acts of this kind, as in key.created.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@common
@run
async def list_(
    email: str | None, action: str | None, limit: int, as_json: bool, data_dir: pathlib.Path | None
) -> None:
    """Show acts, newest first."""
    async with opened(data_dir) as (_, built):
        account_id = (await accounts.find(built.database, email))["account_id"] if email is not None else None
        found = (await acts.every(built.database, account_id, action=action, limit=limit)).data
    if as_json:
        answer(True, {"acts": found}, "")
        return
    if not found:
        say("no acts")
    for act in found:
        facts = msgspec.json.encode(act.data).decode()
        say(f"{act.at}  {act.actor:<16}  {act.action:<20}  {act.target:<24}  {facts}")


@audit.command()
@click.option(
    "--heads",
    "heads_file",
    type=click.Path(path_type=pathlib.Path, exists=True, dir_okay=False),
    help="Exported heads to compare with; those of the settings unless named.",
)
@click.option(
    "--public-key",
    type=click.Path(path_type=pathlib.Path, exists=True, dir_okay=False),
    help="PEM of the keys that are trusted; those of the signing key's file unless named.",
)
@common
@run
async def verify(
    heads_file: pathlib.Path | None, public_key: pathlib.Path | None, as_json: bool, data_dir: pathlib.Path | None
) -> None:
    """Prove the audit: every act is in the chain, every link is right, and the chain ends as it was signed."""
    async with opened(data_dir) as (settings, built):
        directory = settings.directory(str(data_dir) if data_dir else None)
        if public_key is not None:
            trusted = heads.read_keys(public_key)
        else:
            trusted = await chain.keys(built.database, settings.audit.key_path(directory))
            with contextlib.suppress(OperatorError):  # a chain that cannot go on is about to be looked at
                await chain.link(built.database, trusted)  # what commands did while no server ran
        assert trusted is not None
        exported = heads_file or settings.audit.heads_path(directory)
        with contextlib.ExitStack() as stack:
            lines = stack.enter_context(_lines(exported))
            progress = stack.enter_context(_progress(hidden=as_json or not sys.stderr.isatty()))
            verdict = await proof.verify(built.database, trusted.trusted, lines, progress=progress)
    words = [
        f"{verdict.entries} acts, {verdict.linked} linked, {verdict.unlinked} not linked yet; "
        f"{verdict.heads} exported heads compared",
        *(f"off: {each}" for each in verdict.off),
        "the audit is whole" if verdict.ok else "the audit is off",
    ]
    answer(as_json, dataclasses.asdict(verdict), "\n".join(words))
    if not verdict.ok:
        raise OperatorError(f"The audit is off in {verdict.off_count} places.")


@contextlib.contextmanager
def _lines(file: pathlib.Path) -> Iterator[Iterator[str]]:
    if not file.exists():  # nothing has been exported yet
        yield iter(())
        return
    try:
        lines = open(file, encoding="utf-8", errors="replace")  # noqa: SIM115 - errors of opening are told from others
    except OSError as error:
        raise OperatorError(f"The file of heads {file} cannot be read: {error.strerror}.") from None
    with lines:
        yield iter(lines)


@contextlib.contextmanager
def _progress(*, hidden: bool) -> Iterator[Callable[[int, int], object]]:
    if hidden:
        yield lambda _done, _all: None
        return
    with click.progressbar(length=1, label="verifying", file=sys.stderr) as bar:

        def show(done: int, of: int) -> None:
            bar.length = of
            bar.update(done - bar.pos)

        yield show


@audit.command()
@common
@run
async def head(as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Show the chain's signed head, and the public key that proves it."""
    async with opened(data_dir) as (settings, built):
        directory = settings.directory(str(data_dir) if data_dir else None)
        keys = await chain.keys(built.database, settings.audit.key_path(directory))
        signed = await chain.head(built.database)
    pem = keys.trusted[0].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    key = signed.signed_by(keys.trusted) if signed is not None else None
    if signed is not None and key is None:
        raise OperatorError("The audit chain's end is signed by a key that is not in the file of keys.")
    line = heads.line(signed, key) if signed is not None and key is not None else None
    answer(
        as_json,
        {"head": line, "public_key": pem},
        (
            f"position {line.position}\nhash {line.hash}\nsigned at {line.signed_at}\n"
            if line
            else "no act is linked yet\n"
        )
        + pem.rstrip(),
    )


@audit.command()
@common
@run
async def export(as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Append the signed head to the file of heads now."""
    async with opened(data_dir) as (settings, built):
        directory = settings.directory(str(data_dir) if data_dir else None)
        key_file, heads_file = settings.audit.key_path(directory), settings.audit.heads_path(directory)
        await chain.link(built.database, await chain.keys(built.database, key_file))
        signed = await chain.export(built.database, key_file, heads_file)
    position = signed.position if signed is not None else 0
    answer(
        as_json,
        {"position": position, "file": str(heads_file)},
        f"the head at position {position} stands in {heads_file}" if position else "no act is linked yet",
    )


@audit.command()
@common
@run
async def dump(as_json: bool, data_dir: pathlib.Path | None) -> None:  # noqa: ARG001 - lines of JSON either way
    """Write the whole chain as lines of JSON, for an auditor who has no database."""
    async with opened(data_dir) as (_, built):
        async for lines in proof.dump(built.database, operator()):
            sys.stdout.buffer.write(exact(lines.decode()).encode())
        sys.stdout.buffer.flush()
