"""What the tests of simulated sockets have in common."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trioserver.testing import Drop, Pass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trioserver.testing import Network, Packet, Verdict

PORT = 80


async def listen(network: Network, host: str = "server", *, port: int = PORT, backlog: int = 10) -> Any:
    """A socket that listens on all IPv4 addresses of a host."""
    with network.host(host):
        sock = trio.socket.socket()
    await sock.bind(("0.0.0.0", port))
    sock.listen(backlog)
    return sock


def tcp(network: Network, host: str = "client", family: int = socket.AF_INET) -> Any:
    """A TCP socket."""
    with network.host(host):
        return trio.socket.socket(family)


def udp(network: Network, host: str, family: int = socket.AF_INET) -> Any:
    """A UDP socket."""
    with network.host(host):
        return trio.socket.socket(family, socket.SOCK_DGRAM)


def address(network: Network, host: str = "server", port: int = PORT) -> tuple[str, int]:
    """An address of a host."""
    return network.host(host).addresses[0], port


async def pair(network: Network, *, port: int = PORT) -> tuple[Any, Any]:
    """A connection from "client" to "server": both sockets."""
    listener = await listen(network, port=port)
    client = tcp(network)
    await client.connect(address(network, port=port))
    server, _ = await listener.accept()
    listener.close()
    return client, server


async def receive_all(sock: Any) -> bytes:
    """All until the end of the stream."""
    data = b""
    while part := await sock.recv(65536):
        data += part
    return data


async def receive_exactly(sock: Any, count: int) -> bytes:
    """So many bytes."""
    data = b""
    while len(data) < count:
        part = await sock.recv(count - len(data))
        assert part
        data += part
    return data


async def send_all(sock: Any, data: bytes) -> None:
    """All of it."""
    view = memoryview(data)
    while view:
        view = view[await sock.send(view) :]


def reset_on_close(sock: Any) -> None:
    """Let closing it reset the connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drop(*kinds: str, times: int = 10**9) -> Callable[[Packet], Verdict]:
    """A rule that drops the first so many packets of these kinds."""
    dropped = 0

    def rule(packet: Packet) -> Verdict:
        nonlocal dropped
        if packet.kind not in kinds or dropped >= times:
            return Pass
        dropped += 1
        return Drop

    return rule


def seen(packets: list[Packet]) -> Callable[[Packet], Verdict]:
    """A rule that only looks."""

    def rule(packet: Packet) -> Verdict:
        packets.append(packet)
        return Pass

    return rule


async def clog(sock: Any, size: int = 65536) -> int:
    """Send so much at a time until nothing more fits for a second; how many bytes that were."""
    total = 0
    while True:
        try:
            total += sock.send_nowait(bytes(size))
        except BlockingIOError:
            with trio.move_on_after(1) as scope:
                await sock.wait_writable()
            if scope.cancelled_caught:
                return total


@contextlib.contextmanager
def fails_with(number: int) -> Iterator[None]:
    """The block raises an OSError with this errno."""
    with pytest.raises(OSError) as caught:  # noqa: PT011  the errno is what is checked
        yield
    assert caught.value.errno == number
