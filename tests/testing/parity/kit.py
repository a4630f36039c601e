"""Small things that the tests of this folder share."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .worlds import Socket, World


@contextlib.contextmanager
def fails_with(*numbers: int) -> Iterator[None]:
    """The block raises an OSError with one of these numbers."""
    with pytest.raises(OSError) as caught:  # noqa: PT011  its number is looked at
        yield
    names = [errno.errorcode[number] for number in numbers]
    assert errno.errorcode.get(caught.value.errno or 0, repr(caught.value)) in names


async def receive_exactly(sock: Socket, count: int) -> bytes:
    """So many bytes; AssertionError if the stream ends first."""
    data = b""
    while len(data) < count:
        chunk = await sock.recv(count - len(data))
        assert chunk, f"the stream ended after {data!r}"
        data += chunk
    return data


async def receive_all(sock: Socket) -> bytes:
    """Everything up to the end of the stream."""
    data = b""
    while chunk := await sock.recv(65536):
        data += chunk
    return data


async def send_all(sock: Socket, data: bytes) -> None:
    """All of it, however many calls that takes."""
    while data:
        data = data[await sock.send(data) :]


async def refusing_address(world: World) -> tuple[str, int]:
    """An address that is taken, so that nobody else gets it, but that nobody listens on."""
    name: tuple[str, int] = (await world.bound()).getsockname()
    return name


async def vanished_address(world: World) -> tuple[str, int]:
    """A datagram socket's address that was in use a moment ago."""
    sock = await world.datagrams()
    name: tuple[str, int] = sock.getsockname()
    sock.close()
    return name


def linger_zero(sock: Socket) -> None:
    """Have ``close`` reset the connection; see ``SO_LINGER`` in socket(7)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def abort(sock: Socket) -> None:
    """Reset the connection."""
    linger_zero(sock)
    sock.close()
