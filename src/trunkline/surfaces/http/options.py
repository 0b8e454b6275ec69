"""Settings of the HTTP server: where it listens, whom it believes, and how much it takes at a time."""

from ipaddress import ip_network

import msgspec


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
