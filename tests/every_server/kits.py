"""Every kind of server, each with a handler of its own kind, so that one test serves them all.

What a client sends says what the handler does: ``echo`` is answered, ``fail`` raises, ``hold`` never ends by
itself, in the way that is worst for the kind: blocked in a read, or deaf to its client.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import socketserver
import ssl
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trustme

import trioserver

if TYPE_CHECKING:
    from pathlib import Path


class Failed(Exception):
    """What the handlers raise."""


class AsyncStream(trioserver.StreamRequestHandler):
    async def handle(self) -> None:
        async for line in self.rfile:
            if line == b"fail\n":
                raise Failed
            if line == b"hold\n":
                await trio.sleep_forever()
            await self.wfile.write(line)


class AsyncDatagram(trioserver.DatagramRequestHandler):
    async def handle(self) -> None:
        line = self.rfile.readline()
        if line == b"fail\n":
            raise Failed
        if line == b"hold\n":
            await trio.sleep_forever()
        self.wfile.write(line)


class InPlace(trioserver.DatagramRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline()
        if line == b"fail\n":
            raise Failed
        self.wfile.write(line)


class Callbacks(trioserver.CallbackRequestHandler):
    """It holds by being busy, with nothing."""

    delimiter = b"\n"

    def data_received(self, data: bytes) -> None:
        if data == b"fail\n":
            raise Failed
        if data == b"hold\n":
            self.busy = True
        elif not self.busy:
            self.write(data)

    def eof_received(self) -> None:
        if not self.busy:
            self.close()


async def session(request: trioserver.DatagramSession, client_address: object, server: object) -> None:
    async for data in request:
        if data == b"bye\n":
            return
        if data == b"fail\n":
            raise Failed
        if data == b"hold\n":
            await trio.sleep_forever()
        await request.send(data)


class SyncStream(socketserver.StreamRequestHandler):
    """The stdlib's; it holds by reading what never comes."""

    def handle(self) -> None:
        for line in self.rfile:
            if line == b"fail\n":
                raise Failed
            if line == b"hold\n":
                self.rfile.read()
            self.wfile.write(line)


class ThreadDatagram(socketserver.DatagramRequestHandler):
    """Nothing can end a blocking call on a socket that all requests share; one of trio's can be ended."""

    def handle(self) -> None:
        line = self.rfile.readline()
        if line == b"fail\n":
            raise Failed
        if line == b"hold\n":
            trio.from_thread.run(trio.sleep_forever)
        self.wfile.write(line)


class ProcessDatagram(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline()
        if line == b"fail\n":
            raise Failed
        if line == b"hold\n":
            while True:  # and not pause(), for which a signal may come a moment too early
                time.sleep(0.01)
        self.wfile.write(line)


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def server_context() -> ssl.SSLContext:
    """Of a certificate for 127.0.0.1."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _authority().issue_cert("127.0.0.1").configure_cert(context)
    return context


@cache
def client_context() -> ssl.SSLContext:
    """Trusts that certificate."""
    context = ssl.create_default_context()
    _authority().configure_trust(context)
    return context


class Client:
    """A client of any of them. It connects when it first sends: a connection is a request by itself."""

    def __init__(self, kit: Kit, address: Any, folder: Path) -> None:
        self._kit = kit
        self._address = address
        self._folder = folder
        self._socket: trio.socket.SocketType | None = None
        self._stream: trio.abc.Stream | None = None

    async def _connect(self) -> trio.socket.SocketType:
        kit = self._kit
        kind = socket.SOCK_DGRAM if kit.datagrams else socket.SOCK_STREAM
        sock = self._socket = trio.socket.socket(socket.AF_UNIX if kit.unix else socket.AF_INET, kind)
        if kit.datagrams and kit.unix:
            await sock.bind(str(self._folder / f"c{next(_numbers)}"))
        await sock.connect(self._address)
        if not kit.datagrams:
            self._stream = trio.SocketStream(sock)
        if kit.tls:
            assert self._stream is not None
            name = "127.0.0.1"
            self._stream = trio.SSLStream(
                self._stream, client_context(), server_hostname=name, https_compatible=True
            )
        return sock

    async def send(self, data: bytes) -> None:
        """Send it; of TLS, the handshake comes before."""
        sock = self._socket or await self._connect()
        if self._stream is not None:
            await self._stream.send_all(data)
        else:
            await sock.send(data)

    async def receive(self) -> bytes:
        """What comes next; nothing where the connection has ended."""
        assert self._socket is not None
        try:
            if self._stream is not None:
                return bytes(await self._stream.receive_some())
            return await self._socket.recv(65536)
        except (trio.BrokenResourceError, ConnectionError):
            return b""

    async def ask(self, data: bytes) -> bytes:
        """Send ``data`` and receive the answer."""
        await self.send(data)
        return await self.receive()

    def close(self) -> None:
        """Go away without a word. Closing is not enough: a forked server's children have this socket, too."""
        if self._socket is not None:
            if self._socket.fileno() != -1 and not self._kit.datagrams:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()


@dataclass(frozen=True)
class Kit:
    """One kind of server."""

    name: str
    server_class: Any
    handler: Any
    tls: bool = False
    holds: bool = True
    """Whether its requests can last."""
    sees_errors: bool = True
    """Whether the exception itself reaches ``handle_error``, and not that of a process which failed."""

    @property
    def unix(self) -> bool:
        return "Unix" in self.server_class.__name__

    @property
    def datagrams(self) -> bool:
        return not issubclass(self.server_class, trioserver.StreamServer)

    def server(self, folder: Path, mix_in: type = object, **options: Any) -> Any:
        """A server of this kind, with ``mix_in`` before its class."""
        if self.tls:
            options["ssl_context"] = server_context()
        if not self.datagrams:
            options.setdefault("linger_timeout", 0)  # the clients here do not read to the end
        cls = self.server_class
        if mix_in is not object:
            cls = type(f"{mix_in.__name__}{cls.__name__}", (mix_in, cls), {})
        address = str(folder / f"s{next(_numbers)}") if self.unix else ("127.0.0.1", 0)
        return cls(address, self.handler, **options)

    def client(self, server: Any, folder: Path) -> Client:
        """A client, not yet connected."""
        return Client(self, server.server_address, folder)


_numbers = itertools.count()
ts = trioserver
KITS = [
    Kit("tcp", ts.TCPServer, AsyncStream),
    Kit("unix", ts.UnixStreamServer, AsyncStream),
    Kit("tls", ts.TCPServer, AsyncStream, tls=True),
    Kit("unix tls", ts.UnixStreamServer, AsyncStream, tls=True),
    Kit("callbacks tcp", ts.TCPServer, Callbacks),
    Kit("callbacks unix", ts.UnixStreamServer, Callbacks),
    Kit("callbacks tls", ts.TCPServer, Callbacks, tls=True),
    Kit("udp", ts.UDPServer, AsyncDatagram),
    Kit("unix datagram", ts.UnixDatagramServer, AsyncDatagram),
    Kit("udp in place", ts.UDPServer, InPlace, holds=False),
    Kit("unix datagram in place", ts.UnixDatagramServer, InPlace, holds=False),
    Kit("udp sessions", ts.UDPSessionServer, session),
    Kit("threading tcp", ts.ThreadingTCPServer, SyncStream),
    Kit("threading tls", ts.ThreadingTCPServer, SyncStream, tls=True),
    Kit("threading unix", ts.ThreadingUnixStreamServer, SyncStream),
    Kit("threading udp", ts.ThreadingUDPServer, ThreadDatagram),
    Kit("threading unix datagram", ts.ThreadingUnixDatagramServer, ThreadDatagram),
]
if hasattr(os, "fork"):
    KITS += [
        Kit("forking tcp", ts.ForkingTCPServer, SyncStream, sees_errors=False),
        Kit("forking tls", ts.ForkingTCPServer, SyncStream, tls=True, sees_errors=False),
        Kit("forking unix", ts.ForkingUnixStreamServer, SyncStream, sees_errors=False),
        Kit("forking udp", ts.ForkingUDPServer, ProcessDatagram, sees_errors=False),
        Kit("forking unix datagram", ts.ForkingUnixDatagramServer, ProcessDatagram, sees_errors=False),
    ]

every_kit = pytest.mark.parametrize("kit", KITS, ids=lambda kit: kit.name)
every_lasting_kit = pytest.mark.parametrize(
    "kit", [kit for kit in KITS if kit.holds], ids=lambda kit: kit.name
)
