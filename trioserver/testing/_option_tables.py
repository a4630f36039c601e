"""Which options sockets have, and what they are at first: Linux's, as far as Python has names for them."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNNAMED: Final = {"IP_BIND_ADDRESS_NO_PORT": 24, "IP_RECVERR": 11, "IPV6_RECVERR": 25}
"""Linux's numbers of options that Python has no names for, or only some versions of it."""


def option_number(name: str) -> int | None:
    fallback = _UNNAMED.get(name) if sys.platform == "linux" else None
    number: int | None = getattr(socket, name, fallback)
    return number


def _known(level: int, *names: str) -> Iterable[tuple[tuple[int, int], int]]:
    """The options that this platform has, with their defaults: ``NAME`` or ``NAME=1``."""
    for entry in names:
        name, _, default = entry.partition("=")
        number = option_number(name)
        if number is not None:
            yield (level, number), int(default or 0)


ALL: Final = dict(
    _known(
        socket.SOL_SOCKET,
        *(
            "SO_BROADCAST",
            "SO_DEBUG",
            "SO_DONTROUTE",
            "SO_KEEPALIVE",
            "SO_MARK",
            "SO_OOBINLINE",
            "SO_REUSEPORT",
        ),
        *(
            "SO_PASSCRED",
            "SO_PRIORITY",
            "SO_RCVLOWAT=1",
            "SO_REUSEADDR",
            "SO_SNDLOWAT=1",
            "SO_INCOMING_CPU=-1",
        ),
    )
)
IP: Final = dict(
    _known(
        socket.IPPROTO_IP,
        *("IP_TTL=64", "IP_TOS", "IP_BIND_ADDRESS_NO_PORT", "IP_FREEBIND", "IP_TRANSPARENT", "IP_RECVERR"),
        *("IP_RECVTOS", "IP_MULTICAST_TTL=1", "IP_MULTICAST_LOOP=1", "IP_MTU_DISCOVER=1", "IP_PKTINFO"),
    )
)
IPV6: Final = dict(
    _known(
        socket.IPPROTO_IPV6,
        *("IPV6_V6ONLY", "IPV6_UNICAST_HOPS=64", "IPV6_TCLASS", "IPV6_RECVERR", "IPV6_RECVPKTINFO"),
    )
)
TCP: Final = dict(
    _known(
        socket.IPPROTO_TCP,
        *("TCP_NODELAY", "TCP_CORK", "TCP_QUICKACK=1", "TCP_DEFER_ACCEPT", "TCP_FASTOPEN", "TCP_KEEPCNT=9"),
        *("TCP_KEEPIDLE=7200", "TCP_KEEPINTVL=75", "TCP_LINGER2=60", "TCP_MAXSEG=536", "TCP_SYNCNT=6"),
        *("TCP_NOTSENT_LOWAT", "TCP_USER_TIMEOUT", "TCP_WINDOW_CLAMP"),
    )
)
_FLAGS: Final = ("SO_BROADCAST", "SO_KEEPALIVE", "SO_OOBINLINE", "SO_REUSEADDR", "SO_REUSEPORT")
BOOLEAN: Final = {(socket.SOL_SOCKET, getattr(socket, name)) for name in _FLAGS if hasattr(socket, name)} | {
    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
}
