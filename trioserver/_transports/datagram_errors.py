"""Errors on datagram sockets that are news of a peer, and nothing that the socket could not go on after."""

from __future__ import annotations

import errno
from typing import Final


def _numbers(*names: str) -> frozenset[int]:
    """The errnos of those names that this platform has."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


PEER_ERRORS: Final = _numbers(
    # What ICMP reported of an earlier datagram; Linux tells sockets that are not connected only with
    # IP_RECVERR set, see ip(7). Windows always does, as WSAECONNRESET.
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "EHOSTDOWN",
    "ENETDOWN",
    "ENONET",
    "ENOPROTOOPT",
    "EPROTO",
    "EOPNOTSUPP",
    "WSAECONNRESET",
    "WSAENETRESET",
    "WSAEHOSTUNREACH",
    "WSAENETUNREACH",
    # What sendto(2) says of a client that can not be reached from here.
    "EPERM",  # Linux: a firewall rule forbids it
    "EADDRNOTAVAIL",
    "EDESTADDRREQ",  # ours: it has no address
    # The same of a client on a Unix socket: its file is gone, or replaced, or not open to us.
    "ENOENT",
    "ENOTDIR",
    "EACCES",
    "EPROTOTYPE",
    "ENOTSOCK",
    "ENOTCONN",
)
"""A reply failed because of the peer or the way to it, or an earlier one has."""

RECEIVE_ERRORS: Final = PEER_ERRORS | _numbers("EMSGSIZE", "WSAEMSGSIZE", "ETIMEDOUT")
"""recvfrom(2) reported something about one datagram: take the next. ``EMSGSIZE`` is an ICMP "fragmentation
needed", or on Windows a datagram that was cut."""

NO_ROOM: Final = _numbers("EAGAIN", "EWOULDBLOCK", "ENOBUFS", "WSAEWOULDBLOCK", "WSAENOBUFS")
"""sendto(2) has no room at the moment; the BSDs and macOS say ``ENOBUFS`` where a peer's queue is full."""
