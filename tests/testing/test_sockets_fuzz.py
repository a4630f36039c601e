"""Simulated TCP under random traffic and faults: no stream is ever wrong, and nothing is left."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trioserver.testing import run

from .sockets_kit import PORT, listen

if TYPE_CHECKING:
    from trioserver.testing import Network

EXPECTED = {
    errno.ECONNRESET,
    errno.ECONNREFUSED,
    errno.EPIPE,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EBADF,
    errno.ENETDOWN,
    errno.EADDRINUSE,
}
"""What a program has to live with when hosts crash and connections are reset."""


def pattern(place: int, count: int) -> bytes:
    """What is in a stream at a place."""
    return bytes((place + number) * 7 % 251 for number in range(count))


async def talk(network: Network, sock: Any) -> None:
    """Send and receive, both at once and in pieces, until one end has had enough."""
    random = network.random

    async def send() -> None:
        place = 0
        while random.random() < 0.97:
            data = pattern(place, random.randrange(1, 5000))
            place += await sock.send(data)
            if random.random() < 0.3:
                await trio.sleep(random.random())
        if random.random() < 0.5:
            sock.shutdown(trio.socket.SHUT_WR)
        else:
            sock.close()

    async def receive() -> None:
        place = 0
        while data := await sock.recv(random.randrange(1, 5000)):
            assert data == pattern(place, len(data))
            place += len(data)
            if random.random() < 0.1:
                await trio.sleep(random.random())

    async def tolerant(function: Any) -> None:
        try:
            await function()
        except OSError as error:
            if error.errno not in EXPECTED:
                raise
        except trio.ClosedResourceError:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tolerant, send)
        nursery.start_soon(tolerant, receive)
    sock.close()


async def serve(network: Network) -> None:
    """Accept, again after each crash."""
    async with trio.open_nursery() as nursery:
        while True:
            try:
                listener = await listen(network, backlog=3)
                while True:
                    sock, _ = await listener.accept()
                    nursery.start_soon(talk, network, sock)
            except OSError as error:
                if error.errno not in EXPECTED:
                    raise
            except trio.ClosedResourceError:
                pass
            await trio.sleep(1)


async def connect(network: Network, host: str) -> None:
    """Connect, again and again."""
    for _ in range(4):
        await trio.sleep(network.random.random() * 5)
        try:
            with network.host(host):
                sock: Any = trio.socket.socket()
            await sock.connect((network.host("server").addresses[0], PORT))
        except (OSError, trio.ClosedResourceError) as error:
            if isinstance(error, OSError) and error.errno not in EXPECTED:
                raise
            continue
        await talk(network, sock)


async def disturb(network: Network) -> None:
    """Faults, one after the other."""
    random = network.random
    names = ["server", "one", "two"]
    while True:
        await trio.sleep(random.random() * 10)
        host = network.host(random.choice(names))
        fault = random.randrange(6)
        if fault == 0:
            host.crash()
            await trio.sleep(random.random() * 5)
            host.restart()
        elif fault == 1:
            network.partition(host.name, names[names.index(host.name) - 1], one_way=random.random() < 0.5)
            await trio.sleep(random.random() * 30)
            network.repair()
        elif fault == 2:
            network.hold(host.name, names[names.index(host.name) - 1])
            await trio.sleep(random.random() * 5)
            network.release(host.name, names[names.index(host.name) - 1])
        elif fault == 3:
            for connection in network.connections[:1]:
                connection.reset()
        elif fault == 4:
            host.read_rate = random.choice([None, 10_000])
        else:
            network.link("server", "one", loss=random.random() * 0.3, duplication=0.1, reordering=0.1)


async def program(network: Network) -> None:
    """Two clients, a server and trouble; then nothing is left."""
    for name in ("server", "one", "two"):
        network.host(name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, network)
        nursery.start_soon(disturb, network)
        async with trio.open_nursery() as clients:
            for host in ("one", "two", "one"):
                clients.start_soon(connect, network, host)
        nursery.cancel_scope.cancel()
    for machine in network.hosts.values():
        for sock in list(machine.sockets.values()):
            assert isinstance(sock, trio.socket.SocketType)
            sock.close()
    network.repair()
    await trio.sleep(3600)
    assert network.connections == []
    assert all(not host.tcp or not host.tcp["stack"].connections for host in network.hosts.values())


@pytest.mark.parametrize("seed", range(4))
def test_streams_when_there_are_faults_then_they_are_a_prefix_of_what_was_sent(seed: int) -> None:
    """The seed is in the name of the test that fails."""
    run(program, seed=seed)
