"""`BindsToIP`: what TCP and UDP servers have in common."""

from __future__ import annotations

import socket

from .._transports.open_tcp import TCPBinding
from .._vocabulary.errors import ConfigError
from .._vocabulary.options import check_flag
from .hooks import RequestT
from .sockets import GroupT, SocketServer


class BindsToIP(SocketServer[RequestT, GroupT]):
    """Where to bind, and how."""

    address_family: int = socket.AF_UNSPEC
    """``AF_INET`` or ``AF_INET6`` to bind to no other; by default the host decides.

    The stdlib's default is ``AF_INET``, and ``TCPServer(("::1", 0), ...)`` fails there. A host of ``""``
    is IPv4 in both, unless ``all_addresses`` is true.
    """

    all_addresses: bool = False
    """Bind to every address that the host stands for, not only the first: IPv4 and IPv6, all on one port.

    ``("localhost", 0)`` is then 127.0.0.1 and ::1 on the same free port, ``("", 80)`` is 0.0.0.0 and ::.
    Each has a socket of its own, so that no client appears as ``::ffff:192.0.2.1``; the reply to a datagram
    goes out through the one where it came in. Addresses that this machine does not have are left out, as
    long as one remains.
    """

    allow_reuse_address: bool
    allow_reuse_port: bool

    def _check_options(self) -> None:
        super()._check_options()
        for name in ("all_addresses", "allow_reuse_address", "allow_reuse_port"):
            check_flag(name, getattr(self, name))
        known = (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6)
        if self.address_family not in known:
            raise ConfigError(
                f"address_family must be AF_UNSPEC, AF_INET or AF_INET6, not {self.address_family!r}"
            )

    def _binding(self) -> TCPBinding:
        return TCPBinding(
            family=self.address_family,
            kind=self.socket_type,
            reuse_address=self.allow_reuse_address,
            reuse_port=self.allow_reuse_port,
            all_addresses=self.all_addresses,
        )
