"""The epoll of our own: edges are told once, so none may be forgotten, and nothing may spin."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trioserver._transports.epoll import Poller

from .kit import read_all_of, read_from, socket_pair, wires_on

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trioserver._transports.socket_stream import SocketStream

    from .kit import Wires

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="epoll exists on Linux only")


@pytest.fixture
async def epoll() -> AsyncIterator[Wires]:
    """Connections that wait on an epoll of our own."""
    async with wires_on("epoll") as wires:
        yield wires


def pair_at(number: int) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, the first of which has this descriptor."""
    near, far = socket_pair()
    if near.fileno() == number:
        return near, far
    os.dup2(near.fileno(), number)
    near.close()
    return socket.socket(fileno=number), far


class Turns(trio.abc.Instrument):
    """Counts the turns of trio's loop that found something to do at once."""

    def __init__(self) -> None:
        self.busy = 0

    def before_io_wait(self, timeout: float) -> None:
        """Called by trio; a timeout of 0 means that a task is runnable."""
        self.busy += timeout == 0


async def busy_turns_in(seconds: float) -> int:
    """How many turns of the loop were busy, while this task does nothing for so long."""
    await trio.testing.wait_all_tasks_blocked()
    turns = Turns()
    trio.lowlevel.add_instrument(turns)
    try:
        await trio.sleep(seconds)
    finally:
        trio.lowlevel.remove_instrument(turns)
    return turns.busy


async def wait_in_vain(wait: Callable[[], Awaitable[object]]) -> None:
    """Wait for a socket, which is watched from then on, and give up."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def send_while_nobody_waits(stream: SocketStream, peer: socket.socket, count: int) -> None:
    """Send so many bytes to a stream that has waited once, each an event that is seen."""
    await wait_in_vain(stream.receive_some)
    for _ in range(count):
        peer.send(b"x")
        await trio.testing.wait_all_tasks_blocked(0.001)


async def test_fin_when_it_comes_together_with_the_last_bytes_then_it_is_seen(epoll: Wires) -> None:
    """The end of the stream is one event with the last bytes, and is not forgotten once they are read."""
    stream, peer = epoll.with_peer("tcp")
    got: list[bytes] = []

    async def read() -> None:
        while chunk := await stream.receive_some():
            got.append(chunk)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        peer.send(b"last")
        peer.close()
    assert got == [b"last"]


async def test_bytes_when_they_come_between_reads_then_they_wake_the_next(epoll: Wires) -> None:
    """An event for which nobody waits is remembered until somebody does."""
    stream, peer = epoll.with_peer()
    for number in range(50):
        peer.send(b"%d" % number)
        if number % 3 == 0:
            await trio.testing.wait_all_tasks_blocked()  # the event is seen now, with nobody waiting
        assert await stream.receive_some() == b"%d" % number


async def test_p10_input_when_nobody_waits_for_it_then_soon_it_wakes_the_server_no_longer(
    epoll: Wires,
) -> None:
    """A peer that sends on and on while the handler does something else costs no turn for each packet."""
    stream, peer = epoll.with_peer()
    await send_while_nobody_waits(stream, peer, 20)
    turns = Turns()
    trio.lowlevel.add_instrument(turns)
    for _ in range(20):
        peer.send(b"y")
        await trio.sleep(0.001)
    trio.lowlevel.remove_instrument(turns)
    assert turns.busy < 10  # a late sleep may have one, too
    assert await stream.receive_some() == b"x" * 20 + b"y" * 20


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_input_when_it_came_often_for_nobody_then_what_is_waited_for_next_is_told(
    epoll: Wires, kind: str
) -> None:
    """More input, room to send, the end of the stream: whatever it is."""
    stream, peer = epoll.with_peer(kind, small=True)
    for _ in range(3):
        await send_while_nobody_waits(stream, peer, 5)
        assert await stream.receive_some() == b"x" * 5
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def receive() -> None:
                with trio.fail_after(5):
                    assert await stream.receive_some() == b"more"

            await trio.testing.wait_all_tasks_blocked()
            peer.send(b"more")
    await send_while_nobody_waits(stream, peer, 5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, bytes(1 << 20))
        await trio.testing.wait_all_tasks_blocked()  # it waits for room
        with trio.fail_after(5):
            assert len(await read_from(peer, 1 << 20)) == 1 << 20
    peer.send(b"last")
    peer.close()
    with trio.fail_after(5):
        assert await stream.receive_some() == b"x" * 5 + b"last"
        assert await stream.receive_some() == b""


async def test_input_when_it_comes_often_while_a_task_waits_to_send_then_that_one_is_woken(
    epoll: Wires,
) -> None:
    """A socket is watched as long as somebody waits for it, for whatever it is."""
    stream, peer = epoll.with_peer(small=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, bytes(1 << 20))
        await send_while_nobody_waits(stream, peer, 5)
        with trio.fail_after(5):
            assert len(await read_from(peer, 1 << 20)) == 1 << 20


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_p10_sending_when_the_peer_closed_its_half_then_it_does_not_spin(
    epoll: Wires, kind: str
) -> None:
    """A slow client that has closed its sending half is waited for, not asked again and again."""
    stream, peer = epoll.with_peer(kind, small=True)
    peer.send(b"request")
    peer.shutdown(socket.SHUT_WR)
    assert await stream.receive_some() == b"request"
    assert await stream.receive_some() == b""

    async def reply() -> None:
        await stream.send_all(bytes(1 << 20))
        await stream.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reply)
        # A handful of turns for what the kernels still tell each other; a spin makes thousands.
        assert await busy_turns_in(0.05) < 50
        assert len(await read_all_of(peer)) == 1 << 20


async def test_p10_idle_when_many_connections_wait_then_nothing_runs(epoll: Wires) -> None:
    """Connections on which nothing happens cost no turn of the loop."""
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            stream, _ = epoll.with_peer()
            nursery.start_soon(stream.receive_some)
        assert await busy_turns_in(0.02) <= 2  # of the sleep itself
        nursery.cancel_scope.cancel()


async def test_many_connections_when_all_become_ready_at_once_then_all_are_served(epoll: Wires) -> None:
    """No event is lost in a burst."""
    pairs = [epoll.with_peer() for _ in range(200)]
    got: list[bytes] = []

    async def echo(stream: trio.abc.Stream) -> None:
        for _ in range(3):
            await stream.send_all(await stream.receive_some())

    async with trio.open_nursery() as nursery:
        for stream, _ in pairs:
            nursery.start_soon(echo, stream)
        for _ in range(3):
            for number, (_, peer) in enumerate(pairs):
                peer.send(b"%d" % number)
            await trio.testing.wait_all_tasks_blocked(0.001)
            got += [peer.recv(100) for _, peer in pairs]
    assert got == [b"%d" % number for number in range(200)] * 3


async def test_descriptor_number_when_it_is_used_again_then_events_find_the_new_socket(epoll: Wires) -> None:
    """A socket that gets the number of a closed one has its own events, and none of the old one's state."""
    first, peer = epoll.with_peer()
    peer.close()
    assert await first.receive_some() == b""  # the end of the first one was seen
    number = first.socket.fileno()
    first.close()
    near, far = pair_at(number)
    second = epoll.stream(near)
    got: list[bytes] = []

    async def read() -> None:
        got.append(await second.receive_some())

    with far:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            far.send(b"for the second")
    assert got == [b"for the second"]


async def test_descriptor_number_when_a_child_keeps_the_old_socket_then_the_new_one_does_not_spin(
    epoll: Wires,
) -> None:
    """Events of a connection that a forked child still has come under a number that is another's by then."""
    first, peer = epoll.with_peer()
    await wait_in_vain(first.receive_some)
    number = first.socket.fileno()
    kept = os.dup(number)  # as the child has it: the description stays open, and in the epoll
    try:
        first.close()
        near, far = pair_at(number)
        second = epoll.stream(near)
        with far:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(second.receive_some)
                await trio.testing.wait_all_tasks_blocked()
                peer.send(b"for the child")
                peer.close()
                assert await busy_turns_in(0.02) < 20
                far.send(b"x")
    finally:
        os.close(kept)
    assert second.bytes_received == 1


async def test_wait_when_cancelled_then_the_endpoint_can_be_waited_for_again(epoll: Wires) -> None:
    """Cancelling a wait, for either direction, leaves nothing behind."""
    near, far = epoll.raw(small=True)
    endpoint = epoll.endpoint(near)
    with pytest.raises(BlockingIOError):
        while True:
            endpoint.send_nowait(bytes(65536))
    for wait in (endpoint.wait_readable, endpoint.wait_writable):
        for _ in range(3):
            await wait_in_vain(wait)
    far.send(b"x")
    with trio.fail_after(5):
        await endpoint.wait_readable()
    assert endpoint.recv_nowait(10) == b"x"


async def test_wait_when_a_second_task_waits_for_the_same_then_it_is_told(epoll: Wires) -> None:
    """One task for each direction; interrupting wakes both, and the endpoint stays open."""
    near, far = epoll.raw(small=True)
    endpoint = epoll.endpoint(near)
    with pytest.raises(BlockingIOError):
        while True:
            endpoint.send_nowait(bytes(65536))

    async def interrupted(wait: Callable[[], Awaitable[None]]) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await wait()

    async with trio.open_nursery() as nursery:
        for wait in (endpoint.wait_readable, endpoint.wait_writable):
            nursery.start_soon(interrupted, wait)
        await trio.testing.wait_all_tasks_blocked()
        for wait in (endpoint.wait_readable, endpoint.wait_writable):
            with pytest.raises(trio.BusyResourceError):
                await wait()
        endpoint.interrupt()
    far.send(b"x")
    await endpoint.wait_readable()
    assert endpoint.recv_nowait(1) == b"x"


async def test_wait_when_the_endpoint_is_closed_then_it_raises(epoll: Wires) -> None:
    """There is nothing to wait for on a closed endpoint, whether it had waited before or not."""
    for waited in (False, True):
        near, far = epoll.raw()
        endpoint = epoll.endpoint(near)
        if waited:
            far.send(b"x")
            await endpoint.wait_readable()
        endpoint.close()
        endpoint.close()
        for wait in (endpoint.wait_readable, endpoint.wait_writable):
            with pytest.raises(trio.ClosedResourceError):
                await wait()


async def test_socket_when_it_was_detached_then_it_wakes_the_server_no_longer(epoll: Wires) -> None:
    """Its description stays open, with a program's other half or a child, and must not stay in the epoll."""
    near, far = epoll.raw()
    endpoint = epoll.endpoint(near)
    far.send(b"x")
    await endpoint.wait_readable()
    await wait_in_vain(endpoint.wait_readable)
    taken = socket.socket(fileno=near.detach())
    endpoint.close()
    assert epoll.poller is not None
    with taken:
        far.send(b"y")
        assert epoll.poller._epoll.poll(0) == []


async def test_poller_when_events_come_on_and_on_then_it_can_be_cancelled(epoll: Wires) -> None:
    """It never sleeps then, which is where it would be cancelled otherwise; a shutdown would have no end."""
    near, far = epoll.raw()
    poller = Poller()
    ended = False
    turns = 0

    async def run(scope: trio.CancelScope) -> None:
        nonlocal ended
        with scope:
            await poller.run()
        ended = True

    async def event_in_every_other_turn() -> None:
        far.send(b"x")
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()

    endpoint = poller.endpoint(near)
    poller.register(endpoint)
    poller.forget(endpoint)  # so nothing takes it out of the epoll
    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, scope)
        for _ in range(20):
            await event_in_every_other_turn()
        scope.cancel()
        while not ended and turns < 20:
            turns += 1
            await event_in_every_other_turn()
    poller.close()
    assert turns < 5


async def test_poller_when_it_was_closed_then_closing_again_is_fine(epoll: Wires) -> None:
    """Closing is idempotent."""
    poller = Poller()
    poller.close()
    poller.close()
    assert poller._epoll.closed
