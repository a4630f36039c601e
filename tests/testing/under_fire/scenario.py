"""One seed's worth of fire: a server, its clients, faults and an end, and then what was promised.

python -m trioserver.testing explore tests.testing.under_fire.scenario:main --seeds 0:10000
python -m trioserver.testing replay tests.testing.under_fire.scenario:main --seed 17
"""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import trio

from .checks import check_conversations, check_end
from .datagram_clients import DATAGRAM_CLIENTS
from .endings import end
from .faults import happen
from .plan import draw
from .steps import Steps
from .stream_clients import GONE, STREAM_CLIENTS
from .world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trioserver.testing import Network


async def main(network: Network) -> None:
    """Run what the network's seed says.

    Raises:
      AssertionError: A promise was broken; the message begins with its name.
    """
    # A source of its own: what is drawn for a run does not depend on how many packets there were before.
    dice = random.Random(network.random.getrandbits(64))
    world = World(network, draw(dice), dice)
    network.log.note(str(world.plan))
    steps = Steps(world)
    trio.lowlevel.add_instrument(steps)
    try:
        with world.failure, trio.move_on_after(200) as patience:
            if dice.random() < 0.05:
                await world.forestall()
            for _ in range(world.plan.rounds):
                if world.server.state.value != "closed":
                    await _round(world, random.Random(dice.getrandbits(64)))
            await check_end(world)
    except Exception as error:
        if world.ledger.violations:  # of which the error is no more than what followed
            raise AssertionError("\n".join(world.ledger.violations)) from error
        raise
    finally:
        trio.lowlevel.remove_instrument(steps)
    if world.ledger.violations:
        raise AssertionError("\n".join(world.ledger.violations))
    assert not patience.cancelled_caught, f"P5: no end after 200 s; {world.plan}"
    check_conversations(world)


async def _round(world: World, dice: random.Random) -> None:
    """Serve once, from start to end."""
    plan = world.plan
    world.stopping = False
    world.ended = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(world.host.run, world.program)
        for _ in range(plan.clients):
            nursery.start_soon(_client, world, random.Random(dice.getrandbits(64)))
        for _ in range(plan.faults):
            nursery.start_soon(happen, world, random.Random(dice.getrandbits(64)), plan.length * 1.3)
        for _ in range(3):
            await trio.sleep(plan.length / 3 * dice.random())
            await world.inspect()
        await end(world, dice)
        # Clients see how it ends for them, in half of the rounds.
        await trio.sleep(dice.choice((0.0, 2.0)))
        nursery.cancel_scope.cancel()
    world.repair()


async def _client(world: World, dice: random.Random) -> None:
    """One client, on its host, which may crash under it."""
    clients = STREAM_CLIENTS if world.plan.streams else DATAGRAM_CLIENTS
    client: Callable[[World, random.Random], Awaitable[None]] = dice.choice(clients)
    await trio.sleep(dice.random() * world.plan.length)

    async def run() -> None:
        with contextlib.suppress(*GONE):
            try:
                await client(world, dice)
            except* GONE:
                pass

    await dice.choice(world.client_hosts).run(run)
