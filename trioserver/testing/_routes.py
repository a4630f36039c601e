"""Which way packets go: whose an address is, and which address they come from."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ._addresses import ANY4, ANY6, error, is_loopback, is_mapped, loopback_for, to_packet

if TYPE_CHECKING:
    from ._addresses import IPAddress
    from ._fabric import Fabric
    from ._hosts import Host


def target(family: int, address: Any, *, v6_only: bool) -> IPAddress:
    """Where a socket's packets to an address go.

    Raises:
      OSError: ``ENETUNREACH`` for an IPv4 address on a socket for IPv6 alone.
    """
    host, port = to_packet(family, address)
    if v6_only and is_mapped(family, address):
        raise error(errno.ENETUNREACH)
    return loopback_for(host), port


def source_host(host: Host, remote: str, bound: str | None) -> str:
    """The address that packets from ``host`` to ``remote`` come from.

    Raises:
      OSError: ``ENETUNREACH`` where the host has no address of that family, or the socket is bound to one of
        another; ``EINVAL`` for packets from 127.0.0.1 or ::1 that would leave the host.
    """
    if bound is not None and bound not in (ANY4, ANY6):
        if (":" in bound) != (":" in remote):
            raise error(errno.ENETUNREACH)
        if is_loopback(bound) and not host.owns(remote):
            raise error(errno.EINVAL)
        return bound
    if bound == ANY4 and ":" in remote:
        raise error(errno.ENETUNREACH)
    if is_loopback(remote):
        return "::1" if ":" in remote else "127.0.0.1"
    if host.owns(remote):
        return remote
    for address in host.addresses:
        if (":" in address) == (":" in remote):
            return address
    raise error(errno.ENETUNREACH)


def host_for(network: Fabric, host: Host, remote: str) -> Host | None:
    """The host that packets to ``remote`` reach; None where nobody has that address."""
    return host if host.owns(remote) else network.host_at(remote)


def check_local(host: Host, family: int, address: Any, *, v6_only: bool, foreign: bool) -> IPAddress:
    """The address to bind to, as packets have it.

    Raises:
      OSError: ``EADDRNOTAVAIL`` for one that the host has not; ``EINVAL`` for an IPv4 address on a socket for
        IPv6 alone.
    """
    local = to_packet(family, address)
    if v6_only and is_mapped(family, address):
        raise error(errno.EINVAL)
    if local[0] not in (ANY4, ANY6) and not foreign and not host.owns(local[0]):
        raise error(errno.EADDRNOTAVAIL)
    return local
