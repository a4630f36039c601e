"""`Client`: what comes, what does not come, and how that is said; on loopback and on a simulated network."""

from __future__ import annotations

import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
import trustme
from harness import Echo

import trioserver
from trioserver.testing import Network
from trioserver.testing._client import Client
from trioserver.testing._client_sockets import address_of
from trioserver.testing._connect import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


@pytest.fixture(params=["kernel", "network"])
def clock(request: pytest.FixtureRequest) -> trio.testing.MockClock:
    """Virtual on the network; on the kernel it goes as fast as any."""
    if request.param == "network":
        return trio.testing.MockClock(autojump_threshold=0)
    return trio.testing.MockClock(rate=1)


@pytest.fixture
async def place(clock: trio.testing.MockClock) -> AsyncIterator[None]:
    """Where the sockets of a test are."""
    if clock.rate:
        yield
    else:
        with Network(seed=0):
            yield


@asynccontextmanager
async def served(handle: Callable[[Any], Awaitable[object]], **options: Any) -> AsyncIterator[Client]:
    """A client of a server that handles its one connection so."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        await handle(request)

    server = trioserver.TCPServer(("127.0.0.1", 0), handler)
    async with server.running(), Client.connect(server, **options) as client:
        yield client


async def test_expect_when_the_bytes_come_in_pieces_then_it_waits_for_all(place: None, clock: Any) -> None:
    """And what follows them stays for the next call."""

    async def dribble(request: Any) -> None:
        for part in (b"hel", b"lo\nwor", b"ld\n"):
            await request.send_all(part)
            await trio.sleep(0.01)

    async with served(dribble) as client:
        await client.expect(b"hello\n")
        await client.expect(b"wor")
        await client.expect(b"ld\n")
        await client.expect_eof()
        assert client.pending == b""


@pytest.mark.parametrize(
    ("expected", "came", "message"),
    [
        (
            b"hello\n",
            b"hallo\n",
            "other bytes came than expected, from byte 1 on\n"
            "  expected  b'hello\\n'\n"
            "  got       b'hallo\\n'\n"
            "               ^",
        ),
        (
            b"\x00hello",
            b"\x00help",
            "other bytes came than expected, from byte 4 on\n"
            "  expected  b'\\x00hello'\n"
            "  got       b'\\x00help'\n"
            "                     ^",
        ),
        (
            b"hello\n",
            b"hel",
            "too little came, from byte 3 on, then the server closed the connection\n"
            "  expected  b'hello\\n'\n"
            "  got       b'hel'\n"
            "                 ^",
        ),
        (b"hello", b"", "expected b'hello', and the server closed the connection"),
        (
            bytes(1000) + b"a" + bytes(1000),
            bytes(1000) + b"b" + bytes(1000),
            "other bytes came than expected, from byte 1000 on\n"
            f"  expected  {b'a' + bytes(59)!r} ... 901 bytes ... {bytes(40)!r}\n"
            f"  got       {b'b' + bytes(59)!r} ... 901 bytes ... {bytes(40)!r}\n"
            f"  after     {bytes(40)!r}",
        ),
    ],
    ids=["other bytes", "escaped bytes", "too few", "none", "many"],
)
async def test_expect_when_something_else_comes_then_the_message_shows_where(
    expected: bytes, came: bytes, message: str, place: None, clock: Any
) -> None:
    """With a mark under the first byte that differs; and at once, where one does."""

    async def say(request: Any) -> None:
        await request.send_all(came)

    begun = trio.current_time()
    async with served(say) as client:
        with pytest.raises(AssertionError) as caught:
            await client.expect(expected)
        assert str(caught.value) == message
    assert trio.current_time() - begun < 5


async def test_expect_when_nothing_more_comes_then_it_ends_after_the_timeout(place: None, clock: Any) -> None:
    """On trio's clock, and the connection is as it was."""

    async def say_a_part(request: Any) -> None:
        await request.send_all(b"hel")
        await trio.sleep(0.2)
        await request.send_all(b"lo")

    async with served(say_a_part, timeout=0.1) as client:
        with pytest.raises(AssertionError, match=r"too little came.*then nothing more came for 0\.1 s"):
            await client.expect(b"hello")
        client.timeout = 5
        await client.expect(b"hello")


async def test_receive_methods_when_it_comes_then_they_return_it(place: None, clock: Any) -> None:
    """By count, by line, all of it, and whatever there is."""

    async def say(request: Any) -> None:
        await request.send_all(b"12345line\r\nmore\r\nrest")

    async with served(say) as client:
        assert await client.receive_exactly(5) == b"12345"
        assert await client.receive_until(b"\r\n") == b"line\r\n"
        assert await client.receive(2) == b"mo"
        assert await client.receive_until(b"\n") == b"re\r\n"
        assert await client.receive_all() == b"rest"
        assert await client.receive() == b""
        with pytest.raises(AssertionError, match=r"expected 1 bytes, and the server closed the connection$"):
            await client.receive_exactly(1)


async def test_receive_until_when_the_stream_ends_before_then_it_says_what_came(
    place: None, clock: Any
) -> None:
    """It is not lost either."""

    async def say(request: Any) -> None:
        await request.send_all(b"no line")

    async with served(say) as client:
        expected = r"ends in b'\\n', and the server closed the connection, after b'no line'"
        with pytest.raises(AssertionError, match=expected):
            await client.receive_until(b"\n")
        assert await client.receive_all() == b"no line"


async def test_send_eof_when_sent_then_the_server_can_still_reply(place: None, clock: Any) -> None:
    """It is half a close; then the server's end is the end."""

    async def count(request: Any) -> None:
        total = 0
        async for chunk in request:
            total += len(chunk)
        await request.send_all(str(total).encode())

    async with served(count) as client:
        await client.send(bytes(300_000))
        await client.send_eof()
        await client.expect(b"300000")
        await client.expect_eof()


async def test_abort_when_called_then_the_server_is_reset(place: None, clock: Any) -> None:
    """And the client is closed."""
    errors: list[BaseException | None] = []

    async def read(request: Any) -> None:
        try:
            await request.receive_some()
            await request.receive_some()
        except trio.BrokenResourceError as error:
            errors.append(error.__cause__)

    async with served(read) as client:
        await client.send(b"x")
        await trio.sleep(0.05)
        client.abort()
        with pytest.raises(trio.ClosedResourceError):
            await client.receive()
        await trio.sleep(0.05)
    assert [type(error) for error in errors] == [ConnectionResetError]


async def test_expect_reset_when_the_server_resets_then_it_returns(place: None, clock: Any) -> None:
    """And an end in order is none."""

    async def reset(request: Any) -> None:
        await request.receive_some()
        request.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        request.close()

    async with served(reset) as client:
        await client.send(b"x")
        await client.expect_reset()
        with pytest.raises(AssertionError, match="expected the end of the stream, and the server reset"):
            await client.expect_eof()

    async def close(request: Any) -> None:
        """Ends."""

    async with served(close) as client:
        with pytest.raises(AssertionError, match="expected a reset, and the server closed the connection"):
            await client.expect_reset()


async def test_expect_eof_when_bytes_come_then_it_shows_them(place: None, clock: Any) -> None:
    """So does expecting nothing."""

    async def say(request: Any) -> None:
        await request.send_all(b"hello")
        await trio.sleep(1)

    async with served(say, timeout=0.3) as client:
        with pytest.raises(AssertionError, match="expected the end of the stream, and b'hello' came"):
            await client.expect_eof()
        with pytest.raises(AssertionError, match=r"expected nothing for 0\.1 s, and b'hello' came"):
            await client.expect_nothing(0.1)
        await client.expect(b"hello")
        await client.expect_nothing(0.1)
        with pytest.raises(trioserver.ConfigError, match="must not be empty"):
            await client.expect(b"")
        with pytest.raises(AssertionError, match=r"expected the end.*, and nothing more came for 0\.3 s"):
            await client.expect_eof()


async def test_receive_slowly_when_much_is_sent_then_the_server_waits(place: None, clock: Any) -> None:
    """The time that it takes is that of the rate."""

    async def say(request: Any) -> None:
        await request.send_all(bytes(5000))

    async with served(say) as client:
        begun = trio.current_time()
        assert await client.receive_slowly(1000, 5000) == bytes(1000)
        assert 0.19 < trio.current_time() - begun < 2
        assert len(await client.receive_all()) == 4000
        with pytest.raises(AssertionError, match="expected 10 bytes, and the server closed"):
            await client.receive_slowly(10, 1000)


async def test_send_when_nobody_reads_then_it_ends_after_the_timeout(place: None, clock: Any) -> None:
    """With a word on why."""

    async def ignore(request: Any) -> None:
        await trio.sleep(1)

    async with served(ignore, timeout=0.2) as client:
        with pytest.raises(AssertionError, match=r"50000000 bytes could not be sent within 0\.2 s"):
            await client.send(bytes(50_000_000))


async def test_connect_when_nobody_listens_then_the_error_is_the_kernels(place: None, clock: Any) -> None:
    """As it is, without a group."""
    with trio.socket.socket() as sock:
        await sock.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            async with Client.connect(sock.getsockname()):
                raise AssertionError("entered")


async def test_connect_when_given_an_address_then_it_is_the_address_of_the_handler(
    place: None, clock: Any
) -> None:
    """A tuple, or the server itself, also one on all interfaces."""
    seen: list[Any] = []

    async def note(request: Any, client_address: Any, server: Any) -> None:
        seen.append(client_address)

    async with trioserver.TCPServer(("", 0), note).running() as server:
        for target in (server, server.server_address, ("127.0.0.1", server.server_address[1])):
            async with Client.connect(target) as client:
                address = client.address
                await client.expect_eof()
            assert seen.pop() == address


def test_address_when_a_server_is_on_all_interfaces_then_it_is_the_one_of_this_host() -> None:
    """Linux takes 0.0.0.0 for that; other systems do not connect to it."""
    assert address_of(("0.0.0.0", 80)) == ("127.0.0.1", 80)
    assert address_of(("::", 80, 0, 0)) == ("::1", 80, 0, 0)
    assert address_of(("", 80)) == address_of((None, 80)) == ("127.0.0.1", 80)


async def test_connect_when_given_a_path_then_it_is_a_unix_socket(
    tmp_path: Path, place: None, clock: Any
) -> None:
    """As text, or as a path, or the server."""
    async with trioserver.UnixStreamServer(tmp_path / "s", Echo).running() as server:
        for target in (server, tmp_path / "s", str(tmp_path / "s")):
            async with Client.connect(target) as client:
                await client.send(b"hello\n")
                await client.expect(b"hello\n")


async def test_connect_when_it_is_nothing_to_connect_to_then_config_error(place: None, clock: Any) -> None:
    """With a word on what it is."""
    unopened = trioserver.TCPServer(("127.0.0.1", 0), Echo)
    datagrams = trioserver.UDPServer(("127.0.0.1", 0), lambda *args: None)
    for target, expected in ((unopened, "is not open"), (80, "not 80"), ("", "not ''"), (datagrams, "UDP")):
        with pytest.raises(trioserver.ConfigError, match=expected):
            async with Client.connect(target):
                raise AssertionError("entered")


async def test_tls_when_connected_with_a_context_then_all_is_encrypted(place: None, clock: Any) -> None:
    """It can not be closed by halves, and can be reset."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("server.example").configure_cert(context)
    clients = ssl.create_default_context()
    authority.configure_trust(clients)
    server = trioserver.TCPServer(("127.0.0.1", 0), Echo, ssl_context=context)
    options: Any = {"ssl_context": clients, "server_hostname": "server.example"}
    async with server.running():
        async with Client.connect(server, **options) as client:
            await client.send(b"hello\n")
            await client.expect(b"hello\n")
            with pytest.raises(trioserver.ConfigError, match="SSLStream has no half"):
                await client.send_eof()
        async with Client.connect(server, **options) as client:
            await client.send(b"hello\n")
            client.abort()


async def test_client_when_put_on_a_stream_in_memory_then_it_works_the_same(place: None, clock: Any) -> None:
    """The simplest of tests, with the same words."""
    async with connect(trioserver.TCPServer(("127.0.0.1", 0), Echo)) as stream:
        client = Client(stream)
        await client.send(b"hello\n")
        await client.expect(b"hello\n")
        assert client.address is None
        await client.send_eof()
        await client.expect_eof()
        client.abort()
        with pytest.raises(trioserver.ConfigError, match="no socket"):
            Client(trio.testing.memory_stream_pair()[0]).abort()


async def test_calls_when_the_connection_breaks_then_they_say_how(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A line that is cut is noticed after a quarter of an hour, and is no reset."""
    with Network(seed=0) as network:
        with network.host("server"):
            server = trioserver.TCPServer(("", 80), Echo)
            async with server.running(), _client_elsewhere(network) as client:
                await client.send(b"x")
                network.partition("client", "server")
                await client.send(b"lost\n")
                client.timeout = 3600
                with pytest.raises(
                    AssertionError, match=r"expected a reset, and the connection broke: .*timed"
                ):
                    await client.expect_reset()
                with pytest.raises(AssertionError, match="expected something, and the connection broke"):
                    await client.receive()
                with pytest.raises(
                    AssertionError, match="expected the end of the stream, and the connection"
                ):
                    await client.receive_all()
                with pytest.raises(TimeoutError, match=r"no connection to server:80 within 3 s"):
                    with network.host("client"):
                        async with Client.connect(("server", 80), timeout=3):
                            raise AssertionError("entered")


@asynccontextmanager
async def _client_elsewhere(network: Network) -> AsyncIterator[Client]:
    with network.host("client"):
        async with Client.connect(("server", 80)) as client:
            yield client


async def test_connect_when_a_host_is_named_then_it_is_from_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """For the connection only: what is done in the block is done where it was done before."""
    with Network(seed=0) as network:
        with network.host("server"):
            listeners = await trio.open_tcp_listeners(80)
        try:
            for host in ("alice", network.host("bob")):
                async with Client.connect(("server", 80), host=host) as client:
                    assert network.current_host.name == "localhost"
                    name = host if isinstance(host, str) else host.name
                    assert client.address[0] in network.host(name).addresses
            with pytest.raises(trioserver.ConfigError, match="name of a host"):
                await Client.connect(("server", 80), host="").__aenter__()
        finally:
            for listener in listeners:
                await listener.aclose()


async def test_connect_when_a_host_is_named_and_there_is_no_network_then_config_error() -> None:
    """Only a network has hosts."""
    with pytest.raises(trioserver.ConfigError, match="no Network is in use"):
        await Client.connect(("127.0.0.1", 80), host="alice").__aenter__()
