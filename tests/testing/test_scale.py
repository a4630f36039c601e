"""Long runs and many hosts; ``python -m benchmarks.simulation`` has the figures."""

from __future__ import annotations

import time

import trio
from harness import Echo

import trioserver
from trioserver.testing import Network, run


async def ask(host: str, line: bytes) -> bytes:
    """One line and its echo."""
    async with await trio.open_tcp_stream(host, 7) as stream:
        await stream.send_all(line)
        received = b""
        while len(received) < len(line):
            received += await stream.receive_some()
        return received


def test_run_when_an_hour_passes_in_silence_then_it_takes_less_than_a_second() -> None:
    """100 connections to a server with a timeout of two hours; the time that counts is the processor's."""

    class Patient(Echo):
        timeout = 7200

    async def main(network: Network) -> int:
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                server = trioserver.TCPServer(("0.0.0.0", 7), Patient)
                await nursery.start(server.serve_forever)
            with network.host("client"):
                streams = [await trio.open_tcp_stream("server", 7) for _ in range(100)]
                for stream in streams:
                    await stream.send_all(b"hello\n")
                await trio.sleep(3600)
                active = server.statistics().active
                for stream in streams:
                    assert await stream.receive_some() != b""
                    await stream.aclose()
            nursery.cancel_scope.cancel()
        return active

    began = time.process_time()
    result = run(main, seed=1)
    took = time.process_time() - began
    assert (result.value, result.duration >= 3600) == (100, True)
    assert took < 1


def test_run_when_there_are_a_thousand_hosts_then_each_reaches_the_next() -> None:
    """A server and a client on each, all at once, in one run."""
    count = 1000
    answers: dict[int, bytes] = {}

    async def client(network: Network, number: int) -> None:
        with network.host(f"h{number}"):
            answers[number] = await ask(f"h{(number + 1) % count}", b"%d\n" % number)

    async def main(network: Network) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(count):
                with network.host(f"h{number}"):
                    await nursery.start(trioserver.TCPServer(("0.0.0.0", 7), Echo).serve_forever)
            async with trio.open_nursery() as clients:
                for number in range(count):
                    clients.start_soon(client, network, number)
            nursery.cancel_scope.cancel()

    assert len(run(main, seed=1).log) > 7 * count
    assert answers == {number: b"%d\n" % number for number in range(count)}
