"""A running server: what each role does, until it is told to stop."""

import asyncio
import contextlib
import gc
import logging
import pathlib
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, Literal

from trunkline import app, asgi, egress
from trunkline.accounts.keys import Keyring
from trunkline.accounts.limits import Limiter
from trunkline.accounts.shared_limits import SharedLimiter
from trunkline.activations import outcomes, sweeper
from trunkline.app import VERSION, Platform
from trunkline.asgi import Push
from trunkline.audit import chain
from trunkline.carriers import links
from trunkline.carriers.carrier import Carrier, Deliver, Report
from trunkline.carriers.ownership import Ownership
from trunkline.carriers.simulated import carrier as simulator
from trunkline.catalog import moving
from trunkline.config import Config
from trunkline.errors import OperatorError
from trunkline.events.fan_out import FanOut
from trunkline.events.tail import Event, Gap
from trunkline.events.webhooks.delivery import Dispatcher
from trunkline.ledger import deposits
from trunkline.monitoring import health
from trunkline.monitoring.exposition import Exposition
from trunkline.monitoring.gauges import Gauges
from trunkline.surfaces.http.addresses import Addresses
from trunkline.surfaces.http.application import Application
from trunkline.surfaces.http.door import Door, raise_file_limit
from trunkline.surfaces.http.probes import Probes
from trunkline.surfaces.http.strangers import Strangers
from trunkline.surfaces.http.surface import Surface
from trunkline.verify import checking
from trunkline.verify.sender import Sender

RESTART_SECONDS = 5
SIGNALS = (signal.SIGTERM, signal.SIGINT)  # that end a process in order
DRAIN_SECONDS = 35  # longer than the longest held call
FILES_KEPT = 96  # descriptors that connections never get: for the log, the carriers, look-ups, commands

Role = Literal["all", "api", "carrier", "worker"]

log = logging.getLogger("trunkline")


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; ``::`` is every address, of IPv4 too. Raises OperatorError where it cannot be had."""
    is_everything = host == "::" and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024, dualstack_ipv6=is_everything)
    except (OSError, OverflowError) as error:
        raise OperatorError(f"Cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}.") from None


@contextlib.asynccontextmanager
async def limiting(config: Config, *, processes: int = 1) -> AsyncIterator[Limiter | SharedLimiter]:
    """The limits of one of ``processes`` API processes on this node. Raises OperatorError."""
    parts = processes * config.server.nodes
    together = config.server.account_requests_per_minute
    if not config.valkey_url:
        yield Limiter(parts, account_per_minute=together)
        return
    shared = SharedLimiter(config.valkey_url, parts=parts, account_per_minute=together)
    await shared.open()
    try:
        yield shared
    finally:
        await shared.close()


def probes(
    config: Config,
    built: Platform,
    pushed: Push,
    folder: pathlib.Path | None,
    stop: asyncio.Event | None = None,
) -> Probes:
    behind = pushed.tail.behind_seconds
    gauges = Gauges(built.database, built.inbox, pushed.live, list(built.registry.carriers.values()), behind)
    return Probes(
        ping=built.database.ping,
        lying=gauges.lying,
        exposition=Exposition(gauges.look, version=VERSION, folder=folder),
        behind=behind,
        metrics_from=config.server.metrics_from,
        stop=stop,
    )


def probes_alone(config: Config, built: Platform, asked: Probes) -> Application:
    """The ASGI application of a process that serves no API."""
    return Application(
        [Surface("", [])],
        database=built.database,
        keyring=Keyring(built.database),
        limiter=Limiter(account_per_minute=config.server.account_requests_per_minute),
        addresses=Addresses(config.server.trusted_proxies),
        appeal="",
        files={},
        probes=asked,
    )


def carrying(built: Platform, pushed: Push) -> list[asyncio.Task[None]]:
    """The links of the carriers, and what is sent over them."""
    carriers, network = built.registry.carriers, built.registry.simulated
    owners = {name: Ownership(each, built.database.alone) for name, each in carriers.items() if each is not network}
    sender = Sender(
        built.database,
        carriers,
        lambda name: (owners.get(name) or carriers[name]).health(),
        built.verify.seals,
        route_seconds=built.verify.options.route_seconds,
    )

    def told(news: Sequence[Event] | Gap) -> None:
        if isinstance(news, Gap) or any(event.type == "verification.started" for event in news):
            sender.news()

    pushed.tail.follow(told)
    return [
        asyncio.create_task(links.watch(built.database, [network, *owners.values()])),
        asyncio.create_task(
            _send_over(
                sender,
                simulator.send(built.database, built.inbox.put, sender.report),
                *(
                    _keep_running(owner, carriers[name], built.inbox.put, sender.report)
                    for name, owner in owners.items()
                ),
            )
        ),
    ]


async def _send_over(sender: Sender, *ways: Coroutine[Any, Any, None]) -> None:
    """Runs the links, and what is sent over them, until cancelled: then the answers to what is under way come first."""
    running = [asyncio.create_task(way) for way in ways]
    try:
        await sender.run()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def dispatcher(config: Config, built: Platform) -> Dispatcher:
    options = config.webhooks
    return Dispatcher(
        built.database,
        allow=egress.networks(options.allow),
        nameservers=options.addresses(),
        retry_seconds=options.retry_seconds,
        seconds=options.seconds,
        concurrency=options.concurrency,
        endpoint_concurrency=options.endpoint_concurrency,
        disable_after_seconds=options.disable_after_seconds,
        keep_days=config.events.days,
        retention_days=config.retention.days,
    )


async def serve(
    config: Config,
    data_dir: pathlib.Path,
    *,
    role: Role,
    listener: socket.socket | None,
    ready: str,
    processes: int = 1,
    metrics_folder: pathlib.Path | None = None,
    still_root: str | None = None,
) -> None:
    """Runs a role until SIGTERM or SIGINT, then lets what is under way end. Prints ``ready`` once it is up.

    A carrier or worker with a ``listener`` answers probes alone. ``metrics_folder`` is shared by the processes of one
    server. ``still_root``: why this process is.
    """
    stop = asyncio.Event()
    end_on_signals(stop)
    bounds = _bounds(config, raise_file_limit())
    async with app.platform(config, data_dir) as built:
        warn_of_root(still_root)
        pushed = asgi.push(config, built)
        asked = probes(config, built, pushed, metrics_folder, stop)
        tasks = [asyncio.create_task(asked.exposition.run())]
        if role in ("all", "carrier"):
            tasks += carrying(built, pushed)
            await _name_stranded(built)
        if role in ("all", "worker"):
            kept = config.retention
            keep = sweeper.Keep(kept.test_days, kept.label_days, kept.warn_gigabytes * 1e9)
            tasks.append(asyncio.create_task(sweeper.sweep(built.database, built.inbox, keep)))
            tasks.append(asyncio.create_task(deposits.sweep(built.database)))
            tasks.append(asyncio.create_task(outcomes.sweep(built.database)))
            tasks.append(asyncio.create_task(checking.sweep(built.database, test_days=kept.test_days)))
            tasks.append(asyncio.create_task(health.watch(built.database, built.registry)))
            key_file, heads_file = config.audit.key_path(data_dir), config.audit.heads_path(data_dir)
            linking = chain.keep(built.database, key_file, heads_file, export_seconds=config.audit.export_seconds)
            tasks.append(asyncio.create_task(linking))
            sending = dispatcher(config, built)
            tasks.append(asyncio.create_task(sending.run()))
            fan_out = FanOut(built.database, sending.planned, keep_days=config.events.days)
            pushed.tail.follow(fan_out.told)
            tasks.append(asyncio.create_task(fan_out.run()))
        tasks.append(asyncio.create_task(pushed.tail.run()))
        try:
            if listener is not None and role in ("carrier", "worker"):
                _settle_down()
                await listen(probes_alone(config, built, asked), pushed, listener, stop, ready, **bounds)
            elif listener is not None:
                keyring = Keyring(built.database)
                tasks.append(asyncio.create_task(keyring.keep_uses()))
                async with limiting(config, processes=processes) as limiter:
                    parts = processes * config.server.nodes
                    strangers = Strangers(config.server.public_requests_per_minute, parts=parts)
                    application = asgi.application(config, built, pushed, keyring, limiter, asked, strangers)
                    _settle_down()
                    await listen(application, pushed, listener, stop, ready, **bounds)
            else:
                _settle_down()
                print(ready, flush=True)  # noqa: T201 - the one line that whoever started us waits for
                await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def end_on_signals(stop: asyncio.Event) -> None:
    """Sets ``stop`` when the process is told to end.

    Not by ``add_signal_handler``: what takes that back restores the default action for a moment, in which being told
    again kills the process.
    """
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))


def ignore_signals() -> None:
    """Once a process has come to its end: being told again changes nothing, not the exit code either."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _bounds(config: Config, files: int | None) -> dict[str, Any]:
    """How many connections there may be: what is left of the files once everybody else in the process has theirs."""
    options = config.server
    kept = FILES_KEPT + options.database_connections + config.webhooks.concurrency
    most = options.connections if files is None else min(options.connections, max(files - kept, files // 4))
    return {
        "connections": most,
        "connections_of_address": min(options.connections_of_address, most // 2),
        "lame_duck_seconds": options.lame_duck_seconds,
        "proxies": Addresses(options.trusted_proxies),
    }


def warn_of_root(still_root: str | None) -> None:
    """Once the server is about to serve: whoever is refused reads one line, which says why."""
    if still_root is not None:
        log.warning(
            "the server runs as root: %s. It needs none of root's rights; give it a user of its own", still_root
        )


def _settle_down() -> None:
    """What is in memory once everything is built stays there: no later collection of garbage need look at it."""
    gc.collect()
    gc.freeze()


async def listen(
    application: Application,
    pushed: Push,
    listener: socket.socket,
    stop: asyncio.Event,
    ready: str,
    *,
    connections: int = 10_000,
    connections_of_address: int = 0,
    lame_duck_seconds: float = 0,
    proxies: Addresses | None = None,
) -> None:
    """Serves HTTP on a bound socket until ``stop`` is set, then lets what is under way come to its end.

    First comes the lame duck: for some seconds everybody is still let in and answered, each for the last time, so that
    balancers and callers go elsewhere without losing a request.
    """
    door = Door(
        application,
        most=connections,
        most_of_address=connections_of_address,
        proxies=proxies or Addresses([]),
        refusals=application.refusals,
        stop=stop,
    )
    door.open(listener)
    print(ready, flush=True)  # noqa: T201
    await stop.wait()
    await asyncio.sleep(lame_duck_seconds)
    pushed.drain()
    await door.close(seconds=DRAIN_SECONDS)
    application.refusals.close()


async def _name_stranded(built: Platform) -> None:
    for row in await moving.stranded(built.database, list(built.registry.carriers)):
        log.warning(
            "the carrier %s has left the settings, and has %d numbers with %d live leases (see: numbers move)",
            *(row["carrier"], row["numbers"], row["live"]),
        )


async def _keep_running(owner: Ownership, carrier: Carrier, deliver: Deliver, report: Report) -> None:
    """A carrier that fails is started again; its neighbours do not notice."""
    while True:
        try:
            await owner.run(lambda: carrier.run(deliver, report))
        except Exception:
            log.exception("the carrier %s failed; it is started again in %d s", carrier.name, RESTART_SECONDS)
        await asyncio.sleep(RESTART_SECONDS)
