"""Opening and closing a server: who binds, when, and who gives it back."""

from __future__ import annotations

import select

import pytest
import trio
from harness import Echo, client_of, receive_exactly

import trioserver


async def check_echo(server: trioserver.StreamServer) -> None:
    """Connect and get a line back."""
    async with client_of(server) as client:
        await client.send_all(b"hello\n")
        assert await receive_exactly(client, 6) == b"hello\n"


async def test_constructor_when_called_then_does_no_io() -> None:
    """No socket is made before the server is entered or served."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Echo)
    assert (server.fileno(), server.sockets, server.server_addresses) == (-1, (), ())
    with pytest.raises(trioserver.LifecycleError):
        _ = server.socket


async def test_async_with_when_entered_then_is_bound_and_at_the_end_closed(io_path: str) -> None:
    """The block has the address; serving inside it leaves the socket open; after it all is closed."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo) as server:
        address = server.server_address
        for _ in range(2):
            async with server.running():
                assert server.server_address == address
                await check_echo(server)
            assert server.fileno() != -1
    assert (server.fileno(), server.state) == (-1, trioserver.State.CLOSED)
    with pytest.raises(trioserver.ServerClosed):
        await server.serve_forever()


async def test_serve_when_repeated_without_async_with_then_binds_each_time(io_path: str) -> None:
    """Who opens the server closes it: each run of an unentered server has a socket of its own."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Echo)
    for _ in range(2):
        async with server.running():
            await check_echo(server)
        assert (server.fileno(), server.state) == (-1, trioserver.State.STOPPED)
    assert server.statistics().accepted == 2


async def test_server_close_when_called_twice_then_the_second_does_nothing() -> None:
    """Closing is idempotent, under both of its names."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Echo)
    async with server:
        await server.server_close()
        await server.aclose()
    with pytest.raises(trioserver.ServerClosed):
        async with server:
            raise AssertionError("entered")


async def test_serve_when_it_is_being_served_then_says_so(io_path: str) -> None:
    """A second serve_forever() is refused and does not disturb the first."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo).running() as server:
        with pytest.raises(trioserver.AlreadyServing):
            await server.serve_forever()
        await check_echo(server)


async def test_running_when_the_block_raises_then_the_error_is_bare(io_path: str) -> None:
    """What the block raises comes out as it is, in no group, and the server has stopped."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Echo)
    with pytest.raises(KeyError):
        async with server.running():
            raise KeyError
    assert server.state is trioserver.State.STOPPED


async def test_running_when_the_address_is_taken_then_the_error_is_bare() -> None:
    """An error of binding is raised on entering the block."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo) as first:
        with pytest.raises(OSError, match="in use"):
            async with trioserver.TCPServer(first.server_address, Echo).running():
                raise AssertionError("entered")


async def test_fileno_when_a_client_waits_then_is_readable_for_select() -> None:
    """The descriptor works in other loops: ``select`` tells that there is a client to serve."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo) as server:
        assert server.fileno() == server.socket.fileno()
        assert select.select([server], [], [], 0)[0] == []
        async with client_of(server) as client:
            assert select.select([server], [], [], 5)[0] == [server]
            await client.send_all(b"hello\n")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.handle_request)
                assert await receive_exactly(client, 6) == b"hello\n"
                await client.send_eof()


async def test_bind_and_activate_when_false_then_both_are_the_callers_business(io_path: str) -> None:
    """Serving before binding is a clear error; after both calls it works, and the socket stays open."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Echo, bind_and_activate=False)
    with pytest.raises(trioserver.LifecycleError, match="server_bind"):
        await server.serve_forever()
    with pytest.raises(trioserver.LifecycleError, match="server_bind"):
        await server.server_activate()
    await server.server_bind()
    with pytest.raises(trioserver.LifecycleError, match="already"):
        await server.server_bind()
    server.socket.getsockname()  # the moment for options of one's own
    await server.server_activate()
    async with server.running():
        await check_echo(server)
    assert server.fileno() != -1
    await server.server_close()
    assert server.fileno() == -1


async def test_server_bind_when_overridden_then_runs_before_listening() -> None:
    """The hooks are called once each, in order, when the server opens."""
    calls = []

    class Server(trioserver.TCPServer):
        async def server_bind(self) -> None:
            await super().server_bind()
            calls.append(("bound", self.server_address[1] > 0))

        async def server_activate(self) -> None:
            await super().server_activate()
            calls.append(("active", self.fileno() > 0))

    async with Server(("127.0.0.1", 0), Echo).running() as server:
        await check_echo(server)
    assert calls == [("bound", True), ("active", True)]


async def test_server_activate_when_it_raises_then_the_socket_is_closed() -> None:
    """A failed opening leaves nothing behind, and can be tried again."""

    class Server(trioserver.TCPServer):
        fail = True

        async def server_activate(self) -> None:
            if self.fail:
                raise PermissionError
            await super().server_activate()

    server = Server(("127.0.0.1", 0), Echo)
    with pytest.raises(PermissionError):
        await server.serve_forever()
    assert server.fileno() == -1
    server.fail = False
    async with server.running():
        await check_echo(server)
