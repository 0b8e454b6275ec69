"""Profiles: an app's settings by slug. ``default`` is there without having been made, with nothing set."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from trunkline import paging, phone
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.catalog.countries import countries
from trunkline.clock import iso
from trunkline.errors import InvalidRequest
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind, queries
from trunkline.verify import messages, passcodes
from trunkline.verify.problems import ProfileExists, TooManyProfiles, UnknownProfile
from trunkline.verify.views import Changes, NamedProfile, Profile

SQL = queries(__package__)

DEFAULT = "default"
MOST_PROFILES = 100
MOST_TEST_NUMBERS = 100
MOST_SENDERS = 250
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_SENDER = re.compile(r"[A-Za-z0-9 ._&-]{1,11}|\+?[0-9]{3,15}")

UNTOUCHED = Profile()


class Whose(NamedTuple):
    """The account and mode that a profile belongs to."""

    account: int
    test: bool


async def find(connection: Querier, whose: Whose, slug: str) -> Profile:
    """The settings of a profile as they are used: own words that the operator has not approved are not.

    Raises UnknownProfile.
    """
    return used(await connection.fetchrow(*bind(SQL.profile, **whose._asdict(), slug=slug)), slug)


def used(row: Row | None, slug: str) -> Profile:
    """The same of a row that has been read: its settings, and which words of its own are approved."""
    if row is None or row["settings"] is None:
        if slug == DEFAULT:
            return UNTOUCHED
        raise UnknownProfile(f"There is no profile {slug!r}.", field="profile")
    settings = _settings(row)
    return settings if _is_usable(row) else msgspec.structs.replace(settings, text=None)


async def approve_text(connection: Querier, actor: Actor, whose: Whose, slug: str) -> NamedProfile:
    """By the operator: the profile's own words as they stand may be sent. Raises UnknownProfile."""
    row = await connection.fetchrow(*bind(SQL.approve_text, **whose._asdict(), slug=slug))
    if row is None:
        raise UnknownProfile(f"There is no profile {slug!r} with words of its own.", field="profile")
    await _record(connection, actor, "verify_profile.text_approved", row, {"text": row["approved_text"]})
    return _shown(row)


async def show(connection: Querier, whose: Whose, slug: str) -> NamedProfile:
    """Raises UnknownProfile."""
    row = await connection.fetchrow(*bind(SQL.profile, **whose._asdict(), slug=slug))
    if row is None:
        return _named(slug, await find(connection, whose, slug), None)
    return _shown(row)


async def page(connection: Querier, whose: Whose, *, before: int, limit: int) -> paging.Page[NamedProfile]:
    """An account's profiles, the newest first; the default one is among them once it has been changed."""
    rows = await connection.fetch(*bind(SQL.profiles, **whose._asdict(), before=before, limit=limit + 1))
    return paging.cut(rows, limit, _shown, lambda row: row["profile_id"])


async def create(connection: Querier, actor: Actor, whose: Whose, slug: str, changes: Changes) -> NamedProfile:
    """Raises InvalidRequest naming the field, ProfileExists, and TooManyProfiles where there are 100 already."""
    if not _SLUG.fullmatch(slug):
        raise InvalidRequest(
            "A slug is 1 to 40 of a-z, 0-9, _ and -, and begins with none of the last two.", field="slug"
        )
    profile = _changed(UNTOUCHED, changes)
    await connection.fetchval(SQL.hold_profiles, whose.account)  # so that each counts the others'
    if await connection.fetchval(SQL.count_profiles, whose.account, whose.test) >= MOST_PROFILES:
        raise TooManyProfiles(f"An account has at most {MOST_PROFILES} profiles.")
    row = await connection.fetchrow(*bind(SQL.make_profile, **whose._asdict(), slug=slug, settings=_stored(profile)))
    if row is None:
        raise ProfileExists(f"There is a profile {slug!r} already.")
    await _record(connection, actor, "verify_profile.created", row, changes)
    return _shown(row)


async def put(connection: Querier, actor: Actor, whose: Whose, slug: str, changes: Changes) -> NamedProfile:
    """Changes a profile, or makes it where there is none. Raises InvalidRequest naming the field, TooManyProfiles."""
    try:
        return await change(connection, actor, whose, slug, changes)
    except UnknownProfile:
        return await create(connection, actor, whose, slug, changes)


async def change(connection: Querier, actor: Actor, whose: Whose, slug: str, changes: Changes) -> NamedProfile:
    """What is not named stays. Raises UnknownProfile, InvalidRequest naming the field."""
    await connection.fetchval(SQL.hold_profiles, whose.account)
    profile = _changed(await _as_set(connection, whose, slug), changes)
    row = await connection.fetchrow(*bind(SQL.put_profile, **whose._asdict(), slug=slug, settings=_stored(profile)))
    assert row is not None
    if changes:
        await _record(connection, actor, "verify_profile.updated", row, changes)
    return _shown(row)


async def delete(connection: Querier, actor: Actor, whose: Whose, slug: str) -> NamedProfile:
    """As it last stood; what was started with it goes on. The default one is as if it had never been changed.

    Raises UnknownProfile.
    """
    row = await connection.fetchrow(*bind(SQL.delete_profile, **whose._asdict(), slug=slug))
    if row is None:
        return await show(connection, whose, slug)
    await _record(connection, actor, "verify_profile.deleted", row, {})
    return _shown(row)


async def _record(connection: Querier, actor: Actor, action: str, row: Row, changes: Changes) -> None:
    noted = {
        name: value for name, value in changes.items() if name != "test_numbers"
    }  # whose codes are nobody's business
    await acts.record(connection, actor, action, f"verify_profile:{row['slug']}", noted, account_id=row["account_id"])


async def _as_set(connection: Querier, whose: Whose, slug: str) -> Profile:
    row = await connection.fetchrow(*bind(SQL.profile, **whose._asdict(), slug=slug))
    return _settings(row) if row is not None else await find(connection, whose, slug)


def _settings(row: Row) -> Profile:
    return msgspec.json.decode(row["settings"], type=Profile)


def _stored(profile: Profile) -> str:
    return msgspec.json.encode(profile).decode()


def _shown(row: Row) -> NamedProfile:
    return _named(row["slug"], _settings(row), iso(row["created_at"]), text_approved=_is_usable(row))


def _named(slug: str, profile: Profile, created_at: str | None, *, text_approved: bool = True) -> NamedProfile:
    members = msgspec.structs.asdict(profile)
    return NamedProfile(**members, slug=slug, text_approved=text_approved, created_at=created_at)


def _is_usable(row: Row) -> bool:
    """Whether a profile's own words may be sent: words that lead somewhere need the operator's approval."""
    text = _settings(row).text
    return text is None or not messages.needs_approval(text) or row["approved_text"] == text


def _changed(profile: Profile, changes: Mapping[str, Any]) -> Profile:
    """The profile with what is given. Raises InvalidRequest naming the field."""
    try:
        changed = msgspec.convert(msgspec.structs.asdict(profile) | dict(changes), Profile)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The profile is wrong: {error}.") from None
    if changed.brand:
        messages.check_brand(changed.brand)
    if changed.text is not None:
        messages.check_text(changed.text)
    if changed.template not in messages.TEMPLATES:
        raise messages.unknown_template(changed.template)
    _check_places(changed)
    _check_test_numbers(changed)
    return changed


def _check_places(profile: Profile) -> None:
    for field, named in (("countries", profile.countries or ()), ("senders", profile.senders)):
        for country in named:
            if country not in countries():
                raise InvalidRequest(f"{field}: there is no country {country!r} (ISO 3166-1, lower case).", field=field)
    if len(profile.senders) > MOST_SENDERS:
        raise InvalidRequest(f"senders names at most {MOST_SENDERS} countries.", field="senders")
    for field, sender in (("sender", profile.sender), *(("senders", each) for each in profile.senders.values())):
        if sender and not _SENDER.fullmatch(sender):
            raise InvalidRequest(f"{field}: a sender is a number, or up to 11 letters, digits and spaces.", field=field)


def _check_test_numbers(profile: Profile) -> None:
    if len(profile.test_numbers) > MOST_TEST_NUMBERS:
        raise InvalidRequest(f"A profile has at most {MOST_TEST_NUMBERS} test numbers.", field="test_numbers")
    for number, code in profile.test_numbers.items():
        try:
            phone.parse_e164(number)
            if passcodes.as_typed(code) != code:
                raise InvalidRequest("A code is 4 to 10 digits or capital letters.")
        except InvalidRequest as error:
            raise InvalidRequest(f"test_numbers: {error.detail}", field="test_numbers") from None
