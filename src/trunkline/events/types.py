"""The types of events, and what each tells. The list that endpoints choose from and that the documentation shows."""

from collections.abc import Iterable

from trunkline.errors import InvalidRequest

TYPES = {
    "sms.received": "A text arrived for a lease.",
    "activation.created": "A number was leased.",
    "activation.completed": "A lease was completed, or came to its deadline with a text.",
    "activation.cancelled": "A lease was cancelled; what it cost is given back, less the operator's fee.",
    "activation.expired": "A lease came to its deadline without a text; what it cost is given back, less the fee.",
    "balance.low": "The balance went below the line that the account has drawn.",
    "deposit.paid": "A payment was credited.",
    "key.created": "An API key was made.",
    "key.rotated": "An API key was rotated.",
    "key.revoked": "An API key was revoked.",
    "verification.started": "A code is on its way to a number.",
    "verification.sent": "A carrier took the text; a resend and a fallback tell it again.",
    "verification.delivered": "A receipt says that the text arrived.",
    "verification.undelivered": "A receipt says that the text did not arrive, or no carrier took it.",
    "verification.approved": "The right code was checked.",
    "verification.failed": "All checks were used up.",
    "verification.expired": "The code was not checked in time.",
    "verification.cancelled": "The app cancelled it.",
    "verification.blocked": "The guard held it back before anything was sent.",
    "webhook.disabled": "A webhook was disabled, because it failed for five days or answered 410 Gone.",
    "webhook.test": "Sent by request, to one webhook alone.",
}
GROUPS = {name.partition(".")[0] for name in TYPES}

MOST_WANTED = 50


def checked(wanted: Iterable[str], field: str = "events") -> list[str]:
    """A list of types without repeats; ``activation.*`` is a group, ``*`` is all. Raises InvalidRequest."""
    found = list(dict.fromkeys(wanted))
    if not 1 <= len(found) <= MOST_WANTED:
        raise InvalidRequest(f"{field} names 1 to {MOST_WANTED} types of events.", field=field)
    for name in found:
        group, _, rest = name.partition(".")
        if name != "*" and name not in TYPES and not (group in GROUPS and rest == "*"):
            raise InvalidRequest(f"There is no type of event {name!r}; there are {', '.join(TYPES)}.", field=field)
    return found


def wants(wanted: Iterable[str], name: str) -> bool:
    """Whether a list of types holds one; the database's ``wants`` says the same."""
    group = name.partition(".")[0] + ".*"
    return any(each in (name, group, "*") for each in wanted)
