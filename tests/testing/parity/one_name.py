"""A name with several addresses, for tests on the kernel's sockets."""

from __future__ import annotations

import socket
from typing import Any

import trio


class OneName(trio.abc.HostnameResolver):
    """Knows one name."""

    def __init__(self, host: str, addresses: tuple[str, ...]) -> None:
        self.host, self.addresses = host.encode(), addresses

    async def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """All addresses, in the order in which they were given."""
        assert host == self.host
        found = []
        for address in self.addresses:
            found += socket.getaddrinfo(address, port, family, type, proto, flags)
        return found

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        """Not a name."""
        return socket.getnameinfo(sockaddr, flags | socket.NI_NUMERICHOST)
