"""Programs for ``trioserver.testing.run``, in a module that other processes can import."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from trioserver.testing import Network

UNLUCKY = {5, 9, 11}
"""Seeds with which `unlucky` fails."""

runs = 0


async def talk(network: Network) -> bytes:
    """A client asks, a server answers; returns the answer."""
    async with trio.open_nursery() as nursery:
        with network.host("server"):
            listeners = await trio.open_tcp_listeners(7)
            nursery.start_soon(trio.serve_listeners, _answer, listeners)
        with network.host("client"):
            async with await trio.open_tcp_stream("server", 7) as stream:
                await stream.send_all(secrets.token_bytes(5000))
                await stream.send_eof()
                answer = await stream.receive_some()
        nursery.cancel_scope.cancel()
    return answer


async def _answer(stream: trio.SocketStream) -> None:
    count = 0
    async for chunk in stream:
        count += len(chunk)
    await stream.send_all(b"%d bytes" % count)


async def unlucky(network: Network) -> int:
    """Fails with some seeds."""
    network.log.note(f"this is seed {network.seed}")
    if network.seed in UNLUCKY:
        raise ValueError(f"seed {network.seed} is unlucky")
    return network.seed


async def set_of_strings(network: Network) -> None:
    """Walks through a set of strings: in another order with another ``PYTHONHASHSEED``."""
    network.log.note("before")
    for name in {f"name {number}" for number in range(50)}:
        network.log.note(name)


async def counts_runs(network: Network) -> None:
    """Leaves something behind for the next run in the same process."""
    global runs
    runs += 1
    network.log.note(f"run {runs}")


async def hash_seed(network: Network) -> str | None:
    """Returns what differs between processes."""
    return os.environ.get("PYTHONHASHSEED")


async def dies(network: Network) -> None:
    """Takes its process with it."""
    if network.seed == 1:
        os._exit(7)


async def last_fails_first(network: Network) -> None:
    """Seed 0 fails, but only once seed 1 is about to."""
    path = os.environ["TRIOSERVER_TEST_FILE"]
    if network.seed == 1:
        os.close(os.open(path, os.O_CREAT))
    while not os.access(path, os.F_OK):
        await trio.lowlevel.checkpoint()
    raise ValueError("too late" if network.seed else "the first")


async def never_ends(network: Network) -> None:
    """Says that it runs, by opening a FIFO, and then computes for ever."""
    descriptor = os.open(os.environ["TRIOSERVER_TEST_FIFO"], os.O_WRONLY)
    while descriptor >= 0:
        await trio.lowlevel.checkpoint()


not_async = runs
