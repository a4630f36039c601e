"""trioserver in several processes, with a handler that does some work for each line."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from benchmarks.peers.registry import HOST, Job, peer

if TYPE_CHECKING:
    import socket

    from trioserver import TCPServer

WORK = 0.0003
"""Seconds of processor time for each line."""


def make_server(sockets: list[socket.socket]) -> TCPServer:
    """What each worker serves; it imports this by its name."""
    from trioserver import StreamRequestHandler, TCPServer

    class Work(StreamRequestHandler):
        async def handle(self) -> None:
            async for line in self.rfile:
                # Processor time and not a number of turns: two workers that share a CPU are not to look
                # as if each had one.
                done = time.thread_time() + WORK
                while time.thread_time() < done:
                    pass
                await self.wfile.write(line)

    return TCPServer(None, Work, sock=sockets)


@peer("work")
def trioserver_one_worker(job: Job) -> None:
    """``trioserver.Workers`` with one process."""
    serve(job, 1)


@peer("work")
def trioserver_two_workers(job: Job) -> None:
    """The same with two."""
    serve(job, 2)


def serve(job: Job, count: int) -> None:
    import trio

    from trioserver import Workers

    async def main() -> None:
        workers = Workers(f"{__name__}:make_server", (HOST, job.port), workers=count)
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                address = await nursery.start(workers.serve_forever)
                job.ready(address[1])
                await anext(aiter(signals))
                job.stopping()
                await workers.shutdown()
                job.stopped()

    trio.run(main)
