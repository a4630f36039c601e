"""asyncio's protocols, which are called and never wait: on the standard library's loop and on uvloop."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

from benchmarks.peers.registry import BACKLOG, HOST, Job, peer
from benchmarks.peers.streams import sigterm

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


@peer("line", "raw", "udp", "ping")
def asyncio_protocol(job: Job) -> None:
    """asyncio's ``create_server`` with a ``Protocol``, and ``create_datagram_endpoint``."""
    import asyncio

    asyncio.run(serve(job))


@peer("line", "raw", "udp", "ping", modules=("uvloop",))
def uvloop_protocol(job: Job) -> None:
    """The same on uvloop."""
    uvloop: Any = importlib.import_module("uvloop")
    uvloop.run(serve(job))


async def serve(job: Job) -> None:
    await (datagrams(job) if job.mode == "udp" else connections(job))


async def datagrams(job: Job) -> None:
    import asyncio

    class Datagrams(asyncio.DatagramProtocol):
        transport: asyncio.DatagramTransport

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.DatagramTransport", transport)

        def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
            self.transport.sendto(data, addr)

    loop = asyncio.get_running_loop()
    endpoint, _ = await loop.create_datagram_endpoint(Datagrams, (HOST, job.port))
    job.ready(endpoint.get_extra_info("sockname")[1])
    await sigterm()
    job.stopping()
    endpoint.close()
    job.stopped()


async def connections(job: Job) -> None:
    import asyncio

    transports: set[asyncio.Transport] = set()
    protocol = protocols(transports)[job.mode]
    server = await asyncio.get_running_loop().create_server(protocol, HOST, job.port, backlog=BACKLOG)
    job.ready(server.sockets[0].getsockname()[1])
    await sigterm()
    job.stopping()
    server.close()
    for transport in transports:
        transport.abort()
    while transports:  # noqa: ASYNC110 (a turn or two: an Event would be more to do for each of them)
        await asyncio.sleep(0)
    job.stopped()


def protocols(transports: set[asyncio.Transport]) -> dict[str, Callable[[], asyncio.Protocol]]:
    """One for each mode; what is open is in *transports*."""
    import asyncio

    class Connection(asyncio.Protocol):
        transport: asyncio.Transport
        rest = b""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)
            transports.add(self.transport)

        def connection_lost(self, exc: Exception | None) -> None:
            transports.discard(self.transport)

    class Line(Connection):
        def data_received(self, data: bytes) -> None:
            if self.rest:
                data = self.rest + data
            *lines, self.rest = data.split(b"\n")
            for line in lines:
                self.transport.write(line + b"\n")

    class Ping(Connection):
        def data_received(self, data: bytes) -> None:
            if self.rest:
                data = self.rest + data
            *lines, self.rest = data.split(b"\n")
            for line in lines:
                if line == b"PING\r":
                    self.transport.write(b"+PONG\r\n")

    class Raw(Connection):
        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

        def pause_writing(self) -> None:
            self.transport.pause_reading()

        def resume_writing(self) -> None:
            self.transport.resume_reading()

    return {"line": Line, "ping": Ping, "raw": Raw}
