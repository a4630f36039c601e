"""`DatagramSocket`: sending now, later, from several tasks, with and without room."""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import trioserver
from trioserver._transports.datagram_losses import LossCounts

from .kit import CLIENT, OTHER, FakeDatagramEndpoint, client_of, settle

if TYPE_CHECKING:
    from pathlib import Path


def fake() -> tuple[FakeDatagramEndpoint, trioserver.DatagramSocket]:
    """A socket in memory."""
    endpoint = FakeDatagramEndpoint()
    return endpoint, trioserver.DatagramSocket(endpoint, LossCounts())


async def test_sendto_when_called_later_from_another_task_then_is_sent() -> None:
    """The socket outlives the request: another task may answer, at any time while the server runs."""
    kept: list[tuple[trioserver.DatagramSocket, Any]] = []

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        kept.append((request.socket, client_address))

    server = trioserver.UDPServer(("127.0.0.1", 0), handler)
    async with server.running(), client_of(server) as client:
        await client.send(b"hello")
        while server.statistics().finished < 1:
            await trio.lowlevel.checkpoint()
        sock, address = kept[0]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sock.sendto, b"later", address)
        assert await client.receive() == b"later"
        assert not sock.closed
    assert sock.closed
    assert sock.fileno() == -1
    with pytest.raises(trio.ClosedResourceError):
        await sock.sendto(b"too late", address)
    with pytest.raises(trio.ClosedResourceError):
        sock.sendto_nowait(b"too late", address)


async def test_socket_when_asked_then_tells_and_sets_options() -> None:
    """It has what the stdlib's has, but for receiving."""
    async with trioserver.UDPServer(("127.0.0.1", 0), lambda *_: None) as server:
        sock = server._bound().datagram_sockets[0]
        assert (sock.getsockname(), sock.fileno()) == (server.server_address, server.fileno())
        assert sock.socket is server.socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST) == 1
        assert "127.0.0.1" in repr(sock)


async def test_sendto_when_there_is_no_room_then_waits_and_others_wait_beside_it() -> None:
    """Several tasks may wait at once; each datagram is sent once, when there is room."""
    endpoint, sock = fake()
    endpoint.room = 0
    with pytest.raises(trio.WouldBlock):
        sock.sendto_nowait(b"0", CLIENT)
    async with trio.open_nursery() as nursery:
        for data in (b"1", b"2", b"3"):
            nursery.start_soon(sock.sendto, data, CLIENT)
        await settle()
        assert (endpoint.sent, endpoint.sends) == ([], 4)  # each was tried once, and none in vain since
        endpoint.make_room(10)
    assert sorted(endpoint.sent) == [(b"1", CLIENT), (b"2", CLIENT), (b"3", CLIENT)]


async def test_sendto_when_the_one_who_waits_for_the_kernel_is_cancelled_then_the_others_go_on() -> None:
    """And what was cancelled is not sent."""
    endpoint, sock = fake()
    endpoint.room = 0
    async with trio.open_nursery() as nursery:
        scope = await nursery.start(cancelled_send, sock)
        await settle()
        nursery.start_soon(sock.sendto, b"other", CLIENT)
        await settle()
        scope.cancel()
        await settle()
        endpoint.make_room(10)
    assert endpoint.sent == [(b"other", CLIENT)]


async def cancelled_send(
    sock: trioserver.DatagramSocket,
    *,
    task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Send, until cancelled."""
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await sock.sendto(b"cancelled", CLIENT)


async def test_sendto_when_the_socket_is_closed_meanwhile_then_raises_in_all_tasks() -> None:
    """Nobody waits for a socket that is gone."""
    endpoint, sock = fake()
    endpoint.room = 0
    ended = []

    async def send() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await sock.sendto(b"data", CLIENT)
        ended.append(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(send)
        await settle()
        sock.close()
        sock.close()
    assert len(ended) == 2
    assert "closed" in repr(sock)


async def test_sendto_when_receiving_is_interrupted_then_goes_on_waiting() -> None:
    """To wake who waits for datagrams wakes who waits for room, too; that is no error."""
    endpoint, sock = fake()
    endpoint.room = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sock.sendto, b"data", CLIENT)
        await settle()
        endpoint.interrupt()
        await settle()
        assert endpoint.sent == []
        endpoint.make_room(1)
    assert endpoint.sent == [(b"data", CLIENT)]


async def test_sendto_when_the_kernel_says_room_and_has_none_then_pauses(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A full queue of a client on a Unix socket looks so: tries are 1 ms apart, doubling to 50 ms."""
    endpoint, sock = fake()
    full = [BlockingIOError(errno.EAGAIN, "full") for _ in range(9)] + [OSError(errno.ENOBUFS, "full")]
    endpoint.send_errors.extend(full)
    start = trio.current_time()
    await sock.sendto(b"data", CLIENT)
    pauses = [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.05, 0.05, 0.05]
    assert trio.current_time() - start == pytest.approx(sum(pauses))
    assert (endpoint.sends, endpoint.sent) == (11, [(b"data", CLIENT)])


async def test_sendto_when_never_waiting_then_is_a_checkpoint_within_16_calls() -> None:
    """P10: a handler that sends without end lets others run."""
    endpoint, sock = fake()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(170):
            await sock.sendto(b"", CLIENT)
        nursery.cancel_scope.cancel()
    assert turns >= 8
    assert len(endpoint.sent) == 170


@pytest.mark.parametrize("address", [None, "", b"", ("192.0.2.7", 0)])
async def test_sendto_when_the_client_has_no_address_then_edestaddrreq(address: Any) -> None:
    """A Unix client that is not bound, and a UDP source port of 0, which asks for no reply (RFC 768)."""
    endpoint, sock = fake()
    with pytest.raises(OSError, match="no address") as caught:
        await sock.sendto(b"data", address)
    assert (caught.value.errno, endpoint.sent) == (errno.EDESTADDRREQ, [])


async def test_sendto_when_an_earlier_datagrams_error_is_pending_then_is_sent_nevertheless() -> None:
    """The kernel reports it on whatever comes next, and that is not sent; so it is tried again, once."""
    endpoint, sock = fake()
    endpoint.send_errors.append(ConnectionRefusedError(errno.ECONNREFUSED, "somebody else's"))
    await sock.sendto(b"data", OTHER)
    assert endpoint.sent == [(b"data", OTHER)]
    endpoint.send_errors.extend([ConnectionRefusedError(errno.ECONNREFUSED, "") for _ in range(2)])
    with pytest.raises(ConnectionRefusedError):
        await sock.sendto(b"data", OTHER)
    endpoint.send_errors.extend([ConnectionRefusedError(errno.ECONNREFUSED, ""), OSError(errno.ENOBUFS, "")])
    with pytest.raises(trio.WouldBlock):
        sock.sendto_nowait(b"data", OTHER)


async def test_sendto_when_too_long_then_emsgsize() -> None:
    """That is the handler's doing, and stays an error."""
    async with trioserver.UDPServer(("127.0.0.1", 0), lambda *_: None) as server:
        with pytest.raises(OSError, match="long") as caught:
            await server._bound().datagram_sockets[0].sendto(b"x" * 65536, server.server_address)
    assert caught.value.errno == errno.EMSGSIZE


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue is another error")
async def test_sendto_when_a_unix_client_does_not_read_then_waits_without_spinning(tmp_path: Path) -> None:
    """The reply arrives when the client reads; meanwhile the server does next to nothing."""
    flood, steps = 2000, Steps()
    done = trio.Event()

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        for number in range(flood):
            await request.socket.sendto(b"%d" % number, client_address)
        done.set()

    server = trioserver.UnixDatagramServer(tmp_path / "s", handler)
    async with server.running(), client_of(server, name=str(tmp_path / "c")) as client:
        await client.send(b"go")
        await client.receive()
        trio.lowlevel.add_instrument(steps)
        with trio.move_on_after(0.1):
            await done.wait()
        trio.lowlevel.remove_instrument(steps)
        assert not done.is_set()
        assert steps.count < 200
        for number in range(1, flood):
            assert await client.receive() == b"%d" % number


class Steps(trio.abc.Instrument):
    """Counts the steps of all tasks."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """One more."""
        self.count += 1
