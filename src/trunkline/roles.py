"""A running server: what each role does, until it is told to stop."""

import asyncio
import contextlib
import gc
import logging
import pathlib
import signal
import socket
from collections.abc import AsyncIterator
from typing import Literal

import uvicorn

from trunkline import app, asgi, egress
from trunkline.accounts.keys import Keyring
from trunkline.accounts.limits import Limiter
from trunkline.accounts.shared_limits import SharedLimiter
from trunkline.activations import sweeper
from trunkline.api.addresses import Addresses
from trunkline.api.http import HttpProtocol
from trunkline.api.probes import Probes
from trunkline.api.server import Api
from trunkline.app import VERSION, Platform
from trunkline.asgi import Push
from trunkline.carriers import links, simulator
from trunkline.carriers.carrier import Carrier, Deliver, DeliveryReceipt
from trunkline.carriers.ownership import Ownership
from trunkline.config import Config
from trunkline.errors import OperatorError
from trunkline.events.fan_out import FanOut
from trunkline.ledger import chain, deposits
from trunkline.pool import moving
from trunkline.stats import statistics
from trunkline.status import health
from trunkline.webhooks.delivery import Dispatcher

RESTART_SECONDS = 5
DRAIN_SECONDS = 35  # longer than the longest held call

Role = Literal["all", "api", "carrier", "worker"]

log = logging.getLogger("trunkline")


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OperatorError where it cannot be had."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024
        )
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


def probes(config: Config, built: Platform, pushed: Push, role: Role, folder: pathlib.Path | None) -> Probes:
    return Probes(
        database=built.database,
        inbox=built.inbox,
        live=pushed.live,
        tail=pushed.tail if role != "carrier" else None,
        carriers=list(built.registry.carriers.values()),
        metrics_from=config.server.metrics_from,
        version=VERSION,
        folder=folder,
    )


def probes_alone(config: Config, built: Platform, asked: Probes) -> Api:
    """The ASGI application of a process that serves no API."""
    return Api(
        [],
        database=built.database,
        keyring=Keyring(built.database),
        limiter=Limiter(account_per_minute=config.server.account_requests_per_minute),
        addresses=Addresses(config.server.trusted_proxies),
        appeal="",
        files={},
        probes=asked,
    )


def dispatcher(config: Config, built: Platform) -> Dispatcher:
    options = config.webhooks
    return Dispatcher(
        built.database,
        allow=egress.networks(options.allow),
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
) -> None:
    """Runs a role until SIGTERM or SIGINT, then lets what is under way end. Prints ``ready`` once it is up.

    A carrier or worker with a ``listener`` answers probes alone. ``metrics_folder`` is shared by the processes of one
    server.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with app.platform(config, data_dir) as built:
        pushed = asgi.push(config, built)
        asked = probes(config, built, pushed, role, metrics_folder)
        tasks = [asyncio.create_task(asked.exposition.run())]
        if role in ("all", "carrier"):
            simulated = built.registry.carriers[simulator.NAME]
            owners = [
                Ownership(carrier, built.database.alone)
                for carrier in built.registry.carriers.values()
                if carrier is not simulated
            ]
            tasks += [
                asyncio.create_task(_keep_running(owner, built.registry.carriers[owner.name], built.inbox.put))
                for owner in owners
            ]
            tasks.append(asyncio.create_task(links.watch(built.database, [simulated, *owners])))
            await _name_stranded(built)
            tasks.append(asyncio.create_task(simulator.send(built.database, built.inbox.put)))
        if role in ("all", "worker"):
            tasks.append(asyncio.create_task(sweeper.sweep(built.database)))
            tasks.append(asyncio.create_task(deposits.sweep(built.database)))
            tasks.append(asyncio.create_task(statistics.sweep(built.database)))
            tasks.append(asyncio.create_task(health.watch(built.database, built.registry)))
            key_file, heads_file = config.audit.key_path(data_dir), config.audit.heads_path(data_dir)
            linking = chain.keep(built.database, key_file, heads_file, export_seconds=config.audit.export_seconds)
            tasks.append(asyncio.create_task(linking))
            sending = dispatcher(config, built)
            tasks.append(asyncio.create_task(sending.run()))
            fan_out = FanOut(built.database, sending.planned, keep_days=config.events.days)
            pushed.tail.follow(fan_out.told)
            tasks.append(asyncio.create_task(fan_out.run()))
        if role != "carrier":
            tasks.append(asyncio.create_task(pushed.tail.run()))
        try:
            if listener is not None and role in ("carrier", "worker"):
                _settle_down()
                await listen(probes_alone(config, built, asked), pushed, listener, stop, ready)
            elif listener is not None:
                keyring = Keyring(built.database)
                tasks.append(asyncio.create_task(keyring.keep_uses()))
                async with limiting(config, processes=processes) as limiter:
                    application = asgi.api(config, built, pushed, keyring, limiter, asked)
                    _settle_down()
                    await listen(application, pushed, listener, stop, ready)
            else:
                _settle_down()
                print(ready, flush=True)  # noqa: T201 - the one line that whoever started us waits for
                await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _settle_down() -> None:
    """What is in memory once everything is built stays there: no later collection of garbage need look at it."""
    gc.collect()
    gc.freeze()


class _Server(uvicorn.Server):
    """Signals are ours: held calls are answered before the sockets close."""

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


async def listen(application: Api, pushed: Push, listener: socket.socket, stop: asyncio.Event, ready: str) -> None:
    """Serves HTTP on a bound socket until ``stop`` is set, then lets what is under way come to its end."""
    server = _Server(
        uvicorn.Config(
            application,
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    print(ready, flush=True)  # noqa: T201
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    pushed.drain()
    server.should_exit = True
    await serving


async def _name_stranded(built: Platform) -> None:
    for row in await moving.stranded(built.database, list(built.registry.carriers)):
        log.warning(
            "the carrier %s has left the settings, and has %d numbers with %d live leases (see: numbers move)",
            *(row["carrier"], row["numbers"], row["live"]),
        )


async def _keep_running(owner: Ownership, carrier: Carrier, deliver: Deliver) -> None:
    """A carrier that fails is started again; its neighbours do not notice."""

    def report(receipt: DeliveryReceipt) -> "asyncio.Future[None]":
        log.info("%s: message %s is %s", receipt.carrier, receipt.message_id, receipt.state)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    while True:
        try:
            await owner.run(lambda: carrier.run(deliver, report))
        except Exception:
            log.exception("the carrier %s failed; it is started again in %d s", carrier.name, RESTART_SECONDS)
        await asyncio.sleep(RESTART_SECONDS)
