"""A task for each connection: trio by itself, and anyio on trio."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.peers.registry import BACKLOG, CHUNK, HOST, Job, peer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import anyio.abc
    import trio


@peer("line", "raw", "tls", modules=("trio",))
def trio_serve_tcp(job: Job) -> None:
    """trio alone: ``trio.serve_tcp``, and the line handler that everybody writes for it."""
    import trio

    async def line(stream: trio.abc.Stream) -> None:
        buffer = bytearray()
        try:
            while data := await stream.receive_some():
                buffer += data
                while end := buffer.find(b"\n") + 1:
                    reply = bytes(buffer[:end])
                    del buffer[:end]
                    await stream.send_all(reply)
        except trio.BrokenResourceError:
            pass

    async def raw(stream: trio.abc.Stream) -> None:
        try:
            while data := await stream.receive_some(CHUNK):
                await stream.send_all(data)
        except trio.BrokenResourceError:
            pass

    def choose() -> Callable[..., Awaitable[object]]:
        handler = raw if job.mode == "raw" else line
        if job.mode != "tls":
            return partial(trio.serve_tcp, handler, job.port, host=HOST, backlog=BACKLOG)
        from benchmarks.peers.tls import server_context

        serve = partial(trio.serve_ssl_over_tcp, handler, job.port, server_context())
        return partial(serve, host=HOST, backlog=BACKLOG)

    async def main() -> None:
        serve = choose()
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                (listener,) = await nursery.start(serve)
                plain = listener.transport_listener if job.mode == "tls" else listener
                job.ready(plain.socket.getsockname()[1])
                await anext(aiter(signals))
                job.stopping()
                nursery.cancel_scope.cancel()
            job.stopped()

    trio.run(main)


@peer("line", "raw", "udp", modules=("anyio", "trio"))
def anyio_trio(job: Job) -> None:
    """anyio on trio: ``create_tcp_listener`` and ``create_udp_socket``."""
    import anyio

    async def line(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            buffer = bytearray()
            try:
                async for data in stream:
                    buffer += data
                    while end := buffer.find(b"\n") + 1:
                        reply = bytes(buffer[:end])
                        del buffer[:end]
                        await stream.send(reply)
            except anyio.BrokenResourceError:
                pass

    async def raw(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            try:
                async for data in stream:
                    await stream.send(data)
            except anyio.BrokenResourceError:
                pass

    async def datagrams() -> None:
        async with await anyio.create_udp_socket(local_host=HOST, local_port=job.port) as sock:
            job.ready(sock.extra(anyio.abc.SocketAttribute.local_port))
            async for data, (host, port) in sock:
                await sock.sendto(data, host, port)

    async def connections() -> None:
        listener = await anyio.create_tcp_listener(local_host=HOST, local_port=job.port, backlog=BACKLOG)
        job.ready(listener.extra(anyio.abc.SocketAttribute.local_port))
        await listener.serve(line if job.mode == "line" else raw)

    async def main() -> None:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async with anyio.create_task_group() as group:
                group.start_soon(datagrams if job.mode == "udp" else connections)
                await anext(aiter(signals))
                job.stopping()
                group.cancel_scope.cancel()
            job.stopped()

    anyio.run(main, backend="trio")
