"""What the workers serve on.

1. The parent makes the sockets and keeps them: they outlive any worker, and what the kernel has queued on
   one waits for whoever comes next. Closing a listening socket resets the connections in its queue; so a
   restart closes none.
2. The parent does not listen, nor receive: a TCP socket is made to listen by its first worker. Until then it
   is no member of the group among which Linux shares out the connections, and swallows none.
3. A socket that nobody will serve for a while is withdrawn from the group, so that clients go to the others.
4. Before it makes a group, the parent binds the address alone, without SO_REUSEPORT: so another program that
   listens there is an error, and not a partner (see ``TCPServer.allow_reuse_port``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .._transports.adopt import Adoptable, adopt_datagram_endpoints, adopt_endpoints
from .._transports.open_tcp import TCPBinding, check_address, open_tcp_endpoints, open_udp_endpoints
from .._transports.open_unix import check_path, open_unix_datagram_endpoint, open_unix_endpoint
from .._vocabulary.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._transports.endpoint import Address
    from .._transports.open_unix import SocketFile

SHARES_OUT: Final = sys.platform == "linux"
"""Whether SO_REUSEPORT makes the kernel share connections out among sockets, by a hash of the addresses.

Elsewhere it does not exist, or the last socket gets all of them (macOS). FreeBSD calls it SO_REUSEPORT_LB.
"""

_TRIES_FOR_A_PORT: Final = 16


class Binding(NamedTuple):
    """Where, and how: the options of `Workers`, checked."""

    address: Address
    sock: Adoptable | Iterable[Adoptable] | None
    kind: int
    all_addresses: bool
    mode: int | None
    backlog: int
    one_each: bool

    @property
    def is_path(self) -> bool:
        """Whether the address is that of a Unix socket."""
        return isinstance(self.address, (str, bytes, os.PathLike))

    def check(self) -> None:
        """Raise ConfigError unless it can be used."""
        if self.kind not in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            raise ConfigError(f"socket_type must be SOCK_STREAM or SOCK_DGRAM, not {self.kind!r}")
        if self.sock is not None:
            return
        if self.is_path:
            check_path(self.address)
        else:
            check_address(self.address)
        if self.mode is not None and not self.is_path:
            raise ConfigError("mode is for the path of a Unix socket alone")


class SharedSockets:
    """The sockets of all workers, which the parent owns.

    Attributes:
      groups: The sockets of each place: the same ones where they can not have their own.
    """

    def __init__(self, groups: list[list[Any]], file: SocketFile | None = None) -> None:
        self._file = file
        self._one_each = len(groups) > 1 and groups[0] is not groups[1]
        self._endpoints = list({id(each): each for group in groups for each in group}.values())
        self.groups: list[list[socket.socket]] = [[each.socket for each in group] for group in groups]
        if not all(isinstance(each.socket, socket.socket) for each in self._endpoints):
            self.close()
            raise ConfigError("workers are processes: they need sockets of the operating system")

    @property
    def address(self) -> Address:
        """The address of the (first) socket."""
        return self.groups[0][0].getsockname()

    def withdraw(self, place: int) -> None:
        """Let no connection be queued at a place that nobody serves, if there are others.

        Those that are queued there are reset. On Linux shutdown(2) ends listening, for all who have the
        socket, and the next worker makes it listen again. It keeps its port, since it was bound to that very
        port; one that was bound to port 0 would get another.

        Datagrams can not be sent elsewhere: for one of their sockets shutdown(2) raises an error, and marks
        it as ended all the same, for good. From then on no wait for it would ever begin.
        """
        if not self._one_each:
            return
        for sock in self.groups[place]:
            if sock.type == socket.SOCK_STREAM:
                with contextlib.suppress(OSError):  # nobody listens there, of several the other one say
                    sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close the parent's copies, and remove the file of a Unix socket, the file first: see
        ``OwnsSocketFile``. Closing twice is fine."""
        if self._file is not None:
            self._file.remove()
            self._file = None
        for endpoint in self._endpoints:
            endpoint.close()


async def open_sockets(binding: Binding, places: int) -> SharedSockets:
    """Bind, or adopt.

    Raises:
      ConfigError: ``sock`` is not usable.
      OSError: The address can not be bound, or its name not be resolved.
    """
    stream = binding.kind == socket.SOCK_STREAM
    if binding.sock is not None:
        adopt: Any = adopt_endpoints if stream else adopt_datagram_endpoints
        return SharedSockets([adopt(binding.sock, binding.kind)] * places)
    if binding.is_path:
        return await _open_unix(binding, places)
    if not binding.one_each:
        return SharedSockets([await _open_ip(binding, binding.address, reuse_port=False)] * places)
    port = binding.address[1]
    for attempt in range(_TRIES_FOR_A_PORT):
        try:
            return await _open_group(binding, places)
        except OSError as error:
            # Somebody was given the free port between the two times that it was bound.
            if port != 0 or error.errno != errno.EADDRINUSE or attempt == _TRIES_FOR_A_PORT - 1:
                raise
    raise AssertionError("not reached")


async def _open_unix(binding: Binding, places: int) -> SharedSockets:
    path, kind, mode = check_path(binding.address), binding.kind, binding.mode
    endpoint: Any
    if kind == socket.SOCK_STREAM:
        endpoint, file = await open_unix_endpoint(path, kind=kind, mode=mode, backlog=binding.backlog)
    else:
        endpoint, file = await open_unix_datagram_endpoint(path, kind=kind, mode=mode)
    return SharedSockets([[endpoint]] * places, file)


async def _open_ip(binding: Binding, address: Address, *, reuse_port: bool) -> list[Any]:
    stream = binding.kind == socket.SOCK_STREAM
    how = TCPBinding(
        family=socket.AF_UNSPEC,
        kind=binding.kind,
        # For datagrams it would let another program have the port as well (socket(7)).
        reuse_address=stream,
        reuse_port=reuse_port,
        all_addresses=binding.all_addresses,
    )
    return list(await (open_tcp_endpoints if stream else open_udp_endpoints)(address, how))


async def _open_group(binding: Binding, places: int) -> SharedSockets:
    """Bind a socket for each place to each of the addresses, on one port."""
    alone = await _open_ip(binding, binding.address, reuse_port=False)
    host, port, *rest = binding.address
    port = alone[0].socket.getsockname()[1]
    for endpoint in alone:
        endpoint.close()
    groups: list[list[Any]] = []
    try:
        for _ in range(places):
            groups.append(await _open_ip(binding, (host, port, *rest), reuse_port=True))
    except BaseException:
        for group in groups:
            for endpoint in group:
                endpoint.close()
        raise
    return SharedSockets(groups)
