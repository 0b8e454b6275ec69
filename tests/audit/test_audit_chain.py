"""The chain over the acts: nothing in it can be changed without being found, and nothing that was done is left out."""

import asyncio
import dataclasses
import datetime
import itertools
import json
import pathlib
import random
import re

import asyncpg
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from trunkline.audit import acts as audit
from trunkline.audit import chain, encoding, heads, proof
from trunkline.audit.acts import Actor
from trunkline.audit.heads import Head, Keys
from trunkline.audit.proof import Verdict
from trunkline.errors import OperatorError, Unavailable
from trunkline.storage.database import Database, DatabaseAway

pytestmark = pytest.mark.asyncio

MUTATIONS = 1_000
ENTRIES = 50


@pytest.fixture
def keys(tmp_path: pathlib.Path) -> Keys:
    return heads.make_keys(tmp_path / "key.pem")


async def act(connection: object, number: int, *, actor: Actor | None = None) -> None:
    await audit.record(
        connection,  # type: ignore[arg-type] # a connection of ours or of asyncpg
        actor or Actor("key:12", 1001, number % 2 == 0, "203.0.113.7", f"req_{number}"),
        "key.created",
        f"key:{number}",
        {"name": f"the {number}.", "scopes": ["numbers"], "price": 0.5},
    )


async def acts(database: Database, count: int) -> None:
    async with database.transaction() as connection:
        for number in range(count):
            await act(connection, number, actor=Actor("operator:eve") if number % 7 == 0 else None)


async def exported(database: Database, keys: Keys) -> list[str]:
    """What the file of heads has."""
    signed = await chain.head(database)
    assert signed is not None
    return [msgspec.json.encode(heads.line(signed, keys.trusted[0])).decode()]


# Being found out


@dataclasses.dataclass
class Forger:
    """Somebody who owns the database, has not the key, and does one thing at random, as well as it can be done."""

    connection: "asyncpg.Connection[asyncpg.Record]"
    chance: random.Random
    old_head: Head  # a copy that they kept of a genuine one, at position 25
    done: str = ""

    async def rewrite(self) -> None:
        kind = self.chance.choice([
            self.edit_entry, self.edit_entry, self.edit_entry, self.edit_link, self.edit_head, self.delete_entry,
            self.delete_link, self.delete_both, self.cut_the_end, self.swap_ids, self.swap_positions,
            self.swap_contents, self.insert, self.insert_into_the_chain, self.renumber_the_links,
            self.work_the_chain_out_again,
        ])  # fmt: skip
        self.done = kind.__name__
        await kind()

    def some(self, count: int = 1) -> list[int]:
        return self.chance.sample(range(1, ENTRIES + 1), count)

    async def edit_entry(self) -> None:
        column, change = self.chance.choice([
            ("entry_id", "entry_id + 1000000"), ("entry_id", "-entry_id"), ("at", "at + interval '1 microsecond'"),
            ("at", "at - interval '3000 years'"), ("at", "at - interval '1 day'"), ("at", "'infinity'"),
            ("actor", "actor || ' '"), ("actor", "'system'"), ("actor", "''"),
            ("account_id", "CASE WHEN account_id IS NULL THEN 1001 END"), ("account_id", "coalesce(account_id, 0) + 1"),
            ("test", "NOT test"), ("action", "'key.revoked'"), ("action", "left(action, -1)"),
            ("target", "target || '0'"), ("target", "reverse(target)"), ("data", "'{}'"), ("data", "data - 'price'"),
            ("data", """data || '{"price": 0.50}'"""), ("data", """data || '{"more": null}'"""),
            ("address", "CASE WHEN address IS NULL THEN '' END"), ("address", "coalesce(address, '') || '1'"),
            ("request_id", "CASE WHEN request_id IS NULL THEN '-' END"),
            ("request_id", "coalesce(request_id, '') || 'x'"),
        ])  # fmt: skip
        self.done += f" {column} = {change}"
        override = "ALTER TABLE audit_entry ALTER entry_id DROP IDENTITY"
        if column == "entry_id":
            await self.connection.execute(override)
        await self.connection.execute(f"UPDATE audit_entry SET {column} = {change} WHERE entry_id = $1", *self.some())

    async def edit_link(self) -> None:
        change = self.chance.choice([
            "position = position + 1000", "entry_id = entry_id + 1000", "hash = sha256(hash)",
            "hash = set_byte(hash, 31, (get_byte(hash, 31) + 1) % 256)",
        ])  # fmt: skip
        self.done += " " + change
        await self.connection.execute(f"UPDATE audit_link SET {change} WHERE position = $1", *self.some())

    async def edit_head(self) -> None:
        change = self.chance.choice([
            "position = position - 1", "position = position + 1", "hash = sha256(hash)",
            "signed_at = signed_at + interval '1 second'", "signature = sha512(signature)", "signature = ''",
            "position = link.position, hash = link.hash",
        ])  # fmt: skip
        self.done += " " + change
        await self.connection.execute(
            f"UPDATE audit_head SET {change} FROM (SELECT position, hash FROM audit_link WHERE position = $1) AS link"
            if "link" in change
            else f"UPDATE audit_head SET {change} WHERE $1 > 0",
            self.chance.randint(1, ENTRIES - 1),
        )

    async def delete_entry(self) -> None:
        await self.connection.execute("DELETE FROM audit_entry WHERE entry_id = $1", *self.some())

    async def delete_link(self) -> None:
        await self.connection.execute("DELETE FROM audit_link WHERE position = $1", *self.some())
        if self.chance.random() < 0.5:
            self.done += " and closes the gap"
            await self.connection.execute(
                "UPDATE audit_link AS l SET position = n.new"
                " FROM (SELECT position, row_number() OVER (ORDER BY position) + 1000 AS new FROM audit_link) AS n"
                " WHERE n.position = l.position"
            )
            await self.connection.execute("UPDATE audit_link SET position = position - 1000")

    async def delete_both(self) -> None:
        gone = self.some(self.chance.randint(1, 5))
        await self.connection.execute("DELETE FROM audit_link WHERE entry_id = ANY ($1::bigint[])", gone)
        await self.connection.execute("DELETE FROM audit_entry WHERE entry_id = ANY ($1::bigint[])", gone)

    async def cut_the_end(self) -> None:
        """With a head put on the new end, as well as that can be done without the key."""
        last = self.chance.choice([self.old_head.position, self.chance.randint(0, ENTRIES - 1)])
        await self.connection.execute("DELETE FROM audit_entry WHERE entry_id > $1", last)
        await self.connection.execute("DELETE FROM audit_link WHERE position > $1", last)
        if last == self.old_head.position:
            self.done += " where an old head was"
            await self.connection.execute(chain.SQL.put_head, *dataclasses.astuple(self.old_head))
        else:
            await self.sign_anew()

    async def sign_anew(self) -> None:
        end = await self.connection.fetchrow(chain.SQL.last_link)
        if end is None:
            self.done += " to nothing"
            await self.connection.execute("DELETE FROM audit_head")
            return
        forged = Keys(Ed25519PrivateKey.generate(), []).sign(end["position"], end["hash"], "2026-04-19T14:30:00Z")
        await self.connection.execute(chain.SQL.put_head, *dataclasses.astuple(forged))

    async def swap_ids(self) -> None:
        one, other = self.some(2)
        await self.connection.execute("ALTER TABLE audit_entry ALTER entry_id DROP IDENTITY")
        for old, new in ((one, -1), (other, one), (-1, other)):
            await self.connection.execute("UPDATE audit_entry SET entry_id = $2 WHERE entry_id = $1", old, new)

    async def swap_positions(self) -> None:
        one, other = self.some(2)
        for old, new in ((one, 99999), (other, one), (99999, other)):
            await self.connection.execute("UPDATE audit_link SET position = $2 WHERE position = $1", old, new)
        if self.chance.random() < 0.5:
            self.done += " but not of hashes"
            await self.connection.execute(
                "UPDATE audit_link AS l SET hash = o.hash FROM audit_link AS o"
                " WHERE (l.position, o.position) IN (($1, $2), ($2, $1))",
                one,
                other,
            )

    async def swap_contents(self) -> None:
        one, other = self.some(2)
        await self.connection.execute(
            "UPDATE audit_entry AS e SET at = o.at, actor = o.actor, account_id = o.account_id, test = o.test,"
            " action = o.action, target = o.target, data = o.data, address = o.address, request_id = o.request_id"
            " FROM audit_entry AS o WHERE (e.entry_id, o.entry_id) IN (($1, $2), ($2, $1))",
            one,
            other,
        )

    async def insert(self) -> int:
        """An act that was never done, dated back."""
        forged: int = await self.connection.fetchval(
            "INSERT INTO audit_entry (at, actor, account_id, action, target)"
            " VALUES (now() - $1 * interval '1 second', 'key:12', 1001, 'key.created', 'key:66') RETURNING entry_id",
            self.chance.randint(0, 7200),
        )
        return forged

    async def insert_into_the_chain(self) -> None:
        forged, at = await self.insert(), self.chance.randint(1, ENTRIES + 1)
        await self.connection.execute("UPDATE audit_link SET position = position + 1000 WHERE position >= $1", at)
        await self.connection.execute("UPDATE audit_link SET position = position - 999 WHERE position >= 1000")
        await self.connection.execute("INSERT INTO audit_link VALUES ($1, $2, sha256('x'))", at, forged)
        if self.chance.random() < 0.5:
            await self.cover_up()

    async def renumber_the_links(self) -> None:
        by = self.chance.randint(1, 10)
        await self.connection.execute("UPDATE audit_link SET position = position + 1000")
        await self.connection.execute("UPDATE audit_link SET position = position - 1000 + $1", by)

    async def work_the_chain_out_again(self) -> None:
        await self.edit_entry()
        await self.cover_up()

    async def cover_up(self) -> None:
        self.done += ", and works out all hashes again"
        await self.work_out_hashes()
        if self.chance.random() < 0.5:
            await self.sign_anew()

    async def work_out_hashes(self) -> None:
        previous = encoding.START
        for position, _, linked, *entry in await self.connection.fetch(chain.SQL.links, 0, 10 * ENTRIES):
            if entry[0] is None:
                continue
            previous = encoding.link_hash(previous, position, entry)
            await self.connection.execute("UPDATE audit_link SET hash = $2 WHERE entry_id = $1", linked, previous)


@pytest.mark.timeout(1200)  # it is much to do, where others want the processors too
async def test_whatever_the_owner_of_the_database_changes_is_found(database: Database, keys: Keys, url: str) -> None:
    await acts(database, ENTRIES // 2)
    assert await chain.link(database, keys) == ENTRIES // 2
    old_head = await chain.head(database)
    assert old_head is not None
    await acts(database, ENTRIES // 2)
    assert await chain.link(database, keys) == ENTRIES // 2
    lines = await exported(database, keys)
    assert (await proof.verify(database, keys.trusted, lines)).ok
    missed = []
    kinds = set()
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")  # no triggers
    for seed in range(MUTATIONS):
        forger = Forger(connection, random.Random(seed), old_head)
        undo = connection.transaction(isolation="repeatable_read")
        await undo.start()
        await forger.rewrite()
        needed = lines if forger.done.startswith("cut_the_end") else []  # all else is found in the database itself
        verdict = await proof.prove(connection, keys.trusted, needed)
        if verdict.ok or not verdict.off:
            missed.append((seed, forger.done))
        kinds.add(forger.done.replace(",", " ").split()[0])
        await undo.rollback()
    await connection.close()
    assert missed == []
    assert len(kinds) == 14
    assert (await proof.verify(database, keys.trusted, lines)).ok


async def test_what_is_off_is_named_once_with_its_place(database: Database, keys: Keys, url: str) -> None:
    await acts(database, 10)
    await chain.link(database, keys)
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("UPDATE audit_entry SET target = 'key:99' WHERE entry_id = 3")
    await connection.execute("DELETE FROM audit_entry WHERE entry_id = 7")
    await connection.execute("INSERT INTO audit_entry (actor, action, target) VALUES ('system', 'x.y', 'z')")
    await connection.close()
    verdict = await proof.verify(database, keys.trusted)
    assert verdict == Verdict(
        ok=False, entries=10, linked=10, unlinked=1, heads=0, off_count=3,
        off=[
            {"what": "hash_wrong", "position": 3, "entry_id": 3},
            {"what": "entry_missing", "position": 7, "entry_id": 7},
            {"what": "entry_unlinked", "entry_id": 11},
        ],
    )  # fmt: skip


async def test_of_many_things_that_are_off_a_hundred_are_named_and_all_are_counted(
    database: Database, keys: Keys, url: str
) -> None:
    await acts(database, 300)
    await chain.link(database, keys)
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("UPDATE audit_entry SET test = NOT test")
    await connection.execute("DELETE FROM audit_link WHERE position > 150")
    await connection.close()
    verdict = await proof.verify(database, keys.trusted)
    assert len(verdict.off) == 100
    assert verdict.off_count == 150 + 150 + 1  # contents, acts without a link, and the head


async def test_nobody_changes_acts_and_links_by_mistake(database: Database, keys: Keys) -> None:
    await acts(database, 2)
    await chain.link(database, keys)
    for table, column in (("audit_entry", "actor"), ("audit_link", "hash")):
        for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(asyncpg.RaiseError, match="append-only"):
                await database.execute(statement)


# Being complete


async def test_an_act_that_commits_later_than_its_successor_is_linked_later(
    database: Database, keys: Keys, url: str
) -> None:
    slow, fast = await asyncpg.connect(url), await asyncpg.connect(url)
    begun = slow.transaction()
    await begun.start()
    await act(slow, 1)
    await act(fast, 2)
    assert await chain.link(database, keys) == 1
    assert (await proof.verify(database, keys.trusted)).unlinked == 0
    await begun.commit()
    verdict = await proof.verify(database, keys.trusted)
    assert (verdict.ok, verdict.entries, verdict.unlinked) == (True, 2, 1)
    assert await chain.link(database, keys) == 1
    rows = await database.fetch("SELECT entry_id FROM audit_link ORDER BY position")
    assert [row["entry_id"] for row in rows] == [2, 1]
    assert (await proof.verify(database, keys.trusted)).ok
    await slow.close()
    await fast.close()


@pytest.mark.timeout(400)
async def test_writers_in_any_order_and_sequencers_that_are_shot_leave_one_whole_chain(
    database: Database, keys: Keys, url: str
) -> None:
    chance = random.Random(7)
    committed: set[str] = set()
    shots = 0
    writing = asyncio.Event()
    writing.set()

    async def write(name: int) -> None:
        connection = await asyncpg.connect(url)
        for turn in itertools.count():
            if turn >= 25 and shots >= 3:
                break
            transaction = connection.transaction()
            await transaction.start()
            targets = [f"{name}-{turn}-{each}" for each in range(chance.randint(1, 3))]
            for target in targets:
                await audit.record(connection, Actor("system"), "test.done", target)
                await asyncio.sleep(chance.uniform(0, 0.01))  # the others overtake
            if chance.random() < 0.25:
                await transaction.rollback()
            else:
                await transaction.commit()
                committed.update(targets)
        await connection.close()

    async def sequence() -> None:
        nonlocal shots
        own = await Database.open(url, connections=2)
        while writing.is_set():
            try:
                await chain.link(own, keys)
            except Unavailable:  # also where it was only cancelled
                shots += 1
        await own.close()

    async def shoot() -> None:
        connection = await asyncpg.connect(url)
        while writing.is_set():
            how = chance.choice(["pg_cancel_backend", "pg_terminate_backend"])
            await connection.execute(
                f"SELECT {how}(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'trunkline' AND state IN ('active', 'idle in transaction')"
                " AND backend_xid IS NOT NULL"
            )
            await asyncio.sleep(0.01)
        await connection.close()

    others = [asyncio.create_task(each) for each in (sequence(), sequence(), shoot())]
    async with asyncio.timeout(300):  # until enough shots have hit
        await asyncio.gather(*map(write, range(16)))
    writing.clear()
    await asyncio.gather(*others)
    await chain.link(database, keys)
    verdict = await proof.verify(database, keys.trusted)
    assert (verdict.ok, verdict.linked, verdict.unlinked) == (True, len(committed), 0)
    rows = await database.fetch("SELECT target FROM audit_link JOIN audit_entry USING (entry_id) ORDER BY position")
    assert sorted(row["target"] for row in rows) == sorted(committed)


async def test_a_sequencer_that_dies_before_it_has_signed_leaves_nothing_behind(
    database: Database, keys: Keys, url: str
) -> None:
    await acts(database, 3)
    await chain.link(database, keys)
    await acts(database, 3)
    holder = await asyncpg.connect(url)
    holding = holder.transaction()
    await holding.start()
    await holder.execute("SELECT FROM audit_head FOR UPDATE")  # links are written, and the head waits
    linking = asyncio.create_task(chain.link(database, keys))
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'trunkline'"
        " AND wait_event_type = 'Lock'"
    )
    while (pid := await holder.fetchval(waiting)) is None:  # a lock has no event to wait for
        await asyncio.sleep(0.005)
    await holder.execute("SELECT pg_terminate_backend($1)", pid)
    with pytest.raises(DatabaseAway):
        await linking
    await holding.rollback()
    await holder.close()
    verdict = await proof.verify(database, keys.trusted)
    assert (verdict.ok, verdict.linked, verdict.unlinked) == (True, 3, 3)
    assert await chain.link(database, keys) == 3
    assert (await proof.verify(database, keys.trusted)).ok


async def test_batches_follow_one_another_until_nothing_waits(
    database: Database, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "BATCH", 7)
    monkeypatch.setattr(proof, "PAGE", 4)
    await acts(database, 30)
    assert await chain.link(database, keys) == 30
    assert (await proof.verify(database, keys.trusted, 3 * await exported(database, keys))).ok


async def test_an_act_may_wait_a_minute_for_its_link_and_no_longer(database: Database, keys: Keys) -> None:
    insert = "INSERT INTO audit_entry (at, actor, action, target) VALUES (now() - $1::interval, 'system', 'a.b', 'c')"
    await database.execute(insert, datetime.timedelta(seconds=20))
    verdict = await proof.verify(database, keys.trusted)
    assert (verdict.ok, verdict.unlinked) == (True, 1)
    await database.execute(insert, datetime.timedelta(seconds=61))
    verdict = await proof.verify(database, keys.trusted)
    assert (verdict.ok, verdict.unlinked, verdict.off) == (False, 2, [{"what": "entry_unlinked", "entry_id": 2}])


# The signed end


async def test_a_chain_that_was_rewritten_is_not_signed_anew(database: Database, keys: Keys, url: str) -> None:
    await acts(database, 5)
    await chain.link(database, keys)
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")
    forger = Forger(connection, random.Random(1), Head(1, b"", "", b""))
    await connection.execute("UPDATE audit_entry SET actor = 'system' WHERE entry_id = 2")
    await forger.work_out_hashes()
    await connection.close()
    await acts(database, 1)
    with pytest.raises(OperatorError, match="does not end as it was signed"):
        await chain.link(database, keys)
    assert (await proof.verify(database, keys.trusted)).unlinked == 1


async def test_a_lost_key_is_not_replaced_by_stealth(database: Database, keys: Keys, tmp_path: pathlib.Path) -> None:
    await acts(database, 1)
    await chain.link(database, keys)
    with pytest.raises(OperatorError, match="is not there"):
        await chain.keys(database, tmp_path / "other.pem")
    assert not (tmp_path / "other.pem").exists()
    other = heads.make_keys(tmp_path / "other.pem")
    assert [each["what"] for each in (await proof.verify(database, other.trusted)).off] == ["head_signature_wrong"]
    await acts(database, 1)
    with pytest.raises(OperatorError, match="not in the file of keys"):
        await chain.link(database, other)


async def test_a_new_key_goes_on_where_the_old_one_is_trusted(
    database: Database, keys: Keys, tmp_path: pathlib.Path
) -> None:
    await acts(database, 1)
    await chain.link(database, keys)
    old_head = await exported(database, keys)
    file = tmp_path / "new.pem"
    heads.make_keys(file)
    old = keys.trusted[0].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    file.write_bytes(file.read_bytes() + old)
    rotated = await chain.keys(database, file)
    await acts(database, 1)
    assert await chain.link(database, rotated) == 1
    assert (await proof.verify(database, rotated.trusted, old_head + await exported(database, rotated))).ok
    assert not (await proof.verify(database, keys.trusted, old_head)).ok


async def test_processes_that_make_the_key_at_once_have_one(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "deep" / "key.pem"
    made = await asyncio.gather(*(asyncio.to_thread(heads.make_keys, file) for _ in range(16)))
    assert len({heads.key_id(each.trusted[0]) for each in made}) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["key.pem"]


async def test_a_file_that_has_no_such_key_is_named(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "key.pem"
    heads.make_keys(file)
    file_of_a_key = file.read_bytes()
    other_kind = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    for text in (b"", other_kind, 2 * file_of_a_key, b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        file.write_bytes(text)
        with pytest.raises(OperatorError, match=re.escape(str(file))):
            heads.read_keys(file)


async def test_heads_are_appended_once_each_and_a_torn_line_is_mended(
    database: Database, keys: Keys, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "outside" / "heads.jsonl"
    await acts(database, 1)
    await chain.link(database, keys)
    key_file = tmp_path / "key.pem"
    for _ in range(2):
        await chain.export(database, key_file, file)
    first = file.read_bytes()
    assert first.count(b"\n") == 1
    file.write_bytes(first + first[:40])  # the power went
    await acts(database, 1)
    await chain.link(database, keys)
    await chain.export(database, key_file, file)
    lines = file.read_text().splitlines()
    assert [json.loads(line)["position"] for line in lines] == [1, 2]
    verdict = await proof.verify(database, keys.trusted, lines)
    assert (verdict.ok, verdict.heads) == (True, 2)


async def test_an_exported_head_that_was_changed_is_found(database: Database, keys: Keys) -> None:
    await acts(database, 3)
    await chain.link(database, keys)
    [line] = await exported(database, keys)
    said = json.loads(line)
    stranger = Ed25519PrivateKey.generate()
    forged = heads.line(Keys(stranger, []).sign(3, bytes(32), said["signed_at"]), stranger.public_key())
    for changed in (
        "not JSON", "\ufffd", "{}", line[:-5], json.dumps(said | {"position": 2}), json.dumps(said | {"position": 0}),
        json.dumps(said | {"position": 2**63}), json.dumps(said | {"hash": "00" * 32}),
        json.dumps(said | {"hash": "0"}),
        json.dumps(said | {"signed_at": "2020-01-01T00:00:00Z"}), json.dumps(said | {"signature": "AAAA"}),
        json.dumps(said | {"signature": "é"}), json.dumps(said | {"key_id": "0"}), msgspec.json.encode(forged).decode(),
    ):  # fmt: skip
        verdict = await proof.verify(database, keys.trusted, [line, changed])
        assert [each["line"] for each in verdict.off] == [2], changed
