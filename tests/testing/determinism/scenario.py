"""A run in which much happens: servers of every transport, clients, and faults by chance.

Programs do here what chance says, in the order that the seed gives; nothing is checked, but that it ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

import trioserver
from trioserver.testing import Deliver, Drop, Network, Packet, Pass, Verdict, exponential, uniform

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SERVERS = ("alpha", "beta", "gamma")
CLIENTS = ("one", "two", "three", "four")
GIVES_UP = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError)


class Lines(trioserver.StreamRequestHandler):
    """Answers each line, now and then after a while, and fails at one of them."""

    timeout = 20

    async def handle(self) -> None:
        async for line in self.rfile:
            if line == b"wait\n":
                await trio.sleep(3)
            if line == b"fail\n":
                raise ValueError("as it was told to")
            await self.wfile.write(line.upper())


class Datagrams(trioserver.DatagramRequestHandler):
    """Answers a datagram."""

    async def handle(self) -> None:
        self.wfile.write(self.rfile.read()[::-1])


async def swallow(request: Any, address: Any, server: Any) -> None:
    """Receives until the end, and says how much it was."""
    total = 0
    async for data in request:
        total += len(data)
    await request.send_all(b"%d" % total)


async def serve(
    network: Network, name: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """All the servers of one host, until it crashes or is told to stop."""
    servers: list[trioserver.BaseServer] = [
        trioserver.TCPServer(("0.0.0.0", 80), Lines, max_requests=3),
        trioserver.TCPServer(("::", 81), swallow, request_timeout=30),
        trioserver.UDPServer(("0.0.0.0", 53), Datagrams),
        trioserver.UnixStreamServer(f"/run/{name}", Lines),
    ]
    async with trio.open_nursery() as nursery:
        for server in servers:
            network.watch(server)
            await nursery.start(server.serve_forever)
        task_status.started()
        try:
            await trio.sleep(network.random.uniform(20, 200))
        finally:
            with trio.CancelScope(shield=True):
                for server in servers:
                    await server.shutdown(grace_period=network.random.choice((0, 1, 5)))


async def talk(network: Network, name: str) -> None:
    """One client: one thing after the other, each with whom chance says."""
    choose = network.random
    does: list[Callable[[Network, str], Awaitable[object]]] = [
        ask_lines,
        upload,
        ask_datagrams,
        race,
        vanish,
        listen_in_vain,
    ]
    for _ in range(choose.randint(3, 8)):
        await trio.sleep(choose.expovariate(0.5))
        action, server = choose.choice(does), choose.choice(SERVERS)
        try:
            with trio.fail_after(choose.choice((2, 30, 300))):
                said = await action(network, server)
        except GIVES_UP as error:
            said = f"{type(error).__name__} {getattr(error, 'errno', None)}"
        network.log.note(f"{name}: {action.__name__} {server}: {said}")


async def ask_lines(network: Network, server: str) -> object:
    """Ask some lines over TCP, several at a time."""
    async with await trio.open_tcp_stream(server, 80) as stream:
        for _ in range(network.random.randint(1, 5)):
            await stream.send_all(
                network.random.choice((b"hello\n" * 9, b"wait\n", b"fail\n", b"x" * 999 + b"\n"))
            )
            if not await stream.receive_some():
                return "the end"
        await stream.send_eof()
        return sum([len(data) async for data in stream])


async def upload(network: Network, server: str) -> object:
    """Send much, by several tasks at once over several connections."""
    counts: dict[int, object] = {}

    async def one(number: int, size: int) -> None:
        try:
            async with await trio.open_tcp_stream(server, 81) as stream:
                await stream.send_all(bytes(size))
                await stream.send_eof()
                counts[number] = await stream.receive_some()
        except GIVES_UP as error:
            counts[number] = type(error).__name__

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(one, number, network.random.randint(0, 200_000))
    return counts


async def ask_datagrams(network: Network, server: str) -> object:
    """Send datagrams, and count the answers of a while."""
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.connect((server, 53))
        for number in range(network.random.randint(1, 9)):
            await sock.send(b"%d" % number)
        got = []
        with trio.move_on_after(1):
            while True:
                got.append(await sock.recv(99))
        return got


async def race(network: Network, server: str) -> object:
    """Connect to all servers at once; trio keeps the losers, which it then closes, in a set."""
    async with await trio.open_tcp_stream("any", 80, happy_eyeballs_delay=1e-6) as stream:
        return stream.socket.getpeername()


async def vanish(network: Network, server: str) -> object:
    """Connect, send, and leave by a reset."""
    stream = await trio.open_tcp_stream(server, 80)
    async with stream:
        await stream.send_all(b"hello\n")
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return "left"


async def listen_in_vain(network: Network, server: str) -> object:
    """Ask for ports until there are several, and wait for nobody."""
    listeners = await trio.open_tcp_listeners(0)
    with trio.move_on_after(1):
        await trio.serve_tcp(trio.aclose_forcefully, listeners[0].socket.getsockname()[1])
    for listener in listeners:
        await listener.aclose()
    return len(listeners)


async def trouble(network: Network) -> None:
    """One fault after the other."""
    choose = network.random
    while True:
        await trio.sleep(choose.expovariate(0.2))
        a, b = choose.choice(CLIENTS), choose.choice(SERVERS)
        what = choose.randrange(9)
        if what == 0:
            network.partition(a, b, one_way=choose.random() < 0.5)
            await trio.sleep(choose.uniform(0, 20))
            network.repair()
        elif what == 1:
            network.hold(CLIENTS, b)
            await trio.sleep(choose.uniform(0, 3))
            network.release()
        elif what == 2:
            network.link(a, b, latency=uniform(0, 0.1), loss=0.1, duplication=0.1, reordering=0.1)
        elif what == 3:
            network.link(a, b, latency=exponential(0.01), bandwidth=100_000, loss=0)
        elif what == 4:
            network.hosts[b].crash()
            await trio.sleep(choose.uniform(0, 5))
            network.hosts[b].restart()
        elif what == 5:
            for connection in network.connections[::2]:
                connection.reset()
        elif what == 6:
            network.dns.fail(b)
            await trio.sleep(1)
            network.dns.recover(b)
        elif what == 7:
            network.hosts[b].max_fds = 6
            network.hosts[a].read_rate = 10_000
            await trio.sleep(5)
            network.hosts[b].max_fds = network.hosts[a].read_rate = None
        else:
            with network.rule(odd_ones_out):
                await trio.sleep(1)


def odd_ones_out(packet: Packet) -> Verdict:
    """A rule: one packet in seven is lost, one in eleven late."""
    if packet.number % 7 == 0:
        return Drop
    return Deliver(0.5) if packet.number % 11 == 0 else Pass


async def main(network: Network) -> int:
    """All of it; returns how many packets there were."""
    for name in (*SERVERS, *CLIENTS):
        network.host(name)
    network.dns.add("any", *(network.hosts[name].addresses[0] for name in SERVERS))
    async with trio.open_nursery() as everything:
        for name in SERVERS:
            await everything.start(network.hosts[name].run, serve, network, name)
        everything.start_soon(trouble, network)
        async with trio.open_nursery() as clients:
            for name in CLIENTS:
                with network.host(name):
                    clients.start_soon(talk, network, name)
        everything.cancel_scope.cancel()
    return sum(event.kind == "packet" for event in network.log)
