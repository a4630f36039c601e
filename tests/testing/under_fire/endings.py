"""The ways in which a server ends, and the wait for the end."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Final

import trio

from .datagram_clients import opened
from .stream_clients import GONE, connected

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from .world import World


def _grace_period(dice: random.Random) -> float:
    return dice.choice((0.0, 0.0, 0.05, 0.5, 2.0))


async def shutdown(world: World, dice: random.Random) -> None:
    """One that waits."""
    await _shut_down(world, _grace_period(dice))


async def several(world: World, dice: random.Random) -> None:
    """Several, one shorter than the other."""
    async with trio.open_nursery() as nursery:
        for _ in range(dice.randint(2, 4)):
            nursery.start_soon(_shut_down, world, _grace_period(dice))
            await trio.sleep(dice.choice((0.0, 0.1)) * dice.random())


async def without_bound(world: World, dice: random.Random) -> None:
    """One that waits for as long as it takes, until somebody has lost patience."""
    world.server.request_shutdown(None)
    await trio.sleep(dice.random() * 3)
    await _shut_down(world, _grace_period(dice))


async def given_up(world: World, dice: random.Random) -> None:
    """One whose caller is cancelled: the requests are, then."""
    with trio.move_on_after(dice.random()) as scope:
        await _shut_down(world, dice.choice((None, 100.0)))
    if scope.cancelled_caught:
        world.ledger.stop_asked(0.0)


async def from_a_handler(world: World, dice: random.Random) -> None:
    """A handler asks for it, or raises what stops the server."""
    what = dice.choice(("request_shutdown", "shutdown", "fatal", "handle_error"))
    world.server.wish = (what, _grace_period(dice))
    await _knock(world)
    with trio.move_on_after(1 + dice.random()):
        await world.ended.wait()
    world.server.wish = None
    if not world.ended.is_set():  # there was no handler that could
        await _shut_down(world, 0.0)


async def cancelled(world: World, dice: random.Random) -> None:
    """The scope in which it is served is cancelled."""
    world.ledger.stop_asked(0.0)
    world.scope.cancel()


async def closed(world: World, dice: random.Random) -> None:
    """It is closed for good."""
    await world.server.server_close()
    world.check_nothing_runs("server_close() has returned")


async def in_a_rush(world: World, dice: random.Random) -> None:
    """It comes just when several requests do."""
    accepting = world.ledger.accepting
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(_knock, world)
        accepting.next_taken = trio.Event()
        with trio.move_on_after(1):
            await accepting.next_taken.wait()
        for _ in range(dice.randint(0, 4)):
            await trio.lowlevel.checkpoint()
        if dice.random() < 0.5:
            world.server.request_shutdown(0.0)
        else:
            await cancelled(world, dice)


async def one_by_one(world: World, dice: random.Random) -> None:
    """Each request is cancelled, and then there is a shutdown."""
    for request in world.server.requests:
        world.ledger.cancelled.setdefault(request.id, trio.current_time())
        request.cancel()
    await _shut_down(world, _grace_period(dice))


async def crash(world: World, dice: random.Random) -> None:
    """The machine loses its power, in the middle of a shutdown or not."""
    if dice.random() < 0.5:
        world.server.request_shutdown(1.0)
        await trio.sleep(dice.random() * 0.5)
    world.crash()
    await trio.sleep(0.1)


async def _shut_down(world: World, grace_period: float | None) -> None:
    report = await world.server.shutdown(grace_period)
    world.check_nothing_runs("shutdown() has returned")
    if world.ledger.report is not None and not world.ledger.crashed:
        world.ledger.check(report == world.ledger.report, "P3", f"{report} is not {world.ledger.report}")
    elif world.ledger.report is None and not world.ledger.crashed:
        total = report.finished + report.failed + report.cancelled + report.rejected
        world.ledger.check(report.accepted == total, "P3", f"it does not add up: {report}")


async def _knock(world: World) -> None:
    """Let a handler be called, if there is room for one."""
    with contextlib.suppress(*GONE), trio.move_on_after(0.5):
        with world.network.host("server" if world.plan.on_one_host else "knocking"):
            if world.plan.streams:
                async with connected(world) as peer:
                    await peer.send(b"please\n")
                    await peer.read()
            else:
                async with opened(world) as sender:
                    await sender.send(b"please")
                    await sender.receive(0.5)


ENDINGS: Final[tuple[Callable[[World, random.Random], Awaitable[None]], ...]] = (
    shutdown,
    shutdown,
    several,
    without_bound,
    given_up,
    from_a_handler,
    from_a_handler,
    cancelled,
    closed,
    in_a_rush,
    in_a_rush,
    one_by_one,
    crash,
)


async def end(world: World, dice: random.Random) -> None:
    """End the server in one of these ways, and wait until it has ended (P5)."""
    ending = dice.choice(ENDINGS)
    world.network.log.note(f"ending: {ending.__name__}")
    world.stopping = True
    ledger, plan = world.ledger, world.plan
    with trio.move_on_after(20) as patience:
        await ending(world, dice)
        if ledger.running and ledger.hard_deadline == math.inf:
            world.server.request_shutdown(0.0)  # what was asked for came between two runs
        # A little longer than is promised: `World` says how late it was.
        with trio.move_on_at(max(ledger.hard_deadline, trio.current_time()) + plan.finish_timeout + 1):
            await world.run_ended.wait()
        if not world.host.up:
            world.host.restart()  # the program waits for it
        with trio.move_on_after(1):
            await world.ended.wait()
    if not world.ended.is_set():
        left = [request.state.value for request in world.server.requests]
        how = "at all" if patience.cancelled_caught else "in time"
        ledger.violated("P5", f"{ending.__name__}: it did not end {how}; left: {left}")
