"""What the tests of this folder share: certificates, contexts, and clients that speak TLS."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
import trustme
from harness import Recorder, client_of

import trioserver
from trioserver._transports.socket_stream import SocketStream
from trioserver._transports.tls import TLSEndpoint, wrap_server

from ..transports.kit import FakeEndpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NAME = "server.example"
"""What the server's certificate is for, and clients ask for."""


class Certificates:
    """An authority, and what it has issued."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.server = self.authority.issue_cert(NAME, "localhost", "127.0.0.1")

    def server_context(
        self, certificate: trustme.LeafCert | None = None, version: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        """A context for a server, with its certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        (certificate or self.server).configure_cert(context)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    @functools.cache  # noqa: B019  there is one of these
    def shared_server_context(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """One that is not to be changed: making one takes longer than most tests."""
        return self.server_context(version=version)

    @functools.cache  # noqa: B019
    def shared_client_context(self) -> ssl.SSLContext:
        """One that is not to be changed."""
        return self.client_context()

    def client_context(self) -> ssl.SSLContext:
        """A context for a client, that trusts the authority."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        """The authority's certificate, the server's, and its key, as files."""
        paths = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        self.authority.cert_pem.write_to_path(paths[0])
        self.server.cert_chain_pems[0].write_to_path(paths[1])
        self.server.private_key_pem.write_to_path(paths[2])
        return paths


def der_of(certificate: trustme.LeafCert) -> bytes:
    """A certificate, as ``getpeercert(binary_form=True)`` has it."""
    return ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())


def client_wrap(context: ssl.SSLContext) -> Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject]:
    """What makes the client side of a connection."""
    return lambda incoming, outgoing: context.wrap_bio(incoming, outgoing, server_hostname=NAME)


async def shake_hands(stream: SocketStream, wrap: Any) -> SocketStream:
    """Make a stream a TLS stream with any SSL object; servers have `starttls` for it."""
    endpoint = TLSEndpoint(stream._endpoint, wrap)
    stream._go_over_to(endpoint)
    await stream._shake_hands(endpoint, None)
    return stream


async def tls_pair(
    pair: tuple[SocketStream, SocketStream],
    certificates: Certificates,
    version: ssl.TLSVersion | None = None,
) -> tuple[SocketStream, SocketStream]:
    """Make two connected streams, of which the first becomes the server, speak TLS."""
    near, far = pair
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake_hands, near, wrap_server(certificates.shared_server_context(version)))
        nursery.start_soon(shake_hands, far, client_wrap(certificates.shared_client_context()))
    return near, far


@asynccontextmanager
async def tls_client_of(
    server: trioserver.StreamServer, context: ssl.SSLContext, name: str = NAME
) -> AsyncIterator[trio.SSLStream[trio.SocketStream]]:
    """A client through trio's own TLS, the handshake done; at the end it is closed without a farewell."""
    async with client_of(server) as plain:
        stream = trio.SSLStream(plain, context, server_hostname=name, https_compatible=True)
        await stream.do_handshake()
        yield stream


def reset_by(client: trio.SocketStream) -> None:
    """Close a client so that the server gets a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.socket.close()


class MemoryClient:
    """A TLS client that is worked by hand: ``flight`` is what it has to send, `take` what it gets."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl_object = client_wrap(context)(self.incoming, self.outgoing)

    def hello(self) -> bytes:
        """The first flight."""
        return self.answer(b"")

    def answer(self, data: bytes) -> bytes:
        """Take what came during the handshake, and return what to send."""
        self.incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.ssl_object.do_handshake()
        return self.outgoing.read()

    def encrypt(self, data: bytes) -> bytes:
        """``data`` as records."""
        view = memoryview(data)
        while view:
            view = view[self.ssl_object.write(view) :]
        return self.outgoing.read()

    def decrypt(self, data: bytes) -> bytes:
        """What the records say, up to where they end."""
        self.incoming.write(data)
        said = b""
        with contextlib.suppress(ssl.SSLWantReadError):
            while part := self.ssl_object.read(65536):
                said += part
        return said


class FakeServer(trioserver.StreamServer):
    """Serves connections that have no socket, so that a mock clock can be used."""

    portable_io = True

    def __init__(self, handler: Any, **options: Any) -> None:
        super().__init__("fake", handler, **options)
        self._send, self._receive = trio.open_memory_channel[FakeEndpoint](100)
        self.recorder = Recorder()
        self.add_observer(self.recorder)
        self.handled: list[BaseException | None] = []
        self._ended = trio.Event()
        self.add_observer(
            lambda event: self._ended.set() if isinstance(event, trioserver.RequestEnded) else None
        )

    async def wait_ended(self) -> trioserver.RequestEnded:
        """Wait until the first request has ended."""
        await self._ended.wait()
        return self.ended()[0]

    def connect(self, *incoming: bytes, room: int = 1 << 30) -> FakeEndpoint:
        """Let a client connect."""
        endpoint = FakeEndpoint(*incoming, room=room)
        self._send.send_nowait(endpoint)
        return endpoint

    async def server_bind(self) -> None:
        """There is nothing to bind."""

    async def server_activate(self) -> None:
        """And nobody to tell."""

    async def get_request(self) -> tuple[trioserver.RequestStream, Any]:
        """Take the next client."""
        endpoint = await self._receive.receive()
        engine = self._engine
        return SocketStream(endpoint, watch=engine.deadlines, flusher=engine.flusher), "fake client"

    async def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what it was called with."""
        self.handled.append(sys.exception())

    def ended(self) -> list[trioserver.RequestEnded]:
        """The events of requests that ended."""
        return [event for event in self.recorder.events if isinstance(event, trioserver.RequestEnded)]
