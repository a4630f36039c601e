"""The two worlds in which each test of this folder runs: the kernel's loopback, and a simulated network.

A test sees only trio's public socket functions and a `World`, which closes what it opens, and knows how long
"long enough" is: milliseconds on the kernel, and virtual seconds on the network.
"""

from __future__ import annotations

import contextlib
import functools
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM
from typing import TYPE_CHECKING, Any, TypeAlias

import trio
import trio.testing

from trioserver.testing import Network

from .one_name import OneName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

Socket: TypeAlias = trio.socket.SocketType
LOCALHOST = "127.0.0.1"
SEEDS = (0, 1)  # on which the network splits and merges segments differently


class World:
    """What a test may ask for, on whatever its sockets are.

    Attributes:
      moment: Seconds after which nothing that was under way is still under way.
      addresses: Addresses of this host that a name may stand for: two of IPv4 and one of IPv6.
    """

    moment: float
    addresses: tuple[str, str, str]

    def __init__(self) -> None:
        self.stack = contextlib.ExitStack()

    def run(self, test: Callable[[], Awaitable[None]]) -> None:
        """Run a test."""
        raise NotImplementedError

    def add_name(self, host: str, *addresses: str) -> None:
        """Let a name stand for addresses."""
        raise NotImplementedError

    async def settle(self, condition: Callable[[], object]) -> None:
        """Wait until something is so; AssertionError when it does not become so."""
        for _ in range(1000):
            if condition():
                return
            await trio.sleep(self.moment / 5)
        raise AssertionError("what the test waits for does not come")

    async def quiet(self) -> None:
        """Wait until nothing is under way."""
        await trio.sleep(self.moment)

    async def is_stuck(self, function: Callable[..., Awaitable[object]], *arguments: Any) -> bool:
        """Whether a call waits, and goes on waiting; it is cancelled then."""
        with trio.move_on_after(self.moment) as scope:
            await function(*arguments)
        return scope.cancelled_caught

    async def fill(self, sock: Socket, chunk: bytes = bytes(10_000)) -> int:
        """Send until no more fits; returns how many bytes that were.

        It tries more than once: a socket with little room takes data, but Linux does not call it writable.
        """
        total = tries = 0
        while tries < 3:
            tries += 1
            with trio.move_on_after(self.moment):
                total += await sock.send(chunk)
                tries = 0
        return total

    def keep(self, sock: Socket) -> Socket:
        """Close a socket at the end of the test."""
        self.stack.callback(sock.close)
        return sock

    def socket(self, family: int = AF_INET, kind: int = SOCK_STREAM, proto: int = 0) -> Socket:
        """A new socket, closed at the end of the test."""
        return self.keep(trio.socket.socket(family, kind, proto))

    async def bound(self, address: Any = (LOCALHOST, 0), **options: Any) -> Socket:
        """A socket with an address."""
        sock = self.socket(**options)
        await sock.bind(address)
        return sock

    async def listener(self, address: Any = (LOCALHOST, 0), backlog: int = 20, **options: Any) -> Socket:
        """A socket that listens."""
        sock = await self.bound(address, **options)
        sock.listen(backlog)
        return sock

    async def connect(self, listener: Socket) -> Socket:
        """A client's socket, connected to a listener."""
        sock = self.socket(listener.family)
        await sock.connect(listener.getsockname())
        return sock

    async def accept(self, listener: Socket) -> Socket:
        """The server's end of the next connection."""
        sock, _ = await listener.accept()
        return self.keep(sock)

    async def pair(self, address: Any = (LOCALHOST, 0), **options: Any) -> tuple[Socket, Socket]:
        """A client and a server that are connected; nobody listens any more."""
        listener = await self.listener(address, **options)
        client, server = await self.connect(listener), await self.accept(listener)
        listener.close()
        return client, server

    async def datagrams(self, address: Any = (LOCALHOST, 0), family: int = AF_INET) -> Socket:
        """A datagram socket with an address."""
        return await self.bound(address, family=family, kind=SOCK_DGRAM)

    async def datagram_pair(self) -> tuple[Socket, Socket]:
        """Two datagram sockets, each connected to the other."""
        left, right = await self.datagrams(), await self.datagrams()
        await left.connect(right.getsockname())
        await right.connect(left.getsockname())
        return left, right


class KernelWorld(World):
    """Real sockets, real time."""

    moment = 0.005
    addresses = (LOCALHOST, "127.0.0.2", "::1")

    def run(self, test: Callable[[], Awaitable[None]]) -> None:
        """Run a test."""
        trio.run(self._run, test)

    async def _run(self, test: Callable[[], Awaitable[None]]) -> None:
        with self.stack, trio.fail_after(5):
            await test()

    def add_name(self, host: str, *addresses: str) -> None:
        """Let a name stand for addresses, for trio only."""
        trio.socket.set_custom_hostname_resolver(OneName(host, addresses))


class NetworkWorld(World):
    """Simulated sockets, virtual time."""

    moment = 1.0
    addresses = ("192.0.2.1", "192.0.2.2", "2001:db8::1")

    def run(self, test: Callable[[], Awaitable[None]]) -> None:
        """Run a test with several seeds."""
        for seed in SEEDS:
            try:
                trio.run(self._run, test, seed, clock=trio.testing.MockClock(autojump_threshold=0))
            except BaseException as error:
                error.add_note(f"the network's seed was {seed}")
                raise

    async def _run(self, test: Callable[[], Awaitable[None]], seed: int) -> None:
        network = self.network = Network(seed)
        network.host("localhost", *self.addresses)
        with network, self.stack:
            with trio.fail_after(1000):
                await test()
            self.stack.close()
            await self.quiet()
            assert not [host.sockets for host in network.hosts.values() if host.sockets]

    def add_name(self, host: str, *addresses: str) -> None:
        """Let a name stand for addresses."""
        self.network.dns.add(host, *addresses)


def parity(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make an async test a test that runs in the world which the fixture ``world`` gives."""

    @functools.wraps(test)
    def run(world: World, **arguments: Any) -> None:
        world.run(functools.partial(test, world, **arguments))

    return run


@contextlib.asynccontextmanager
async def background(*functions: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Have functions run, and wait, while the block runs; at its end they have to end, too."""
    async with trio.open_nursery() as nursery:
        for function in functions:
            nursery.start_soon(function)
        await trio.testing.wait_all_tasks_blocked()
        yield
