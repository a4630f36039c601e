"""How fast the simulated network is: ``python -m benchmarks.simulation`` from the checkout's root.

What is counted is the processor time of this process, which is one core's, since all of it is one thread: a
machine that is busy otherwise changes it less than it does a time by the clock. Each workload is a whole run,
from the making of the network to its end, and the figures are those of the median round.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

import trioserver
from benchmarks import machine
from trioserver.testing import Network, Packet, Pass, Verdict, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Program = Callable[[Network], Awaitable[None]]

HOUR = 3600.0


class Echo(trioserver.StreamRequestHandler):
    """Sends back each line."""

    async def handle(self) -> None:
        async for line in self.rfile:
            await self.wfile.write(line)


async def serve(nursery: trio.Nursery, network: Network, name: str) -> None:
    """Start an echo server on a host."""
    with network.host(name):
        await nursery.start(trioserver.TCPServer(("0.0.0.0", 7), Echo).serve_forever)


async def ask(stream: trio.SocketStream, line: bytes) -> None:
    """Send a line and receive it back."""
    await stream.send_all(line)
    left = len(line)
    while left:
        left -= len(await stream.receive_some(left))


async def bulk(network: Network) -> None:
    """100 megabytes over one connection."""

    async def swallow(stream: trio.SocketStream) -> None:
        async for _ in stream:
            pass

    async with trio.open_nursery() as nursery:
        with network.host("server"):
            await nursery.start(trio.serve_tcp, swallow, 80)
        with network.host("client"):
            chunk = bytes(65536)
            async with await trio.open_tcp_stream("server", 80) as stream:
                for _ in range(1600):
                    await stream.send_all(chunk)
            while network.connections:  # noqa: ASYNC110  nothing tells of it, and the time is simulated
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def echo(network: Network) -> None:
    """200 connections, 100 lines of 64 bytes on each, one at a time, to and from a ``TCPServer``."""

    async def client() -> None:
        async with await trio.open_tcp_stream("server", 7) as stream:
            for _ in range(100):
                await ask(stream, b"x" * 63 + b"\n")

    async with trio.open_nursery() as nursery:
        await serve(nursery, network, "server")
        with network.host("client"):
            async with trio.open_nursery() as clients:
                for _ in range(200):
                    clients.start_soon(client)
        nursery.cancel_scope.cancel()


async def udp(network: Network) -> None:
    """50 pairs of sockets, 2,000 datagrams of 64 bytes from one to the other of each, in bursts of 100."""
    address = network.host("server").addresses[0]

    async def receive(port: int) -> None:
        with network.host("server"), trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
            await sock.bind(("0.0.0.0", port))
            for _ in range(2000):
                await sock.recv(100)

    async def send(port: int) -> None:
        with network.host("client"), trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
            await sock.connect((address, port))
            for _ in range(20):
                await trio.sleep(0.1)
                for _ in range(100):
                    await sock.send(b"x" * 64)

    async with trio.open_nursery() as nursery:
        for port in range(1000, 1050):
            nursery.start_soon(receive, port)
            nursery.start_soon(send, port)


async def hosts(network: Network) -> None:
    """1,000 hosts, each with a ``TCPServer``; each asks ten lines of the next one, all at once."""

    async def client(number: int) -> None:
        with network.host(f"h{number}"):
            async with await trio.open_tcp_stream(f"h{(number + 1) % 1000}", 7) as stream:
                for _ in range(10):
                    await ask(stream, b"hello\n")

    async with trio.open_nursery() as nursery:
        for number in range(1000):
            await serve(nursery, network, f"h{number}")
        async with trio.open_nursery() as clients:
            for number in range(1000):
                clients.start_soon(client, number)
        nursery.cancel_scope.cancel()


async def idle(network: Network) -> None:
    """An hour of 100 connections that say nothing after the first line."""
    await _connections_for_an_hour(network, every=HOUR)


async def keepalive(network: Network) -> None:
    """An hour of 100 connections that ask a line each minute."""
    await _connections_for_an_hour(network, every=60)


async def _connections_for_an_hour(network: Network, every: float) -> None:
    async def client() -> None:
        async with await trio.open_tcp_stream("server", 7) as stream:
            for _ in range(round(HOUR / every)):
                await ask(stream, b"still here\n")
                await trio.sleep(every)

    async with trio.open_nursery() as nursery:
        await serve(nursery, network, "server")
        with network.host("client"):
            async with trio.open_nursery() as clients:
                for _ in range(100):
                    clients.start_soon(client)
        nursery.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class Workload:
    """A program and what it is to reach."""

    program: Program
    log_packets: bool = True
    seeded: bool = False  # whether it runs through `trioserver.testing.run`
    rate: float | None = None  # packets a second that are wanted
    seconds: float | None = None  # or the seconds that it may take


WORKLOADS = {
    "bulk": Workload(bulk, log_packets=False, rate=100_000),
    "bulk+log": Workload(bulk, rate=100_000),
    "udp": Workload(udp, log_packets=False),
    "udp+log": Workload(udp),
    "echo": Workload(echo, log_packets=False),
    "echo+log": Workload(echo),
    "echo+run": Workload(echo, seeded=True),
    "hosts": Workload(hosts),
    "idle": Workload(idle, seconds=1),
    "keepalive": Workload(keepalive),
}


async def counted(network: Network, program: Program) -> int:
    """Run the program; returns how many packets were sent."""
    await program(network)
    last = 0

    def number(packet: Packet) -> Verdict:
        nonlocal last
        last = packet.number
        return Pass

    with network.rule(number), trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.sendto(b"", ("127.0.0.1", 9))
    return last - 1


def measure(workload: Workload) -> tuple[int, float]:
    """The packets of one round, and the seconds that the processor took for it."""

    async def main() -> int:
        with Network(1, log_packets=workload.log_packets) as network:
            return await counted(network, workload.program)

    gc.collect()
    began = time.process_time()
    if workload.seeded:
        packets = run(counted, workload.program, seed=1).value
    else:
        packets = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return packets, time.process_time() - began


def verdict(workload: Workload, rate: float, seconds: float) -> str:
    """Whether it is as fast as it should be."""
    if workload.rate is not None:
        return f"{'ok' if rate >= workload.rate else 'MISSED'}, want {workload.rate:,.0f} packets/s"
    if workload.seconds is not None:
        return f"{'ok' if seconds < workload.seconds else 'MISSED'}, want {workload.seconds:g} s"
    return ""


def main() -> int:
    """Measure and print; the exit code is 1 where a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each workload (default 5)")
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="only these, with commas between")
    parser.add_argument("--json", action="store_true", help="all rounds, as JSON")
    options = parser.parse_args()
    about = machine.describe()
    names = options.workloads.split(",")
    if unknown := [name for name in names if name not in WORKLOADS]:
        parser.error(f"no such workload: {', '.join(unknown)}; there are: {', '.join(WORKLOADS)}")
    rounds: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:  # in turn, so that a slow minute of the machine hits all of them
            rounds[name].append(measure(WORKLOADS[name]))
    missed = 0
    lines: list[str] = []
    for name, figures in rounds.items():
        packets = figures[0][0]
        seconds = statistics.median(took for _, took in figures)
        said = verdict(WORKLOADS[name], packets / seconds, seconds)
        missed += said.startswith("MISSED")
        lines.append(f"{name:<10}{packets:>9,}{seconds:>10.2f}{packets / seconds:>12,.0f}  {said}".rstrip())
    if options.json:
        report: dict[str, Any] = {"machine": about, "rounds": rounds}
        print(json.dumps(report, indent=2))
    else:
        print(", ".join(f"{key} {value}" for key, value in about.items()))
        print(f"\n{'workload':<10}{'packets':>9}{'CPU, s':>10}{'packets/s':>12}  target")
        print("\n".join(lines))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
