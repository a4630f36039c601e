"""No datagram is lost that the kernel delivered, and what it did not deliver is counted."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import trioserver

from .kit import client_of, echo, memory_network, settle

if TYPE_CHECKING:
    from pathlib import Path

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts them")


def send_at_once(address: Any, count: int) -> None:
    """So many numbered datagrams, faster than anybody can read."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        for number in range(count):
            sock.send(b"%d" % number)


@linux
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("limit", [None, 3])
async def test_burst_when_10000_come_at_once_then_all_that_the_kernel_kept_are_served(
    in_place: bool, limit: int | None
) -> None:
    """Sent = served + dropped by the kernel, exactly; each once; also when ``max_requests`` stops reading."""
    count = 10_000
    served: list[bytes] = []

    def plain(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        served.append(request.data)

    async def waits(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        await trio.lowlevel.checkpoint()
        served.append(request.data)

    server = trioserver.UDPServer(("127.0.0.1", 0), plain if in_place else waits, max_requests=limit)
    async with server.running():
        send_at_once(server.server_address, count)  # no other task runs meanwhile: the buffer is too small
        lost = server.datagrams_lost.receive_buffer
        assert lost is not None
        assert 0 < lost < count
        with trio.fail_after(10):
            while len(served) < count - lost:
                await trio.lowlevel.checkpoint()
        await settle()
        assert server.datagrams_lost.receive_buffer == lost
    assert len(served) == len(set(served)) == count - lost == server.statistics().finished
    assert server.datagrams_lost.receive_buffer == lost  # also when the socket is gone


@linux
async def test_burst_when_the_buffer_is_large_enough_then_nothing_is_lost() -> None:
    """10,000 datagrams at once, and each is answered."""
    count = 10_000
    server = trioserver.UDPServer(("127.0.0.1", 0), echo)
    async with server:
        for _ in range(10):
            server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        room = server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 768 // 2
        async with server.running():
            served = 0
            while served < count:  # in as few bursts as the system's limit for buffers allows
                burst = min(room, count - served)
                send_at_once(server.server_address, burst)
                served += burst
                with trio.fail_after(10):
                    while server.statistics().finished < served:
                        await trio.lowlevel.checkpoint()
        assert server.datagrams_lost == trioserver.DatagramsLost()


@linux
async def test_drops_when_the_socket_is_adopted_then_only_those_since_then_count() -> None:
    """What was lost before was not lost by this server; over several runs they add up."""
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    send_at_once(sock.getsockname(), 2000)
    async with trioserver.UDPServer(None, echo, sock=sock) as server:
        assert server.datagrams_lost.receive_buffer == 0
        send_at_once(server.server_address, 7)
        assert server.datagrams_lost.receive_buffer == 7
    assert server.datagrams_lost.receive_buffer == 7


async def test_drops_when_the_system_does_not_tell_then_none() -> None:
    """Unknown is not zero; and stays unknown."""
    with memory_network():
        server = trioserver.UDPServer(("192.0.2.1", 5), echo)
        async with server:
            assert server.datagrams_lost.receive_buffer is None
        assert server.datagrams_lost.receive_buffer is None


async def test_limit_when_reached_then_the_server_stops_reading() -> None:
    """P6: the kernel's buffer is the queue; datagrams are read again as requests end."""
    running = most = 0
    go = trio.Event()

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), handler, max_requests=3).running() as server:
            network.endpoint.feed(*[b"data"] * 10)
            await settle()
            assert (running, network.endpoint.left) == (3, 7)
            go.set()
            await settle()
            assert (most, network.endpoint.left, server.statistics().finished) == (3, 0, 10)


async def test_receive_when_cancelled_at_any_step_then_each_datagram_is_served_or_left() -> None:
    """P2: none is taken and forgotten, wherever a shutdown strikes."""
    for step in range(1, 60):
        served = 0

        async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
            nonlocal served
            served += 1
            await trio.lowlevel.checkpoint()

        with memory_network() as network:
            server = trioserver.UDPServer(("192.0.2.1", 5), handler)
            async with server:
                stop = AtStep(step, server.request_shutdown)
                network.endpoint.feed(*[b"data"] * 5)
                trio.lowlevel.add_instrument(stop)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(server.serve_forever)
                    await settle()
                    server.request_shutdown()
                trio.lowlevel.remove_instrument(stop)
            statistics = server.statistics()
            assert served <= statistics.accepted == 5 - network.endpoint.left
            assert statistics.accepted == statistics.finished + statistics.cancelled  # P3
            assert server.requests == ()  # P1


class AtStep(trio.abc.Instrument):
    """Calls a function before the k-th step of any task."""

    def __init__(self, k: int, function: Any) -> None:
        self._k = k
        self._function = function
        self._count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """One more."""
        self._count += 1
        if self._count == self._k:
            self._function()


@linux
async def test_unix_clients_when_the_queue_is_full_then_wait_and_nothing_is_lost(tmp_path: Path) -> None:
    """As long as the server reads, everything arrives."""
    served: list[bytes] = []

    def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        served.append(request.data)

    server = trioserver.UnixDatagramServer(tmp_path / "s", handler)
    async with server.running(), client_of(server) as client:
        await trio.to_thread.run_sync(send_all, str(tmp_path / "s"), 2000)
        await client.send(b"last")
        while not served or served[-1] != b"last":
            await trio.lowlevel.checkpoint()
    assert len(served) == 2001
    assert server.datagrams_lost == trioserver.DatagramsLost()


def send_all(path: str, count: int) -> None:
    """Send, waiting for room; in a thread."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(path)
        for number in range(count):
            sock.send(b"%d" % number)
