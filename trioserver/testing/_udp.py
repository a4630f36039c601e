"""UDP sockets."""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from ._addresses import error, to_socket
from ._ip_cores import IPCore
from ._packets import Packet
from ._ports import PortTable
from ._routes import host_for, source_host, target

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from ._addresses import IPAddress
    from ._hosts import Host
    from ._ports import Binding

MAX_DATAGRAM_BYTES: Final = 65507
"""65535 less the headers of IPv4 and UDP (RFC 768); IPv6 does not count its own header: 20 more."""
_OVERHEAD: Final = 256
"""What a datagram takes of ``SO_RCVBUF`` besides its data: as on Linux many empty ones fill it, too."""


def udp_ports(host: Host) -> PortTable:
    """The UDP ports of a host; a crash forgets them."""
    try:
        ports: PortTable = host.udp["ports"]
    except KeyError:
        ports = host.udp["ports"] = PortTable()
    return ports


class UDPSocket(IPCore):
    """A UDP socket."""

    __slots__ = ("_error", "_queue", "_queued_bytes", "_remote", "_write_shut")

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._remote: IPAddress | None = None  # once it is connected
        self._queue: deque[tuple[bytes, IPAddress]] = deque()
        self._queued_bytes = 0
        self._error = 0
        self._write_shut = False

    def ports(self) -> PortTable:
        """The UDP ports of its host."""
        return udp_ports(self.host)

    def peer_name(self) -> Any:
        """What it is connected to."""
        if self._remote is None:
            raise error(errno.ENOTCONN)
        return to_socket(self.family, self._remote)

    def bind(self, address: Any) -> None:
        """Bind to a numeric address."""
        super().bind(address)
        assert self.binding is not None
        self.ports().receive(self.binding)

    def _bound(self) -> Binding:
        """Its port; one that is free if it has none yet."""
        if self.binding is None:
            self.bind(to_socket(self.family, (self.any_address(), 0)))
        assert self.binding is not None
        return self.binding

    def connect(self, address: Any) -> None:
        """Send to that address from now on, and receive from no other."""
        remote = target(self.family, address, v6_only=self.v6_only)
        local = source_host(self.host, remote[0], None if self.binding is None else self.binding.host)
        binding = self._bound()
        binding.host = local
        self._remote = remote

    # Sending.

    def send(self, data: ReadableBuffer) -> int:
        """Send to what it is connected to."""
        self._raise_error()
        if self._write_shut:
            raise error(errno.EPIPE)
        if self._remote is None:
            raise error(errno.EDESTADDRREQ)
        return self._transmit(data, self._remote)

    def send_to(self, data: ReadableBuffer, address: Any) -> int:
        """Send to an address. To one that no host has it is sent, and lost."""
        self._raise_error()
        if self._write_shut:
            raise error(errno.EPIPE)
        return self._transmit(data, target(self.family, address, v6_only=self.v6_only))

    def _transmit(self, data: ReadableBuffer, destination: IPAddress) -> int:
        packed = bytes(data)
        remote = destination[0]
        if len(packed) > (MAX_DATAGRAM_BYTES + 20 if ":" in remote else MAX_DATAGRAM_BYTES):
            raise error(errno.EMSGSIZE)
        if destination[1] == 0:
            raise error(errno.EINVAL)
        if remote == "255.255.255.255":
            raise error(errno.EACCES)  # broadcasts are not simulated
        binding = self._bound()
        source = source_host(self.host, remote, binding.host), binding.port
        receiver = host_for(self.network, self.host, remote)
        if receiver is not None:
            packet = Packet("udp", "DATAGRAM", source, destination, self.host, receiver, packed)
            self.network.wire.send(packet, self._arrived)
        return len(packed)

    def _arrived(self, packet: Packet) -> None:
        """A datagram of this socket has reached the other host."""
        receiver = _find(packet)
        if receiver is not None:
            receiver._deliver(packet)
            return
        # RFC 1122 section 3.2.2.1. Who is not connected is told if he has asked: see udp(7).
        back = packet.destination, packet.source, packet.receiver, packet.sender
        answer = Packet("udp", "UNREACHABLE", *back)
        self.network.wire.send(answer, self._unreachable)

    def _unreachable(self, packet: Packet) -> None:
        told = self._remote == packet.source or self.options.flag(socket.IPPROTO_IP, "IP_RECVERR")
        if self.binding is not None and (told or self.options.flag(socket.IPPROTO_IPV6, "IPV6_RECVERR")):
            self._error = errno.ECONNREFUSED
            self.wake_reader()
            self.wake_writer()

    # Receiving.

    def accepts(self, source: IPAddress) -> int:
        """How closely a datagram's sender fits; 0 for one that it is not to get."""
        if self._remote is None:
            return 1
        return 3 if self._remote == source else 0

    def _deliver(self, packet: Packet) -> None:
        """Queue a datagram, or drop it when the queue is full."""
        size = len(packet.data) + _OVERHEAD
        if self._queued_bytes > self.options.receive_bytes:
            self.network.log.add(
                self.host.name, "fault", f"receive queue full: {packet} dropped", number=packet.number
            )
            return
        self._queue.append((packet.data, packet.source))
        self._queued_bytes += size
        self.wake_reader()

    def receive_from(self, max_bytes: int, *, peek: bool = False) -> tuple[bytes, Any, int]:
        """Take a datagram: it is cut after ``max_bytes``."""
        self._raise_error()
        if not self._queue:
            raise BlockingIOError(errno.EAGAIN, "no datagram was received yet")
        data, source = self._queue[0]
        if not peek:
            self._queue.popleft()
            self._queued_bytes -= len(data) + _OVERHEAD
        return data[:max_bytes], to_socket(self.family, source), len(data)

    def is_readable(self) -> bool:
        """Whether there is a datagram or an error."""
        return bool(self._queue) or self._error != 0

    def take_error(self) -> int:
        """The errno that waits to be raised."""
        number, self._error = self._error, 0
        return number

    def _raise_error(self) -> None:
        if self._error:
            raise error(self.take_error())

    # The end.

    def shut_down(self, *, read: bool, write: bool) -> None:
        """Close the sending half. As on Linux the receiving half stays open to those who do not block."""
        self._write_shut = self._write_shut or write
        if self._remote is None:
            raise error(errno.ENOTCONN)

    def close(self) -> None:
        """Close."""
        self.unbind()
        self._queue.clear()

    vanish = close


def _find(packet: Packet) -> UDPSocket | None:
    """The socket that a datagram is for: one that is connected to its sender before one that is not."""
    source = packet.source
    binding = udp_ports(packet.receiver).find(
        packet.destination, source, lambda binding: binding.owner.accepts(source)
    )
    found: UDPSocket | None = None if binding is None else binding.owner
    return found
