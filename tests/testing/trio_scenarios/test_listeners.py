"""`trio.open_tcp_listeners`, `trio.serve_tcp` and `trio.serve_listeners`."""

from __future__ import annotations

import errno
import logging
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trioserver.testing import Network

if TYPE_CHECKING:
    from trio.testing import MockClock


async def echo(stream: trio.SocketStream) -> None:
    """Sends back what it gets, until the end."""
    async with stream:
        async for data in stream:
            await stream.send_all(data)


async def ask(host: str, port: int, data: bytes = b"x") -> bytes:
    """Connect, send, receive, close."""
    async with await trio.open_tcp_stream(host, port) as stream:
        await stream.send_all(data)
        return bytes(await stream.receive_some())


async def test_listeners_when_they_are_opened_for_any_address_then_both_families_reach_them(
    autojump_clock: MockClock,
) -> None:
    """One for IPv4 and one for IPv6 alone, on ports of their own, or on one port that is asked for."""
    with Network(1) as network:
        server = network.host("server")
        async with trio.open_nursery() as nursery:
            with server:
                free = await trio.open_tcp_listeners(0)
                fixed = await trio.open_tcp_listeners(80)
            for listeners in (free, fixed):
                sockets = [listener.socket for listener in listeners]
                assert {sock.family for sock in sockets} == {socket.AF_INET, socket.AF_INET6}
                for sock in sockets:
                    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                    if sock.family == socket.AF_INET6:
                        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            nursery.start_soon(trio.serve_listeners, echo, [*free, *fixed])
            with network.host("client"):
                for address in server.addresses:
                    assert await ask(address, 80) == b"x"
                for listener, address in zip(free, server.addresses, strict=True):
                    assert await ask(address, listener.socket.getsockname()[1]) == b"x"
            nursery.cancel_scope.cancel()


async def test_listeners_when_they_are_opened_for_a_host_then_only_that_reaches_them(
    autojump_clock: MockClock,
) -> None:
    """127.0.0.1 is there for its own host alone; a name stands for its addresses."""
    with Network(1) as network:
        server = network.host("server")
        async with trio.open_nursery() as nursery:
            with server:
                (local,) = await trio.open_tcp_listeners(80, host="127.0.0.1")
                named = await trio.open_tcp_listeners(81, host="server")
                nursery.start_soon(trio.serve_listeners, echo, [local, *named])
                assert await ask("127.0.0.1", 80) == b"x"
            assert [listener.socket.getsockname()[0] for listener in named] == server.addresses
            with network.host("client"):
                assert await ask("server", 81) == b"x"
                with pytest.raises(OSError, match="all attempts"):
                    await ask("server", 80)
                with pytest.raises(OSError, match="all attempts"):
                    await ask("127.0.0.1", 80)
            nursery.cancel_scope.cancel()


async def test_listeners_when_they_are_closed_then_the_port_can_be_opened_again(
    autojump_clock: MockClock,
) -> None:
    """At once, even while connections of the first ones live, as trio sets ``SO_REUSEADDR``; not before."""
    with Network(1) as network, network.host("server"):
        (first,) = await trio.open_tcp_listeners(80, host="0.0.0.0")
        near = await trio.open_tcp_stream("server", 80)
        far = await first.accept()
        with pytest.raises(OSError, match="in use") as caught:
            await trio.open_tcp_listeners(80, host="0.0.0.0")
        assert caught.value.errno == errno.EADDRINUSE
        await first.aclose()
        (second,) = await trio.open_tcp_listeners(80, host="0.0.0.0")
        await near.send_all(b"x")
        assert await far.receive_some() == b"x"
        for one in (near, far, second):
            await one.aclose()


async def test_listeners_when_one_of_several_fails_then_the_others_are_closed(
    autojump_clock: MockClock,
) -> None:
    """A name with an address of another host."""
    with Network(1) as network:
        network.host("other", "10.7.7.7")
        with network.host("server") as server:
            network.dns.add("both.example", server.addresses[0], "10.7.7.7")
            with pytest.raises(OSError, match="assign") as caught:
                await trio.open_tcp_listeners(80, host="both.example")
            assert caught.value.errno == errno.EADDRNOTAVAIL
            assert server.sockets == {}


async def test_listeners_when_arguments_are_wrong_then_it_says_so(autojump_clock: MockClock) -> None:
    """Ports and backlogs are whole numbers."""
    with Network(1):
        for port in (None, b"80", "http"):
            with pytest.raises(TypeError):
                await trio.open_tcp_listeners(port)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="backlog"):
            await trio.open_tcp_listeners(80, backlog=1.5)  # type: ignore[arg-type]


async def test_listeners_when_the_backlog_is_full_then_clients_wait(autojump_clock: MockClock) -> None:
    """A backlog of one has room for two, as on Linux; the third is in when the first was accepted."""
    with Network(1) as network:
        with network.host("server"):
            (listener,) = await trio.open_tcp_listeners(80, host="0.0.0.0", backlog=1)
        done: list[int] = []

        async def client(number: int) -> None:
            stream = await trio.open_tcp_stream("server", 80)
            done.append(number)
            async with stream:
                await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            with network.host("client"):
                for number in range(3):
                    nursery.start_soon(client, number)
                await trio.sleep(0.5)
                assert len(done) == 2
                streams = [await listener.accept()]
                await trio.sleep(10)
                assert len(done) == 3
            nursery.cancel_scope.cancel()
        for one in (*streams, listener):
            await one.aclose()


async def test_serve_tcp_when_it_is_cancelled_then_nobody_listens_any_more(autojump_clock: MockClock) -> None:
    """It tells its listeners, serves many at once, and closes them at its end."""
    with Network(1) as network:
        with network.host("server") as server:
            async with trio.open_nursery() as nursery:
                value: Any = await nursery.start(trio.serve_tcp, echo, 0)
                port = value[0].socket.getsockname()[1]
                address = value[0].socket.getsockname()[0]
                with network.host("client"):
                    async with trio.open_nursery() as clients:
                        for _ in range(50):
                            host = server.addresses[":" in address]
                            clients.start_soon(ask, host, port)
                nursery.cancel_scope.cancel()
            assert server.sockets == {}
            with network.host("client"), pytest.raises(OSError, match="all attempts"):
                await ask("server", port)


async def test_serve_listeners_when_a_handler_nursery_is_given_then_connections_outlive_it(
    autojump_clock: MockClock,
) -> None:
    """The listeners are closed, a connection is still served."""
    with Network(1) as network:
        with network.host("server"):
            listeners = await trio.open_tcp_listeners(80)
        async with trio.open_nursery() as handlers:
            async with trio.open_nursery() as nursery:
                serve = partial(trio.serve_listeners, handler_nursery=handlers)
                await nursery.start(serve, echo, listeners)
                with network.host("client"):
                    stream = await trio.open_tcp_stream("server", 80)
                    await stream.send_all(b"a")
                    assert await stream.receive_some() == b"a"
                nursery.cancel_scope.cancel()
            await stream.send_all(b"b")
            assert await stream.receive_some() == b"b"
            with network.host("client"), pytest.raises(OSError, match="all attempts"):
                await ask("server", 80)
            await stream.aclose()


async def test_serve_listeners_when_descriptors_run_out_then_it_accepts_again_later(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """``EMFILE``: trio logs it, waits, and goes on; clients wait in the backlog."""
    caplog.set_level(logging.ERROR, logger="trio.serve_listeners")
    with Network(1) as network:
        async with trio.open_nursery() as nursery:
            with network.host("server") as server:
                await nursery.start(trio.serve_tcp, echo, 80)
            server.max_fds = len(server.sockets)
            with network.host("client"):
                stream = await trio.open_tcp_stream("server", 80)
                await stream.send_all(b"x")
                with trio.move_on_after(1) as scope:
                    await stream.receive_some()
                assert scope.cancelled_caught
                assert len(caplog.records) >= 9
                assert "EMFILE" in caplog.text
                server.max_fds = None
                assert await stream.receive_some() == b"x"
                await stream.aclose()
            nursery.cancel_scope.cancel()
    caplog.clear()


async def test_serve_listeners_when_a_listener_is_closed_underfoot_then_it_raises(
    autojump_clock: MockClock,
) -> None:
    """Another task closes the socket; so does a crash of the host."""
    for way in ("socket", "listener", "crash"):
        with Network(1) as network:
            with network.host("server") as server:
                listeners = await trio.open_tcp_listeners(80, host="0.0.0.0")
            with pytest.RaisesGroup(trio.ClosedResourceError, flatten_subgroups=True):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.serve_listeners, echo, listeners)
                    await trio.testing.wait_all_tasks_blocked()
                    if way == "socket":
                        listeners[0].socket.close()
                    elif way == "listener":
                        await listeners[0].aclose()
                    else:
                        server.crash()
