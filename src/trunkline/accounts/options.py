"""Settings of what an account may do: quotas that count where it has none of its own, and how many keys it may have."""

from trunkline.accounts.caps import SHARES, Caps


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
