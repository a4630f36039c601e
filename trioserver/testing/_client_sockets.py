"""Where a test's client connects to, and the socket underneath its stream."""

from __future__ import annotations

import os
import socket
import struct
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import trio

from trioserver import ConfigError, StreamServer

from ._hosts import Host
from ._memory_stream import MemoryStream
from ._network import network_in_use

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_OF_THIS_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to find a server that is bound to all interfaces."""


def address_of(target: Any) -> Any:
    """The address to connect to: that of a server, or what is one already.

    Raises:
      ConfigError: It is neither.
    """
    address = target
    if isinstance(target, StreamServer):
        if not target.sockets:
            raise ConfigError(f"target: {target!r} is not open: there is nothing to connect to")
        address = target.server_address
    if isinstance(address, os.PathLike):
        address = os.fspath(address)
    if isinstance(address, tuple) and len(address) >= 2:
        host, *rest = address
        return (_OF_THIS_HOST.get(host, host) if host else "127.0.0.1", *rest)
    if isinstance(address, (str, bytes)) and address:
        return address
    raise ConfigError(f"target must be a stream server, (host, port), or a path, not {target!r}")


def host_of(host: Any) -> AbstractContextManager[object]:
    """The block of a host, or of the host of that name; that of none for ``None``.

    Raises:
      ConfigError: It is neither, or there is no network.
    """
    if host is None:
        return nullcontext()
    if isinstance(host, Host):
        return host
    network = network_in_use()
    if network is None:
        raise ConfigError(f"host is {host!r}, and no Network is in use: only that has hosts")
    return network.host(host)


async def connected(address: Any) -> trio.SocketStream:
    """Connect to the first address of those that ``address`` stands for which answers."""
    if not isinstance(address, tuple):
        return await _connect(socket.AF_UNIX, address)
    host, port, *rest = address
    failure: OSError | None = None
    for family, _, _, _, found in await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            return await _connect(family, (*found[:2], *rest) if rest else found)
        except OSError as error:
            failure = failure or error
    assert failure is not None
    try:
        raise failure
    finally:
        del failure  # or its traceback, which has this frame, would keep itself alive


async def _connect(family: int, address: Any) -> trio.SocketStream:
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        await sock.connect(address)
        return trio.SocketStream(sock)
    except BaseException:
        sock.close()
        raise


def socket_of(stream: trio.abc.Stream) -> Any:
    """The socket underneath a stream, or what stands in for one; ``None`` if there is none to be found."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    return getattr(stream, "socket", None)


def abort(stream: trio.abc.Stream) -> None:
    """Reset a connection: see SO_LINGER in socket(7).

    Raises:
      ConfigError: There is nothing under the stream that could be reset.
    """
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if isinstance(stream, MemoryStream):
        stream.abort()
        return
    sock = socket_of(stream)
    if sock is None:
        raise ConfigError(f"there is no socket under {stream!r} that could be reset")
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    sock.close()
