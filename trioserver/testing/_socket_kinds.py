"""The kinds of sockets that there are on a simulated network."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

from ._addresses import AF_UNIX, error
from ._tcp import TCPSocket
from ._udp import UDPSocket
from ._unix_datagrams import UnixDatagramSocket
from ._unix_streams import UnixStreamSocket

if TYPE_CHECKING:
    from ._cores import Core
    from ._fabric import Fabric
    from ._hosts import Host

_TYPE_MASK: Final = ~(getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0))
_CORES: Final[dict[tuple[int, int], type[Core]]] = {
    (socket.AF_INET, socket.SOCK_STREAM): TCPSocket,
    (socket.AF_INET6, socket.SOCK_STREAM): TCPSocket,
    (socket.AF_INET, socket.SOCK_DGRAM): UDPSocket,
    (socket.AF_INET6, socket.SOCK_DGRAM): UDPSocket,
    (AF_UNIX, socket.SOCK_STREAM): UnixStreamSocket,
    (AF_UNIX, socket.SOCK_DGRAM): UnixDatagramSocket,
}


def make_core(network: Fabric, host: Host, family: int, type: int, proto: int) -> Core:
    """The socket behind a new descriptor."""
    family = socket.AF_INET if family == -1 else int(family)
    kind = socket.SOCK_STREAM if type == -1 else int(type) & _TYPE_MASK
    proto = 0 if proto == -1 else proto
    if family not in (socket.AF_INET, socket.AF_INET6, AF_UNIX):
        raise error(errno.EAFNOSUPPORT)
    make = _CORES.get((family, kind))
    if make is None:
        raise error(errno.ESOCKTNOSUPPORT)
    known = (0,) if family == AF_UNIX else (0, {1: 6, 2: 17}[kind])
    if proto not in known:
        raise error(errno.EPROTONOSUPPORT)
    return make(network, host, family, kind, proto)
