"""What goes wrong, each at a time of its own and for a while."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import trio

from trioserver.testing import exponential, normal, uniform

from .accepting import EXHAUSTED, SKIPPED
from .stream_clients import GONE, flooding

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from trioserver.testing import Host

    from .world import World


def _a_client(world: World, dice: random.Random) -> Host:
    return dice.choice(world.client_hosts)


def _while(dice: random.Random) -> float:
    """How long a fault lasts."""
    return dice.choice((0.05, 0.3, 1.0, 3.0)) * dice.random()


# The network.


async def partition(world: World, dice: random.Random) -> None:
    """Nothing gets through, or nothing in one direction."""
    ways = [_a_client(world, dice), world.host]
    dice.shuffle(ways)
    one_way = dice.random() < 0.5
    world.network.partition(ways[0], ways[1], one_way=one_way)
    await trio.sleep(_while(dice))
    world.network.repair(ways[0], ways[1], one_way=one_way)


async def bad_line(world: World, dice: random.Random) -> None:
    """Loss, duplicates and late packets."""
    client = _a_client(world, dice)
    latency = dice.choice((0.0, 0.05, uniform(0.001, 0.1), exponential(0.02), normal(0.05, 0.02)))
    probability = dice.choice((0.0, 0.05, 0.3))
    world.network.link(
        client,
        world.host,
        latency=latency,
        loss=probability,
        duplication=dice.choice((0.0, probability)),
        reordering=dice.choice((0.0, probability)),
        both_ways=dice.random() < 0.7,
    )
    await trio.sleep(_while(dice))
    world.network.link(client, world.host, latency=0.001, loss=0.0, duplication=0.0, reordering=0.0)


async def hold(world: World, dice: random.Random) -> None:
    """Everything is late."""
    client = _a_client(world, dice)
    world.network.hold(client, world.host)
    await trio.sleep(_while(dice))
    world.network.release(client, world.host)


async def narrow_line(world: World, dice: random.Random) -> None:
    """There is little bandwidth."""
    client = _a_client(world, dice)
    world.network.link(client, world.host, bandwidth=dice.choice((2_000, 50_000)))
    await trio.sleep(_while(dice))
    world.network.link(client, world.host, bandwidth=None)


async def reset(world: World, dice: random.Random) -> None:
    """A middlebox forgets some connections."""
    for connection in world.network.connections:
        if dice.random() < 0.5:
            connection.reset()


async def slow_host(world: World, dice: random.Random) -> None:
    """A client's machine takes in little."""
    client = _a_client(world, dice)
    client.read_rate = dice.choice((1_000, 20_000))
    await trio.sleep(_while(dice))
    client.read_rate = None


async def client_crash(world: World, dice: random.Random) -> None:
    """A client's machine is gone, and comes up again."""
    client = _a_client(world, dice)
    client.crash()
    await trio.sleep(_while(dice))
    client.restart()


# The server's machine.


async def server_crash(world: World, dice: random.Random) -> None:
    """The server's machine is gone, and comes up again."""
    world.crash()
    await trio.sleep(_while(dice))
    if not world.host.up:
        world.host.restart()


async def exhaustion(world: World, dice: random.Random) -> None:
    """There are no more descriptors, for a while."""
    world.host.max_fds = len(world.host.sockets) + dice.choice((0, 0, 1, 3))
    if not world.plan.on_one_host:
        with _a_client(world, dice), trio.move_on_after(_while(dice)):
            with contextlib.suppress(*GONE):
                await flooding(world, dice)
    await trio.sleep(_while(dice))
    world.host.max_fds = None


async def storm(world: World, dice: random.Random) -> None:
    """Accepting fails, with this and that."""
    for _ in range(dice.randint(1, 3)):
        number = dice.choice((*EXHAUSTED, *SKIPPED))
        count = dice.choice((1, 3, 10)) if number in EXHAUSTED else dice.choice((1, 10, 70))
        world.ledger.accepting.storm += [number] * count
        await trio.sleep(_while(dice))


async def other_limit(world: World, dice: random.Random) -> None:
    """Somebody sets another limit."""
    now = len(world.server.requests)
    world.server.max_requests = dice.choice((None, 1, 2, 4, max(1, now), max(1, now)))


async def cancel_some(world: World, dice: random.Random) -> None:
    """Somebody cancels single requests."""
    for request in world.server.requests:
        if dice.random() < 0.5:
            world.ledger.cancelled.setdefault(request.id, trio.current_time())
            request.cancel()


ON_THE_NETWORK: Final = (partition, partition, bad_line, bad_line, hold, narrow_line, client_crash)
ON_TCP: Final = (reset, slow_host)
ON_CONNECTIONS: Final = (exhaustion, exhaustion)
ON_THE_SERVER: Final = (server_crash, storm, other_limit, other_limit, cancel_some)


def faults_of(world: World) -> list[Callable[[World, random.Random], Awaitable[None]]]:
    """Those that can happen to this server."""
    plan = world.plan
    faults: list[Callable[[World, random.Random], Awaitable[None]]] = [*ON_THE_SERVER]
    if not plan.on_one_host:
        faults += ON_THE_NETWORK
    if plan.streams:
        faults += ON_CONNECTIONS
        if not plan.on_one_host:
            faults += ON_TCP
    return faults


async def happen(world: World, dice: random.Random, latest: float) -> None:
    """Let one of them happen, some time."""
    fault = dice.choice(faults_of(world))
    await trio.sleep(dice.random() * latest)
    world.network.log.note(f"fault: {fault.__name__}")
    await fault(world, dice)
