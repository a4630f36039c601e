"""What is known to be lost on the way in and out of a datagram server."""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass
from typing import Any, Final

_SO_MEMINFO: Final = 55
"""Linux 4.12 and later, asm-generic/socket.h; Python's ``socket`` does not have it."""
_MEMINFO: Final = struct.Struct("=9I")
_DROPS: Final = 8
"""SK_MEMINFO_DROPS of linux/sock_diag.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatagramsLost:
    """How many datagrams a server knows to be lost, since it was made.

    A network loses others, of which nobody knows.
    """

    receive_buffer: int | None = 0
    """Datagrams that came and that the kernel dropped, as the socket's receive buffer was full (or their
    checksum was wrong). Linux counts them; ``None`` where the system does not tell.

    A larger buffer holds longer bursts: ``server.socket.setsockopt(SOL_SOCKET, SO_RCVBUF, ...)``. Unix
    datagrams are never lost here: who sends them waits.
    """
    replies: int = 0
    """Replies of handlers that do not wait, for which the kernel had no room."""
    full_queues: int = 0
    """Datagrams that came while their session had ``max_queued_datagrams`` waiting."""
    refused_sessions: int = 0
    """Datagrams of peers that had no session while there were ``max_requests`` of them."""
    unread: int = 0
    """Datagrams that a session had not read when it was cancelled, or the server stopped."""


class LossCounts:
    """The mutable counts behind it, but for what the kernel counts."""

    __slots__ = ("full_queues", "receive_buffer", "refused_sessions", "replies", "unread")

    def __init__(self) -> None:
        self.receive_buffer: int | None = 0
        self.replies: int = 0
        self.full_queues: int = 0
        self.refused_sessions: int = 0
        self.unread: int = 0

    def snapshot(self, in_kernel: int | None) -> DatagramsLost:
        """A frozen record, with what the sockets that are open add."""
        before = self.receive_buffer
        return DatagramsLost(
            receive_buffer=None if before is None or in_kernel is None else before + in_kernel,
            replies=self.replies,
            full_queues=self.full_queues,
            refused_sessions=self.refused_sessions,
            unread=self.unread,
        )


def kernel_drops(sock: Any) -> int | None:
    """How many datagrams the kernel has dropped on this socket, modulo 2**32; ``None`` if it does not say."""
    if sys.platform != "linux" or not isinstance(sock, socket.socket):
        return None
    try:
        answer = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError:
        return None
    return int(_MEMINFO.unpack(answer)[_DROPS]) if len(answer) == _MEMINFO.size else None
