"""Addresses and options of simulated sockets, as ``socket.socket`` and trio's sockets take them."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

import trio

from ._addresses import AF_UNIX, error, numeric_host
from ._descriptors import Descriptor

if TYPE_CHECKING:
    from collections.abc import Generator

    from _typeshed import ReadableBuffer

    from ._cores import Core
    from ._fabric import Fabric
    from ._hosts import Host


class Named(Descriptor, trio.socket.SocketType):
    """The part of `SimulatedSocket` that has no data."""

    def __init__(self, network: Fabric, host: Host) -> None:
        super().__init__(network, host)
        self._did_shutdown_write = False
        self._inheritable = False
        self._kind: tuple[int, int, int] = (0, 0, 0)

    def _open(self, core: Core) -> None:
        super()._open(core)
        self._kind = core.family, core.type, core.proto

    @property
    def family(self) -> socket.AddressFamily:
        """As of ``socket.socket``, also when it is closed."""
        return socket.AddressFamily(self._kind[0])

    @property
    def type(self) -> socket.SocketKind:
        """As of ``socket.socket``."""
        return socket.SocketKind(self._kind[1])

    @property
    def proto(self) -> int:
        """As of ``socket.socket``."""
        return self._kind[2]

    @property
    def did_shutdown_SHUT_WR(self) -> bool:
        """Whether the sending half was closed through this descriptor."""
        return self._did_shutdown_write

    def getsockname(self) -> Any:
        """Its own address."""
        return self._opened().name()

    def getpeername(self) -> Any:
        """The address of what it is connected to."""
        return self._opened().peer_name()

    def get_inheritable(self) -> bool:
        """What `set_inheritable` has set; there is nothing that could be inherited."""
        return self._inheritable

    def set_inheritable(self, inheritable: bool) -> None:
        """Only noted."""
        self._inheritable = bool(inheritable)

    def is_readable(self) -> bool:
        """Whether a receive, or an accept, would do something now."""
        if self._core is None:
            raise ValueError("file descriptor cannot be a negative integer (-1)")
        return self._core.is_readable()

    # Options.

    def getsockopt(self, level: int, optname: int, buflen: int | None = None) -> Any:
        """As ``socket.socket.getsockopt``."""
        core = self._opened()
        if level == socket.SOL_SOCKET:
            if optname == socket.SO_ERROR:
                return core.take_error()
            if optname == getattr(socket, "SO_ACCEPTCONN", None):
                return int(core.is_listening())
        return core.options.get(level, optname, buflen)

    def setsockopt(
        self, level: int, optname: int, value: int | ReadableBuffer | None, optlen: int | None = None
    ) -> None:
        """As ``socket.socket.setsockopt``."""
        core = self._opened()
        if optlen is None and value is None:
            raise TypeError("invalid value for argument 'value', must not be None when specifying optlen")
        if optlen is not None and value is not None:
            text = f"invalid value for argument 'value': {value!r}, must be None when specifying optlen"
            raise TypeError(text)
        if (level, optname) == (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) and core.is_bound():
            raise error(errno.EINVAL)
        core.options.set(level, optname, bytes(optlen or 0) if value is None else value)
        core.options_changed()

    # Addresses.

    def _numeric(self, core: Core, address: Any) -> Any:
        """An address that needs no name resolution, checked.

        Raises:
          OSError: ``socket.gaierror`` for a name.
        """
        if core.family == AF_UNIX:
            return _check_path(address)
        host, port = _check_ip(core.family, address)
        if numeric_host(core.family, host) is None:
            raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is not a numeric address")
        if not 0 <= port <= 65535:
            raise OverflowError("bind(): port must be 0-65535.")
        return address

    async def _resolve(self, address: Any, *, local: bool) -> Any:
        """Look up the name in an address, with trio's resolver. No checkpoint where there is none."""
        core = self._opened()
        if core.family == AF_UNIX:
            return _check_path(address)
        host, port = _check_ip(core.family, address)
        if isinstance(port, int) and numeric_host(core.family, host) is not None:
            return self._numeric(core, address)
        if host == "":
            host = None
        elif host == "<broadcast>":
            host = "255.255.255.255"
        flags = socket.AI_PASSIVE if local else 0
        if core.family == socket.AF_INET6 and not core.options.flag(socket.IPPROTO_IPV6, "IPV6_V6ONLY"):
            flags |= socket.AI_V4MAPPED
        found = await trio.socket.getaddrinfo(host, port, core.family, core.type, core.proto, flags)
        numeric: Any = found[0][4]
        if core.family == socket.AF_INET6:  # what the caller gave of flow and scope stays
            return (*numeric[:2], *address[2:], *numeric[len(address) :])
        return numeric


def _check_ip(family: int, address: Any) -> tuple[Any, Any]:
    if family == socket.AF_INET:
        if not isinstance(address, tuple) or len(address) != 2:
            raise ValueError("address should be a (host, port) tuple")
    elif not isinstance(address, tuple) or not 2 <= len(address) <= 4:
        raise ValueError("address should be a (host, port, [flowinfo, [scopeid]]) tuple")
    return address[0], address[1]


def _check_path(address: Any) -> str | bytes:
    if not isinstance(address, (str, bytes, os.PathLike)):
        raise TypeError(f"the address of a Unix socket is a path, not {address!r}")
    path: str | bytes = os.fspath(address)
    return path


def is_numeric(family: int, address: Any) -> bool:
    """Whether there is nothing to look up in an IP address: neither the host nor the port."""
    if not isinstance(address, tuple) or len(address) < 2:
        return False
    return isinstance(address[1], int) and numeric_host(family, address[0]) is not None


class Bound:
    """What `SimulatedSocket.bind` returns: a checkpoint, which takes the bind back when it is cancelled."""

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        self._core = core

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield from trio.lowlevel.checkpoint().__await__()  # noqa: ASYNC105  it is awaited, by hand
        except BaseException:
            self._core.unbind()
            raise
