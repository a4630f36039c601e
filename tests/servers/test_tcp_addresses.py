"""`TCPServer`: the addresses it binds to, and what it says of those it can not bind to."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import trio
from harness import Echo, client_of, receive_exactly

import trioserver


async def check_echo(address: Any) -> None:
    """Connect and get a line back."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = trio.socket.socket(family)
    await sock.connect(address)
    async with trio.SocketStream(sock) as client:
        await client.send_all(b"hello\n")
        assert await receive_exactly(client, 6) == b"hello\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_host_when_served_then_clients_reach_it(host: str, io_path: str) -> None:
    """IPv4, IPv6 and a name need no subclass; ``server_address`` is the real address."""
    async with trioserver.TCPServer((host, 0), Echo).running() as server:
        assert server.server_address[1] != 0
        assert server.server_addresses == (server.server_address,)
        await check_echo(server.server_address)


@pytest.mark.parametrize("host", ["", None])
async def test_host_when_empty_then_it_is_every_ipv4_interface(host: str | None) -> None:
    """``""`` is 0.0.0.0, as in the stdlib."""
    async with trioserver.TCPServer((host, 0), Echo) as server:
        assert server.server_address[0] == "0.0.0.0"


@pytest.mark.parametrize(
    ("host", "addresses"), [("localhost", {"127.0.0.1", "::1"}), ("", {"0.0.0.0", "::"})]
)
async def test_all_addresses_when_true_then_each_is_served_on_one_port(
    host: str, addresses: set[str], monkeypatch: pytest.MonkeyPatch, io_path: str
) -> None:
    """Port 0 is the same free port on all of them, and each family has a socket of its own."""

    async def both(name: str | None, port: int, *rest: object, **options: object) -> list[Any]:
        loopback = name == "localhost"  # a resolver that knows both, whatever this machine's file says
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1" if loopback else "::", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1" if loopback else "0.0.0.0", port)),
        ]

    monkeypatch.setattr(trio.socket, "getaddrinfo", both)
    async with trioserver.TCPServer((host, 0), Echo, all_addresses=True).running() as server:
        assert {address[0] for address in server.server_addresses} == addresses
        assert len({address[1] for address in server.server_addresses}) == 1
        assert len(server.sockets) == 2
        for address in (("127.0.0.1", server.server_address[1]), ("::1", server.server_address[1])):
            await check_echo(address)


async def test_all_addresses_when_a_client_uses_ipv4_then_its_address_is_not_mapped(io_path: str) -> None:
    """With ``""`` no client appears as ``::ffff:127.0.0.1``."""
    seen: list[Any] = []

    async def handler(request: trioserver.RequestStream, client_address: Any, server: object) -> None:
        seen.append(client_address)

    server = trioserver.TCPServer(("", 0), handler, all_addresses=True)
    async with server.running():
        port = server.server_address[1]
        async with await trio.open_tcp_stream("127.0.0.1", port) as client:
            assert await client.receive_some() == b""
    assert [address[0] for address in seen] == ["127.0.0.1"]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:80", None, ("127.0.0.1",), ("127.0.0.1", "80"), ("127.0.0.1", 65536), (1, 2), ("h", True)],
)
def test_server_address_when_it_is_none_then_the_constructor_names_the_argument(address: Any) -> None:
    """What is no ``(host, port)`` is a ConfigError that names ``server_address``, before any bind."""
    with pytest.raises(trioserver.ConfigError, match="server_address"):
        trioserver.TCPServer(address, Echo)


async def test_port_when_taken_then_the_error_names_the_address() -> None:
    """EADDRINUSE stays an OSError, with the address in a note; nothing is left open."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo) as first:
        second = trioserver.TCPServer(first.server_address, Echo)
        with pytest.raises(OSError) as caught:  # noqa: PT011  the errno says which one
            await second.serve_forever()
    assert caught.value.errno == errno.EADDRINUSE
    assert any(repr(first.server_address) in note for note in caught.value.__notes__)


async def test_host_when_it_can_not_be_resolved_then_gaierror() -> None:
    """The resolver's error is raised as it is."""
    with pytest.raises(socket.gaierror):
        await trioserver.TCPServer(("no such host.invalid", 0), Echo).serve_forever()


async def test_restart_when_connections_are_in_time_wait_then_the_port_is_free(io_path: str) -> None:
    """A server that closed its connections first can be restarted on its port at once."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo).running() as server:
        address = server.server_address
        async with client_of(server) as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"hello\n"
            await server.shutdown()  # closes first, so that TIME_WAIT is on this side
            assert await client.receive_some() == b""
    async with trioserver.TCPServer(address, Echo).running() as server:
        assert server.server_address == address


async def test_allow_reuse_port_when_true_then_two_servers_share_a_port() -> None:
    """Both must ask for it; off by default, a second server is refused."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo, allow_reuse_port=True) as first:
        async with trioserver.TCPServer(first.server_address, Echo, allow_reuse_port=True) as second:
            assert second.server_address == first.server_address


async def test_address_family_when_set_then_the_name_is_bound_to_it_alone() -> None:
    """``AF_INET`` binds to the IPv4 address of a name."""
    async with trioserver.TCPServer(("localhost", 0), Echo, address_family=socket.AF_INET) as server:
        assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(trioserver.ConfigError, match="address_family"):
        trioserver.TCPServer(("localhost", 0), Echo, address_family=socket.AF_UNIX)
