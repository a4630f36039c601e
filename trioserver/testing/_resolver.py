"""What trio asks for addresses of names, and names of addresses, while a network is installed."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import trio

from ._services import gaierror, port_of, service_at

if TYPE_CHECKING:
    from ._dns import DNS
    from ._fabric import Fabric


class Resolver(trio.abc.HostnameResolver):
    """Behind ``trio.socket.getaddrinfo`` and ``getnameinfo``; what is all numbers, trio answers itself."""

    def __init__(self, fabric: Fabric, dns: DNS) -> None:
        self._fabric = fabric
        self._dns = dns

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """The addresses of a name, as getaddrinfo(3) gives them, in the order in which they were given."""
        if host is None and port is None:
            await trio.lowlevel.checkpoint()
            raise gaierror(socket.EAI_NONAME)
        number = port_of(port, numeric=bool(flags & _NUMERIC_SERVICE))
        name = host.decode("ascii") if isinstance(host, bytes) else host
        if not name:
            passive = flags & socket.AI_PASSIVE
            addresses = ["0.0.0.0", "::"] if passive else ["127.0.0.1", "::1"]
            await trio.lowlevel.checkpoint()
        elif is_numeric(name):
            addresses = [name]
            await trio.lowlevel.checkpoint()
        elif flags & socket.AI_NUMERICHOST:
            await trio.lowlevel.checkpoint()
            raise gaierror(socket.EAI_NONAME)
        else:
            addresses = await self._dns.look_up(name, self._fabric.current_host)
        rows = self._rows(addresses, number, family, type, proto)
        if family == socket.AF_INET6 and flags & socket.AI_V4MAPPED and not rows:
            rows = self._rows([f"::ffff:{one}" for one in addresses], number, family, type, proto)
        if not rows:
            raise gaierror(getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
        if flags & socket.AI_CANONNAME:
            rows[0] = (*rows[0][:3], name or "", rows[0][4])
        return rows

    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int
    ) -> tuple[str, str]:
        """The name of an address, or the address where it has none or none is wanted."""
        address, port = sockaddr[:2]
        if not is_numeric(address):
            raise gaierror(socket.EAI_NONAME)
        name = None
        if flags & socket.NI_NUMERICHOST:
            await trio.lowlevel.checkpoint()
        elif address == "::1" or address.startswith("127."):
            await trio.lowlevel.checkpoint()
            name = "localhost"
        else:
            await self._dns.wait()
            found = self._fabric.host_at(address)
            name = None if found is None else found.name
        if name is None and flags & socket.NI_NAMEREQD:
            raise gaierror(socket.EAI_NONAME)
        return name or address, service_at(port, flags)

    @staticmethod
    def _rows(addresses: list[str], port: int, family: int, type: int, proto: int) -> list[Any]:
        """The rows for those addresses that are of the family.

        What the system makes of a numeric address needs no network; it knows which kinds of sockets go with
        which protocols, and what is wrong with the rest.
        """
        rows: list[Any] = []
        for address in addresses:
            own = socket.AF_INET6 if ":" in address else socket.AF_INET
            if family in (socket.AF_UNSPEC, own):
                rows += socket.getaddrinfo(
                    address, port, own, type, proto, socket.AI_NUMERICHOST | _NUMERIC_SERVICE
                )
        return rows


_NUMERIC_SERVICE = getattr(socket, "AI_NUMERICSERV", 0)


def is_numeric(text: str) -> bool:
    """Whether it is an IP address."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        socket.inet_pton(family, text.partition("%")[0])
    except (OSError, ValueError):
        return False
    return True
