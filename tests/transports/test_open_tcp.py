"""Binding TCP sockets: addresses, names, both families on one port, ports that are taken."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trioserver import ConfigError
from trioserver._transports.open_tcp import TCPBinding, open_tcp_endpoints

from .kit import FakeEndpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trioserver._transports.endpoint import ListeningEndpoint

HOW = TCPBinding(
    socket.AF_UNSPEC, socket.SOCK_STREAM, reuse_address=True, reuse_port=False, all_addresses=False
)
ALL = HOW._replace(all_addresses=True)
V4, V6 = socket.AF_INET, socket.AF_INET6


async def bound(address: Any, how: TCPBinding = HOW) -> list[Any]:
    """The addresses that get bound; everything is closed again."""
    endpoints = await open_tcp_endpoints(address, how)
    names = [endpoint.socket.getsockname() for endpoint in endpoints]
    for endpoint in endpoints:
        endpoint.close()
    return names


@pytest.mark.parametrize(
    ("address", "family", "host"),
    [
        (("127.0.0.1", 0), socket.AF_UNSPEC, "127.0.0.1"),
        (("::1", 0), socket.AF_UNSPEC, "::1"),
        (("::1", 0, 0, 0), V6, "::1"),
        (("", 0), socket.AF_UNSPEC, "0.0.0.0"),
        ((None, 0), V4, "0.0.0.0"),
        (("", 0), V6, "::"),
        (("localhost", 0), V4, "127.0.0.1"),
    ],
)
async def test_bind_when_given_a_host_then_that_is_where_it_listens(
    address: Any, family: int, host: str
) -> None:
    """Addresses of either family, names and the empty host are bound, port 0 to a free one."""
    ((name, port, *_),) = await bound(address, HOW._replace(family=family))
    assert name == host
    assert port != 0


@pytest.mark.parametrize(
    "wrong",
    ["localhost", None, ("h",), ("h", 1, 2, 3, 4), (1, 2), ("h", "80"), ("h", -1), ("h", 65536), ("h", True)],
)
async def test_bind_when_the_address_is_no_host_and_port_then_config_error(wrong: Any) -> None:
    """The message names what is wrong, before anything is resolved."""
    with pytest.raises(ConfigError, match="server_address"):
        await bound(wrong)


async def test_bind_when_flow_and_scope_are_given_for_ipv4_then_config_error() -> None:
    """Only IPv6 addresses have them."""
    with pytest.raises(ConfigError, match="IPv6"):
        await bound(("127.0.0.1", 0, 0, 0))


async def test_bind_when_the_port_is_taken_then_the_error_says_where() -> None:
    """EADDRINUSE is the system's own error, with a note that has the address."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(OSError, match="in use") as caught:
            await bound(other.getsockname())
    assert caught.value.errno == errno.EADDRINUSE
    assert "127.0.0.1" in caught.value.__notes__[0]


async def test_bind_when_reuse_port_is_set_then_two_can_share() -> None:
    """SO_REUSEPORT lets a second server bind to the port."""
    (first,) = await open_tcp_endpoints(("127.0.0.1", 0), HOW._replace(reuse_port=True))
    try:
        names = await bound(first.socket.getsockname(), HOW._replace(reuse_port=True))
        assert names == [first.socket.getsockname()]
    finally:
        first.close()


async def test_all_addresses_when_the_host_is_empty_then_both_families_have_one_port() -> None:
    """Port 0 is the same free port on 0.0.0.0 and ::, each with a socket of its own."""
    names = await bound(("", 0), ALL)
    assert sorted(name[0] for name in names) == ["0.0.0.0", "::"]
    assert len({name[1] for name in names}) == 1


class Resolver(trio.abc.HostnameResolver):
    """Knows one name."""

    def __init__(self, *addresses: tuple[int, Any]) -> None:
        self.addresses = addresses

    async def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """The addresses, with the port."""
        return [
            (found, socket.SOCK_STREAM, 6, "", (address[0], port, *address[2:]))
            for found, address in self.addresses
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        """Not needed."""
        raise NotImplementedError


class Factory(trio.abc.SocketFactory):
    """Makes listening endpoints that are fakes, and says how a bind ends."""

    def __init__(self, bind: Callable[[int, Any], Any]) -> None:
        self.bind = bind
        self.made: list[FakeListener] = []

    def socket(self, family: int = V4, type: int = 1, proto: int = 0) -> Any:
        """One more."""
        self.made.append(FakeListener(self, family))
        return self.made[-1]


class FakeListener(FakeEndpoint):
    """As much of a listening endpoint as binding needs."""

    def __init__(self, factory: Factory, family: int) -> None:
        super().__init__()
        self.factory, self.family = factory, family
        self.name: Any = None
        self.socket.getsockname = lambda: self.name
        self.socket.setsockopt = lambda *option: None

    def bind(self, address: Any) -> None:
        """As the test says."""
        self.name = self.factory.bind(self.family, address)

    def listen(self, backlog: int) -> None:
        """Nothing to do."""

    def accept_nowait(self) -> tuple[FakeEndpoint, Any]:
        """Nobody comes."""
        raise BlockingIOError


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    """A name that stands for one IPv4 and one IPv6 address, the first one twice."""
    resolver = Resolver((V4, ("192.0.2.1", 0)), (V6, ("2001:db8::1", 0, 0, 0)), (V4, ("192.0.2.1", 0)))
    trio.socket.set_custom_hostname_resolver(resolver)
    yield resolver
    trio.socket.set_custom_hostname_resolver(None)


async def opened(factory: Factory, port: int = 0) -> list[ListeningEndpoint]:
    """Open the name's addresses with this factory."""
    trio.socket.set_custom_socket_factory(factory)
    try:
        return await open_tcp_endpoints(("name", port), ALL)
    finally:
        trio.socket.set_custom_socket_factory(None)


async def test_all_addresses_when_the_free_port_is_taken_on_the_second_then_another_is_tried(
    resolver: Resolver,
) -> None:
    """The port that the first address got may be taken on the second: then both get another one."""
    ports = iter(range(5000, 6000))

    def bind(family: int, address: Any) -> Any:
        if address[1] == 0:
            return (address[0], next(ports))
        if address[1] < 5003:
            raise OSError(errno.EADDRINUSE, "in use")
        return address

    factory = Factory(bind)
    endpoints = await opened(factory)
    assert [endpoint.socket.getsockname()[1] for endpoint in endpoints] == [5003, 5003]
    assert [made for made in factory.made if not made.socket.closed] == endpoints


@pytest.mark.parametrize(("port", "tries"), [(0, 16), (80, 1)])
async def test_all_addresses_when_the_port_stays_taken_then_the_error_is_raised_and_all_is_closed(
    resolver: Resolver, port: int, tries: int
) -> None:
    """A port that was asked for is tried once, a free one so many times, and nothing stays open."""

    def bind(family: int, address: Any) -> Any:
        if family == V6:
            raise OSError(errno.EADDRINUSE, "in use")
        return (address[0], address[1] or 5000)

    factory = Factory(bind)
    with pytest.raises(OSError, match="in use"):
        await opened(factory, port)
    assert len(factory.made) == 2 * tries
    assert all(made.socket.closed for made in factory.made)


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
@pytest.mark.parametrize("without", [V4, V6])
async def test_all_addresses_when_the_machine_lacks_one_then_it_is_left_out(
    resolver: Resolver, number: int, without: int
) -> None:
    """Where IPv6 is off, or an address is not this machine's, the others are served."""

    def bind(family: int, address: Any) -> Any:
        if family == without:
            raise OSError(number, "not here")
        return (address[0], 5000)

    (endpoint,) = await opened(Factory(bind))
    assert isinstance(endpoint, FakeListener)
    assert endpoint.family != without


async def test_all_addresses_when_none_can_be_bound_then_the_error_is_raised(resolver: Resolver) -> None:
    """With nothing left to serve, the system's error is raised; so is any other error at once."""
    for number in (errno.EADDRNOTAVAIL, errno.EACCES):

        def bind(family: int, address: Any, number: int = number) -> Any:
            raise OSError(number, "no")

        factory = Factory(bind)
        with pytest.raises(OSError, match="no") as caught:
            await opened(factory)
        assert caught.value.errno == number
        assert all(made.socket.closed for made in factory.made)
