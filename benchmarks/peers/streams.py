"""asyncio's streams, on the standard library's loop and on uvloop."""

from __future__ import annotations

import importlib
import signal
from typing import TYPE_CHECKING, Any

from benchmarks.peers.registry import BACKLOG, CHUNK, HOST, Job, peer

if TYPE_CHECKING:
    import asyncio


@peer("line", "raw", "tls")
def asyncio_streams(job: Job) -> None:
    """asyncio's ``start_server``: a task for each connection, a reader and a writer."""
    import asyncio

    asyncio.run(serve(job))


@peer("line", "raw", "tls", modules=("uvloop",))
def uvloop_streams(job: Job) -> None:
    """The same on uvloop."""
    uvloop: Any = importlib.import_module("uvloop")
    uvloop.run(serve(job))


async def serve(job: Job) -> None:
    import asyncio

    async def line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    context = None
    if job.mode == "tls":
        from benchmarks.peers.tls import server_context

        context = server_context()
    handler = raw if job.mode == "raw" else line
    server = await asyncio.start_server(handler, HOST, job.port, backlog=BACKLOG, ssl=context)
    job.ready(server.sockets[0].getsockname()[1])
    await sigterm()
    job.stopping()
    server.close()
    # As asyncio.run() does at its end: a connection's task is cancelled, its ``finally`` closes it.
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)  # connection_lost is called a turn of the loop later
    job.stopped()


async def sigterm() -> None:
    """Wait for the signal."""
    import asyncio

    came = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, came.set)
    await came.wait()
