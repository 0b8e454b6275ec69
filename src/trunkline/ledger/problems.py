"""Deposits that cannot be made or credited."""

from trunkline.errors import Conflict, Forbidden


class DepositsOff(Forbidden):
    """The operator takes no payments here."""

    code, title = "deposits_off", "Deposits are off"


class DepositMismatch(Conflict):
    code, title = "deposit_mismatch", "Payment and deposit differ"
