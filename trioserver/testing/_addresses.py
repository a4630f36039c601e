"""Addresses as sockets give them, and as packets carry them.

A socket of either family uses the addresses of Python's ``socket`` module; a packet carries ``(host, port)``
with the host in its shortest form, and IPv4 where an IPv6 socket says ``::ffff:192.0.2.1``.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Final, TypeAlias

IPAddress: TypeAlias = tuple[str, int]
"""What packets carry: the host as text, and the port."""

ANY4: Final = "0.0.0.0"
ANY6: Final = "::"
AF_UNIX: Final = getattr(socket, "AF_UNIX", -2)
"""Windows has none."""
_MAPPED: Final = "::ffff:"

_numeric_cache: dict[tuple[int, str], str | None] = {}
"""What `numeric_host` has found: the same few hosts are looked up with each datagram."""


def error(number: int, text: str | None = None) -> OSError:
    """The ``OSError`` of an errno, with the words of the system: made, for the caller to raise."""
    return OSError(number, text or os.strerror(number))


def numeric_host(family: int, host: object) -> str | None:
    """The shortest form of a numeric host of that family; None for a name."""
    if not isinstance(host, str):
        return None
    key = (family, host)
    try:
        return _numeric_cache[key]
    except KeyError:
        pass
    scopeless = host.partition("%")[0] if family == socket.AF_INET6 else host
    try:
        found = socket.inet_ntop(family, socket.inet_pton(family, scopeless))
    except (OSError, ValueError):
        found = None
    if len(_numeric_cache) < 10_000:
        _numeric_cache[key] = found
    return found


def to_packet(family: int, address: Any) -> IPAddress:
    """The packet's form of a numeric address."""
    host = numeric_host(family, address[0])
    if host is None:
        raise error(errno.EINVAL)
    if family == socket.AF_INET6 and host.startswith(_MAPPED) and "." in host:
        host = host[len(_MAPPED) :]
    return host, address[1]


def to_socket(family: int, address: IPAddress) -> Any:
    """The form that a socket of that family gives."""
    if family == socket.AF_INET:
        return address
    host, port = address
    return (host if ":" in host else _MAPPED + host), port, 0, 0


def is_mapped(family: int, address: Any) -> bool:
    """Whether an IPv6 socket's address is one of IPv4."""
    return family == socket.AF_INET6 and ":" not in to_packet(family, address)[0]


def is_loopback(host: str) -> bool:
    """Whether it is an address that every host has of its own."""
    return host == "::1" or host.startswith("127.")


def loopback_for(host: str) -> str:
    """What Linux connects to when it is asked for a wildcard address; other hosts stay as they are."""
    if host == ANY4:
        return "127.0.0.1"
    return "::1" if host == ANY6 else host
