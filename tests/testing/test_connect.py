"""`connect`: a stream straight into a handler."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
import trustme
from harness import Echo, Recorder, receive_all, receive_exactly

import trioserver
from trioserver.testing._connect import connect

if TYPE_CHECKING:
    from pathlib import Path

ANYWHERE = ("127.0.0.1", 0)


def tcp(handler: Any, **options: Any) -> trioserver.TCPServer:
    """A server that is not open."""
    return trioserver.TCPServer(ANYWHERE, handler, **options)


async def shout(request: Any, client_address: Any, server: Any) -> None:
    """Say who it is, then send back what comes."""
    await request.send_all(f"{trioserver.format_address(client_address)}\n".encode())
    async for chunk in request:
        await request.send_all(chunk.upper())


async def fail(request: Any, client_address: Any, server: Any) -> None:
    """Read a little, then raise."""
    await request.receive_some()
    raise LookupError("a bug")


@pytest.fixture(autouse=True)
def nothing_of_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of this file makes a socket, or looks up a name."""

    def refuse(*args: Any, **options: Any) -> Any:
        raise AssertionError(f"a socket of the kernel's: {args}, {options}")

    monkeypatch.setattr(trio.socket, "from_stdlib_socket", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


async def test_handler_class_when_connected_then_it_serves_the_stream() -> None:
    """With rfile and wfile; at the end the request is over, and accounted for."""
    server = tcp(Echo)
    recorder = Recorder()
    server.add_observer(recorder)
    async with connect(server) as stream:
        await stream.send_all(b"hello\nworld\n")
        assert await receive_exactly(stream, 12) == b"hello\nworld\n"
        assert len(server.requests) == 1
    assert recorder.names() == [
        "ServerStarted",
        "RequestAccepted",
        "RequestEnded",
        "ServerDraining",
        "ServerStopped",
    ]
    assert server.state is trioserver.State.STOPPED
    assert len(server.requests) == 0
    assert (server.statistics().accepted, server.statistics().finished) == (1, 1)


async def test_handler_function_when_half_closed_then_it_sees_the_end_and_can_still_reply() -> None:
    """``send_eof`` closes one half alone; the client's address is one on loopback."""
    async with connect(tcp(shout)) as stream:
        await stream.send_all(b"hello")
        await stream.send_eof()
        assert await receive_all(stream) == b"127.0.0.1:49152\nHELLO"


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (trioserver.TCPServer(("::1", 0), shout), b"[::1]:49152\n"),
        (trioserver.TCPServer(("server.example", 80), shout), b"127.0.0.1:49152\n"),
        (trioserver.TCPServer(("", 80), shout, all_addresses=True), b"127.0.0.1:49152\n"),
        (trioserver.UnixStreamServer("/no/such/folder/s", shout), b"an unnamed socket\n"),
    ],
    ids=["IPv6", "a name", "all addresses", "Unix"],
)
async def test_server_when_of_another_family_then_it_is_connected_to_all_the_same(
    server: trioserver.StreamServer, said: bytes
) -> None:
    """Nothing is looked up, bound, or made in the file system."""
    async with connect(server) as stream:
        assert await receive_exactly(stream, len(said)) == said


async def test_client_address_when_given_then_hooks_and_handler_see_it() -> None:
    """And a request that ``verify_request`` rejects ends without the handler."""
    asked: list[Any] = []

    class Picky(trioserver.TCPServer):
        async def verify_request(self, request: Any, client_address: Any) -> bool:
            asked.append(client_address)
            return bool(client_address[0] == "192.0.2.1")

    server = Picky(ANYWHERE, shout)
    async with connect(server, client_address=("192.0.2.1", 7)) as stream:
        assert await receive_exactly(stream, 12) == b"192.0.2.1:7\n"
    async with connect(server, client_address=("192.0.2.2", 7)) as stream:
        assert await receive_all(stream) == b""
    assert asked == [("192.0.2.1", 7), ("192.0.2.2", 7)]
    assert server.statistics().rejected == 1


async def test_hooks_when_connected_then_they_are_called_as_for_any_request() -> None:
    """In order, the error's included."""
    called: list[str] = []

    class Hooked(trioserver.TCPServer):
        async def verify_request(self, request: Any, client_address: Any) -> bool:
            called.append("verify_request")
            return True

        async def process_request(self, request: Any, client_address: Any) -> None:
            called.append("process_request")
            await super().process_request(request, client_address)

        async def finish_request(self, request: Any, client_address: Any) -> None:
            called.append("finish_request")
            await super().finish_request(request, client_address)

        async def handle_error(self, request: Any, client_address: Any) -> None:
            called.append("handle_error")
            await request.send_all(b"sorry")

        async def shutdown_request(self, request: Any) -> None:
            called.append("shutdown_request")
            await super().shutdown_request(request)

    with pytest.raises(LookupError, match="a bug"):
        async with connect(Hooked(ANYWHERE, fail)) as stream:
            await stream.send_all(b"x")
            assert await receive_all(stream) == b"sorry"
            called.append("end of the block")
    assert called == [
        "verify_request",
        "process_request",
        "finish_request",
        "handle_error",
        "shutdown_request",
        "end of the block",
    ]


async def test_error_when_the_block_fails_because_of_it_then_it_comes_first() -> None:
    """It is bare, and what the block raised is its context."""
    with pytest.raises(LookupError) as caught:
        async with connect(tcp(fail)) as stream:
            await stream.send_all(b"x")
            assert await receive_all(stream) == b"a reply"
    assert isinstance(caught.value.__context__, AssertionError)


async def test_error_when_the_block_waits_in_vain_and_is_cut_off_then_it_is_raised(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The timeout was its doing."""
    with pytest.raises(LookupError):
        with trio.fail_after(5):
            async with connect(tcp(fail)) as stream:
                await stream.send_all(b"x")
                await trio.sleep_forever()


async def test_error_when_it_is_the_clients_doing_then_it_is_not_raised() -> None:
    """The client is the test: half a number, and a reset."""

    async def read_number(request: Any, client_address: Any, server: Any) -> None:
        await trioserver.StreamReader(request).readexactly(4)

    server = tcp(read_number)
    async with connect(server) as stream:
        await stream.send_all(b"12")
    async with connect(server) as stream:
        await stream.send_all(b"12")
        stream.abort()
    assert server.statistics().failed == 2


async def test_error_of_the_block_when_the_handler_is_fine_then_it_comes_out_as_it_is() -> None:
    """And the handler is gone."""
    server = tcp(Echo)
    with pytest.raises(KeyError, match="mine"):
        async with connect(server) as stream:
            await stream.send_all(b"x\n")
            await receive_exactly(stream, 2)
            raise KeyError("mine")
    assert server.requests == ()


async def test_system_exit_when_the_handler_raises_it_then_it_cancels_the_block() -> None:
    """As it would stop the server; it is bare."""

    async def leave(request: Any, client_address: Any, server: Any) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit, match="3"):
        async with connect(tcp(leave)):
            await trio.sleep_forever()


async def test_block_when_cancelled_then_the_handler_finishes_and_nothing_is_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """``finish`` is shielded for a while, as ever."""
    said: list[str] = []

    class Slow(Echo):
        async def finish(self) -> None:
            await trio.sleep(3)
            said.append("finished")

    server = tcp(Slow)
    with trio.move_on_after(1) as scope:
        async with connect(server) as stream:
            await stream.send_all(b"x\n")
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert (said, trio.current_time() - scope.deadline) == (["finished"], 3)
    assert (server.requests, server.statistics().cancelled) == ((), 1)


@pytest.mark.parametrize(
    ("grace_period", "outcome"), [(10, "finished"), (2, "cancelled"), (None, "finished")]
)
async def test_grace_period_when_the_handler_goes_on_after_the_end_then_it_has_so_long(
    grace_period: float | None, outcome: str, autojump_clock: trio.testing.MockClock
) -> None:
    """From the end of the block."""

    async def tidy_up(request: Any, client_address: Any, server: Any) -> None:
        await request.receive_some()
        await trio.sleep(5)

    server = tcp(tidy_up)
    async with connect(server, grace_period=grace_period):
        pass
    assert getattr(server.statistics(), outcome) == 1


async def test_options_when_time_is_limited_then_they_work_in_memory(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A handler's timeout, and the request's."""

    class Impatient(Echo):
        timeout = 30

    for server in (tcp(Impatient), tcp(Echo, request_timeout=30)):
        begun = trio.current_time()
        async with connect(server) as stream:
            assert await receive_all(stream) == b""
            assert trio.current_time() - begun == 30


async def test_shutdown_when_the_handler_waits_for_a_request_then_the_stream_ends() -> None:
    """The server is there to be stopped."""

    class Polite(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            while await self.wait_request():
                await self.wfile.write(await self.rfile.readline())
            await self.wfile.write(b"bye")

    server = tcp(Polite)
    async with connect(server) as stream:
        await stream.send_all(b"hello\n")
        assert await receive_exactly(stream, 6) == b"hello\n"
        server.request_shutdown(None)
        assert await receive_all(stream) == b"bye"


async def test_handler_when_it_writes_and_nobody_reads_then_it_waits(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Backpressure is there, too."""
    written = 0

    async def flood(request: Any, client_address: Any, server: Any) -> None:
        nonlocal written
        for _ in range(100):
            await request.send_all(bytes(10_000))
            written += 10_000

    async with connect(tcp(flood)) as stream:
        await trio.testing.wait_all_tasks_blocked()
        assert 50_000 < written < 200_000
        assert len(await receive_all(stream)) == 1_000_000


async def test_tls_server_when_connected_then_the_stream_carries_it() -> None:
    """An ``SSLStream`` on top is the client."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("server.example").configure_cert(context)
    clients = ssl.create_default_context()
    authority.configure_trust(clients)
    async with connect(tcp(Echo, ssl_context=context)) as stream:
        secure = trio.SSLStream(stream, clients, server_hostname="server.example")
        await secure.send_all(b"hello\n")
        assert await receive_exactly(secure, 6) == b"hello\n"


async def test_peer_credentials_when_unix_then_they_are_this_process() -> None:
    """As on a real socket in a test."""
    found: list[Any] = []

    async def who(request: Any, client_address: Any, server: Any) -> None:
        found.append(request.peer_credentials())

    async with connect(trioserver.UnixStreamServer("/run/s", who)) as stream:
        assert await receive_all(stream) == b""
    assert [tuple(each) for each in found] == [(os.getpid(), os.getuid(), os.getgid())]


async def test_sockets_of_others_when_a_server_is_connected_then_they_are_not_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither those that the handler makes, nor those of another task while the server opens."""
    monkeypatch.undo()
    made: list[object] = []

    async def make(*args: object) -> None:
        with trio.socket.socket() as sock:
            made.append(sock)
        made.append(await trio.socket.getaddrinfo("127.0.0.1", 80))

    class SlowToOpen(trioserver.TCPServer):
        async def server_bind(self) -> None:
            await super().server_bind()
            async with trio.open_nursery() as nursery:
                context = __import__("contextvars").Context()
                trio.lowlevel.spawn_system_task(make, context=context)
                nursery.start_soon(trio.testing.wait_all_tasks_blocked)

    async with connect(SlowToOpen(ANYWHERE, make)) as stream:
        assert await receive_all(stream) == b""
    assert len(made) == 4
    assert trio.socket.set_custom_socket_factory(None) is None
    assert trio.socket.set_custom_hostname_resolver(None) is None


async def test_server_when_it_can_not_be_served_in_memory_then_config_error_says_why(tmp_path: Path) -> None:
    """Datagrams, threads, and sockets that are there already."""
    with pytest.raises(trioserver.ConfigError, match="stream servers, not for UDPServer"):
        async with connect(trioserver.UDPServer(ANYWHERE, lambda *args: None)):  # type: ignore[arg-type]
            raise AssertionError("entered")
    with pytest.raises(trioserver.ConfigError, match="ThreadingTCPServer needs sockets"):
        async with connect(trioserver.ThreadingTCPServer(ANYWHERE, lambda *args: None)):
            raise AssertionError("entered")


async def test_server_when_it_is_open_already_then_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It listens somewhere else; it is left as it was."""
    monkeypatch.undo()
    async with tcp(Echo) as server:
        with pytest.raises(trioserver.ConfigError, match="neither open"):
            async with connect(server):
                raise AssertionError("entered")
        assert server.fileno() != -1
        with pytest.raises(trioserver.AlreadyServing):
            async with server.running(), connect(server):
                raise AssertionError("entered")
