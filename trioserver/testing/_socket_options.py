"""The options of simulated sockets: values that can be set and read, and those that do something."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from ._addresses import AF_UNIX, error
from ._option_tables import ALL, BOOLEAN, IP, IPV6, TCP, option_number

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_TCP_BUFFER: Final = 131072
"""Linux's ``tcp_rmem``: 128 KiB, of which a half is for data (tcp(7), ``tcp_adv_win_scale``)."""
_OTHER_BUFFER: Final = 212992
"""Linux's ``net.core.rmem_default`` and ``wmem_default``."""
_LEAST_RECEIVE_BUFFER: Final = 2304
_LEAST_SEND_BUFFER: Final = 4608
_MOST_BUFFER: Final = 2 * 212992
"""Twice ``net.core.rmem_max``, see socket(7)."""
_LINGER: Final = struct.Struct("ii")


class SocketOptions:
    """The options of one socket; accepted connections begin with those of their listener.

    ``SO_RCVBUF`` and ``SO_SNDBUF`` bound what is queued; as on Linux they read as twice what was set, since
    there a half is for the kernel's bookkeeping. ``SO_LINGER``, ``SO_REUSEADDR``, ``SO_REUSEPORT``,
    ``IPV6_V6ONLY`` and ``TCP_NOTSENT_LOWAT`` work. The others that Linux has can be set and read, and do
    nothing more; unknown ones are refused with the errno that Linux gives.
    """

    __slots__ = ("_fixed", "_values", "linger", "low_water", "receive_bytes", "send_bytes")

    def __init__(self, family: int, type: int, proto: int) -> None:
        stream = type == socket.SOCK_STREAM
        ip = family != AF_UNIX
        buffer = _TCP_BUFFER if stream and ip else _OTHER_BUFFER
        self.receive_bytes = buffer // 2
        self.send_bytes = buffer // 2
        self.linger: tuple[int, int] = (0, 0)
        self.low_water = 0  # TCP_NOTSENT_LOWAT; 0 is no bound
        self._values = dict(ALL)
        if ip:
            self._values |= IP
        if family == socket.AF_INET6:
            self._values |= IPV6
        if ip and stream:
            self._values |= TCP
        if ip and not proto:
            proto = socket.IPPROTO_TCP if stream else socket.IPPROTO_UDP
        self._fixed = {socket.SO_TYPE: int(type)}
        for name, value in (("SO_DOMAIN", int(family)), ("SO_PROTOCOL", proto)):
            if hasattr(socket, name):
                self._fixed[getattr(socket, name)] = value

    def copy(self) -> SocketOptions:
        """The same options for a connection that is accepted."""
        other = SocketOptions.__new__(SocketOptions)
        for name in SocketOptions.__slots__:
            setattr(other, name, getattr(self, name))
        other._values = dict(self._values)
        return other

    def flag(self, level: int, name: str) -> bool:
        """Whether an option is on; False where the platform or the socket has none of that name."""
        return bool(self._values.get((level, option_number(name) or -1)))

    def get(self, level: int, option: int, length: int | None = None) -> int | bytes:
        """Read an option, as ``socket.socket.getsockopt``."""
        value = self._read(level, option)
        if length is None:
            return value if isinstance(value, int) else int.from_bytes(value[:4], "little")
        packed = value if isinstance(value, bytes) else struct.pack("i", value)
        return packed[:length]

    def _read(self, level: int, option: int) -> int | bytes:
        if level == socket.SOL_SOCKET:
            if option == socket.SO_RCVBUF:
                return self.receive_bytes * 2
            if option == socket.SO_SNDBUF:
                return self.send_bytes * 2
            if option == socket.SO_LINGER:
                return _LINGER.pack(*self.linger)
            if option == getattr(socket, "SO_PEERCRED", None):
                return struct.pack("3i", os.getpid(), os.getuid(), os.getgid())
            if option in self._fixed:
                return self._fixed[option]
        return self._value(level, option)

    def _value(self, level: int, option: int) -> int:
        try:
            return self._values[level, option]
        except KeyError:
            known = level == socket.SOL_SOCKET or any(level == other for other, _ in self._values)
            raise error(errno.ENOPROTOOPT if known else errno.EOPNOTSUPP) from None

    def _check_settable(self, level: int, option: int) -> None:
        """Raise what Linux says of an option that the socket has not, or must not have."""
        ip = socket.SO_DOMAIN not in self._fixed or self._fixed[socket.SO_DOMAIN] != AF_UNIX
        if (level, option) == (socket.SOL_SOCKET, getattr(socket, "SO_REUSEPORT", None)) and not ip:
            raise error(errno.EOPNOTSUPP)
        if (level, option) not in self._values:
            raise error(errno.ENOPROTOOPT if ip or level == socket.SOL_SOCKET else errno.EOPNOTSUPP)

    def set(self, level: int, option: int, value: int | ReadableBuffer) -> None:
        """Set an option, as ``socket.socket.setsockopt``."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            packed = memoryview(value if not isinstance(value, int) else b"").cast("B")
            if len(packed) < _LINGER.size:
                raise error(errno.EINVAL)
            self.linger = _LINGER.unpack_from(packed)
            return
        number = value if isinstance(value, int) else self._unpack(value)
        if level == socket.SOL_SOCKET and option == socket.SO_RCVBUF:
            self.receive_bytes = max(_LEAST_RECEIVE_BUFFER, min(number * 2, _MOST_BUFFER)) // 2
        elif level == socket.SOL_SOCKET and option == socket.SO_SNDBUF:
            self.send_bytes = max(_LEAST_SEND_BUFFER, min(number * 2, _MOST_BUFFER)) // 2
        elif level == socket.SOL_SOCKET and option in self._fixed:
            raise error(errno.ENOPROTOOPT)
        else:
            self._check_settable(level, option)
            self._values[level, option] = int(bool(number)) if (level, option) in BOOLEAN else number
            if (level, option) == (socket.IPPROTO_TCP, getattr(socket, "TCP_NOTSENT_LOWAT", None)):
                self.low_water = number

    @staticmethod
    def _unpack(value: Any) -> int:
        packed = bytes(memoryview(value).cast("B"))
        if len(packed) < 4:
            raise error(errno.EINVAL)
        return int(struct.unpack_from("i", packed)[0])
