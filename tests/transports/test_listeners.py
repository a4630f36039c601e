"""Several listening sockets behind one accept."""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trioserver._transports.addresses import format_address
from trioserver._transports.endpoint import KernelEndpoint, KernelListener
from trioserver._transports.listeners import ListenerGroup

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def group_of(count: int) -> Iterator[ListenerGroup]:
    """A group of so many listeners on loopback."""
    group = ListenerGroup([KernelListener(socket.create_server(("127.0.0.1", 0))) for _ in range(count)])
    group.listen(50)
    try:
        yield group
    finally:
        group.close()


def connect(group: ListenerGroup, number: int) -> socket.socket:
    """A client of one of them."""
    return socket.create_connection(group.addresses[number])


@pytest.mark.parametrize("count", [1, 3])
async def test_accept_when_a_connection_is_there_then_it_is_taken_without_a_checkpoint(count: int) -> None:
    """P2: with a connection in the backlog, accept returns it before anybody could cancel."""
    with group_of(count) as group, connect(group, count - 1) as client:
        await group.endpoints[-1].wait_readable()
        with trio.testing.assert_no_checkpoints():
            endpoint, address = await group.accept()
        assert address == client.getsockname()
        endpoint.close()


@pytest.mark.parametrize("count", [1, 3])
async def test_accept_when_a_connection_comes_later_then_it_ends_the_wait(count: int) -> None:
    """A connection on any of them is accepted."""
    with group_of(count) as group:
        for number in range(count):
            async with trio.open_nursery() as nursery:
                accepted: list[object] = []

                async def accept(accepted: list[object] = accepted) -> None:
                    endpoint, address = await group.accept()
                    accepted.append(address)
                    endpoint.close()

                nursery.start_soon(accept)
                await trio.testing.wait_all_tasks_blocked()
                client = connect(group, number)
            assert accepted == [client.getsockname()]
            client.close()


async def test_p10_accept_when_one_listener_is_busy_then_the_others_get_their_turn() -> None:
    """They are served in turn."""
    with group_of(3) as group:
        clients = [connect(group, number) for number in (0, 0, 0, 0, 1, 2)]
        for endpoint in group.endpoints:
            await endpoint.wait_readable()
        served = []
        for _ in range(3):
            accepted, _ = group.accept_nowait()
            assert isinstance(accepted, KernelEndpoint)
            served.append(accepted.socket.getsockname())
            accepted.close()
        assert sorted(served) == sorted(group.addresses)
        for client in clients:
            client.close()


@pytest.mark.parametrize("count", [1, 3])
async def test_accept_when_the_group_is_closed_meanwhile_then_ebadf(count: int) -> None:
    """Closing ends the wait with the errno that the accept loop takes for fatal; so does a later accept."""
    with group_of(count) as group:

        async def accept() -> None:
            with pytest.raises(OSError, match="closed") as caught:
                await group.accept()
            assert caught.value.errno == errno.EBADF

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            await trio.testing.wait_all_tasks_blocked()
            group.close()
        await accept()
        assert group.sockets == ()


async def test_accept_with_when_set_then_it_makes_the_endpoints() -> None:
    """The way to wait is chosen for each run of a server."""
    made: list[socket.socket] = []

    def make(sock: socket.socket) -> KernelEndpoint:
        made.append(sock)
        return KernelEndpoint(sock)

    with group_of(1) as group, connect(group, 0):
        group.accept_with(make, KernelEndpoint)
        endpoint, _ = await group.accept()
        assert made == [endpoint.socket]
        endpoint.close()


async def test_accept_when_cancelled_then_no_connection_is_lost() -> None:
    """What comes while nobody accepts stays in the backlog."""
    with group_of(2) as group:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(group.accept)
            await trio.testing.wait_all_tasks_blocked()
            client = connect(group, 1)
            nursery.cancel_scope.cancel()
        with client:
            endpoint, address = await group.accept()
            assert address == client.getsockname()
            endpoint.close()


async def test_accept_when_a_second_task_accepts_then_it_is_told_without_a_group() -> None:
    """BusyResourceError comes bare, with one listener and with several."""
    for count in (1, 2):
        with group_of(count) as group:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(group.accept)
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(trio.BusyResourceError):
                    await group.accept()
                nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        ("/run/s", "/run/s"),
        (b"/run/\xff", "/run/\\xff"),
        ("\0name", "@name"),
        (b"\0name", "@name"),
        ("", "an unnamed socket"),
        (7, "7"),
    ],
)
def test_format_address_when_given_any_address_then_it_reads_well(address: object, text: str) -> None:
    """Addresses of every family, as people write them."""
    assert format_address(address) == text


class Listening(socket.socket):
    """A socket whose `accept` is somebody's own."""

    accepted = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """Count."""
        self.accepted += 1
        return super().accept()


async def test_accept_when_the_socket_overrides_it_then_the_override_is_called() -> None:
    """Of the standard library's own sockets nobody can tell how they accept; of others one can."""
    with Listening() as sock:
        sock.bind(("127.0.0.1", 0))
        listener = KernelListener(sock)
        listener.listen(5)
        with socket.create_connection(sock.getsockname()) as client:
            await listener.wait_readable()
            endpoint, address = listener.accept_nowait()
            assert (sock.accepted, address) == (1, client.getsockname())
            endpoint.close()


async def test_accept_when_it_has_returned_then_the_connection_is_of_the_listeners_kind() -> None:
    """Its family, type and protocol are those that it would have to ask the system for."""
    with group_of(1) as group, connect(group, 0) as client:
        endpoint, _ = await group.accept()
        accepted = endpoint.socket
        assert type(accepted) is socket.socket
        assert (accepted.family, accepted.type) == (client.family, client.type)
        assert accepted.proto == group.sockets[0].proto
        assert accepted.gettimeout() == 0
        endpoint.close()


async def test_p2_accept_when_no_socket_can_be_made_then_the_connection_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is only its descriptor then, and nobody else knows that."""

    class Broken(socket.socket):
        def __init__(self, *args: Any) -> None:
            raise OSError(errno.ENOTCONN, "reset meanwhile")

    with group_of(1) as group, connect(group, 0) as client:
        await group.endpoints[0].wait_readable()
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socket", Broken)
            with pytest.raises(OSError, match="reset meanwhile"):
                group.accept_nowait()
        client.settimeout(5)
        assert client.recv(1) == b""
