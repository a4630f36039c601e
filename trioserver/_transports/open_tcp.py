"""Binding TCP and UDP sockets: names, families, several addresses on one port."""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

import trio

from .._vocabulary.errors import ConfigError
from .datagram_endpoint import open_datagram_endpoint
from .endpoint import open_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .datagram_endpoint import DatagramEndpoint
    from .endpoint import Address, ListeningEndpoint

_TRIES_FOR_ONE_PORT: Final = 16
"""How often to ask for another free port when the one that a first address got is taken on a second."""


class TCPBinding(NamedTuple):
    """How to bind: the options of a server, read when it binds."""

    family: int
    kind: int
    reuse_address: bool
    reuse_port: bool
    all_addresses: bool


class _Bindable(Protocol):
    """What endpoints of both kinds have."""

    @property
    def socket(self) -> Any: ...

    def bind(self, address: Address) -> None: ...

    def close(self) -> None: ...


EndpointT = TypeVar("EndpointT", bound=_Bindable)


class _Candidate(NamedTuple):
    family: int
    address: Address

    def with_port(self, port: int) -> _Candidate:
        host, _, *rest = self.address
        return _Candidate(self.family, (host, port, *rest))


async def open_tcp_endpoints(server_address: Address, how: TCPBinding) -> list[ListeningEndpoint]:
    """Bind, without listening: one endpoint, or with ``how.all_addresses`` one for each address.

    Port 0 gives the same free port on all of them.

    Raises:
      ConfigError: ``server_address`` is not ``(host, port)``.
      OSError: ``socket.gaierror`` when the name can not be resolved; what bind(2) said, the address added.
    """
    return await _open_endpoints(server_address, how, open_endpoint)


async def open_udp_endpoints(server_address: Address, how: TCPBinding) -> list[DatagramEndpoint]:
    """The same for datagrams."""
    return await _open_endpoints(server_address, how, open_datagram_endpoint)


async def _open_endpoints(
    server_address: Address, how: TCPBinding, make: Callable[[int, int], EndpointT]
) -> list[EndpointT]:
    candidates = await _resolve(server_address, how)
    port = candidates[0].address[1]
    for attempt in range(_TRIES_FOR_ONE_PORT):
        try:
            return _bind_all(candidates, how, make)
        except _PortTaken as taken:
            if port != 0 or attempt == _TRIES_FOR_ONE_PORT - 1:
                raise taken.error from None
    raise AssertionError("not reached")


def check_address(server_address: Address) -> None:
    """Raise ConfigError unless it is ``(host, port)``, with flow and scope perhaps."""
    if not isinstance(server_address, tuple) or not 2 <= len(server_address) <= 4:
        raise ConfigError(f"server_address must be (host, port), not {server_address!r}")
    host, port, *_ = server_address
    if host is not None and not isinstance(host, str):
        raise ConfigError(f"the host in server_address must be a string or None, not {host!r}")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigError(f"the port in server_address must be 0 to 65535, not {port!r}")


async def _resolve(server_address: Address, how: TCPBinding) -> list[_Candidate]:
    """The addresses that ``server_address`` stands for."""
    check_address(server_address)
    host, port, *rest = server_address
    family = how.family
    if not host and family == socket.AF_UNSPEC and not how.all_addresses:
        family = socket.AF_INET  # as the stdlib's: "" is 0.0.0.0
    try:
        found = await trio.socket.getaddrinfo(host or None, port, family, how.kind, flags=socket.AI_PASSIVE)
    except OSError as error:
        error.add_note(f"while looking up {host!r}")
        raise
    candidates = []
    for found_family, _, _, _, address in found:
        if rest and found_family != socket.AF_INET6:
            raise ConfigError(f"flow and scope in server_address are for IPv6 alone: {server_address!r}")
        # A scope or flow that the caller gave explicitly wins over what the resolver made up.
        whole = (*address[:2], *rest, *address[2 + len(rest) :]) if rest else address
        candidate = _Candidate(found_family, whole)
        if candidate not in candidates:
            candidates.append(candidate)
    return candidates if how.all_addresses else candidates[:1]


class _PortTaken(Exception):
    """Another address than the first could not be bound to the first one's port."""

    def __init__(self, error: OSError) -> None:
        self.error = error


def _bind_all(
    candidates: Sequence[_Candidate], how: TCPBinding, make: Callable[[int, int], EndpointT]
) -> list[EndpointT]:
    """Bind each candidate to the port that the first one got; all or nothing."""
    bound: list[EndpointT] = []
    unusable: OSError | None = None
    try:
        for candidate in candidates:
            if bound:
                candidate = candidate.with_port(bound[0].socket.getsockname()[1])
            try:
                bound.append(_bind(candidate, how, make))
            except OSError as error:
                # A name can stand for addresses that this machine has not: ::1 where IPv6 is off.
                if len(candidates) > 1 and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    unusable = error
                elif bound and error.errno == errno.EADDRINUSE:
                    raise _PortTaken(error) from error
                else:
                    raise
    except BaseException:
        for endpoint in bound:
            endpoint.close()
        raise
    if not bound:
        assert unusable is not None
        raise unusable
    return bound


def _bind(candidate: _Candidate, how: TCPBinding, make: Callable[[int, int], EndpointT]) -> EndpointT:
    endpoint = make(candidate.family, how.kind)
    try:
        set_reuse_options(endpoint.socket.setsockopt, how)
        if candidate.family == socket.AF_INET6 and how.all_addresses:
            # Each family has a socket of its own: otherwise "::" would take the port of "0.0.0.0", too,
            # and IPv4 clients would appear as "::ffff:192.0.2.1".
            endpoint.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            endpoint.bind(candidate.address)
        except OSError as error:
            error.add_note(f"while binding {candidate.address!r}")
            raise
    except BaseException:
        endpoint.close()
        raise
    return endpoint


def set_reuse_options(setsockopt: Callable[[int, int, int], object], how: TCPBinding) -> None:
    """Set SO_REUSEADDR and SO_REUSEPORT as asked for."""
    # On Windows SO_REUSEADDR lets another process steal the port, and a restart does not need it.
    if how.reuse_address and sys.platform != "win32":
        setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if how.reuse_port:
        if not hasattr(socket, "SO_REUSEPORT"):
            raise ConfigError("allow_reuse_port: this platform has no SO_REUSEPORT")
        setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
