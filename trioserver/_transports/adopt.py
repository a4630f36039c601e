"""Taking over sockets that somebody else made: a parent process, systemd, a test."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import TypeAlias

import trio

from .._vocabulary.errors import ConfigError
from .datagram_endpoint import DatagramEndpoint, KernelDatagramEndpoint
from .endpoint import KernelListener, ListeningEndpoint

Adoptable: TypeAlias = "socket.socket | trio.socket.SocketType | trio.SocketListener | int"
"""A bound socket: the stdlib's, trio's, a trio listener, or the number of a descriptor."""


def adopt_endpoints(given: Adoptable | Iterable[Adoptable], kind: int) -> list[ListeningEndpoint]:
    """Make endpoints of sockets; from then on they belong to the endpoints.

    Raises:
      ConfigError: One is not a bound socket of type ``kind``. None of them is changed or closed then.
    """
    return [
        sock if isinstance(sock, ListeningEndpoint) else KernelListener(_kernel_socket(sock))
        for sock in _checked(given, kind)
    ]


def adopt_datagram_endpoints(given: Adoptable | Iterable[Adoptable], kind: int) -> list[DatagramEndpoint]:
    """The same for datagram sockets."""
    return [
        sock if isinstance(sock, DatagramEndpoint) else KernelDatagramEndpoint(_kernel_socket(sock))
        for sock in _checked(given, kind)
    ]


def _checked(given: Adoptable | Iterable[Adoptable], kind: int) -> list[Adoptable]:
    several = list(given) if isinstance(given, Iterable) else [given]
    if not several:
        raise ConfigError("sock must name at least one socket")
    for one in several:
        _check(one, kind)
    numbers = [_fileno(one) for one in several]
    if len(set(numbers)) < len(numbers):
        raise ConfigError("sock names the same socket twice")
    return [one.socket if isinstance(one, trio.SocketListener) else one for one in several]


def _fileno(given: Adoptable) -> int:
    if isinstance(given, int):
        return given
    return (given.socket if isinstance(given, trio.SocketListener) else given).fileno()


def _kernel_socket(given: Adoptable) -> socket.socket:
    if isinstance(given, int):
        return socket.socket(fileno=given)
    if isinstance(given, trio.socket.SocketType):
        return socket.socket(fileno=given.detach())
    assert isinstance(given, socket.socket)
    return given


def _check(given: object, kind: int) -> None:
    """Raise unless it is a bound socket of the right type."""
    if isinstance(given, bool) or not isinstance(
        given, (socket.socket, trio.socket.SocketType, trio.SocketListener, int)
    ):
        raise ConfigError(
            "sock must be a socket, a trio socket or listener, or a descriptor number, "
            f"not {type(given).__name__}"
        )
    if isinstance(given, int):
        try:
            probe = socket.socket(fileno=given)
        except OSError as error:
            raise ConfigError(f"sock: descriptor {given} is not a socket ({error})") from error
        try:
            _check(probe, kind)
        finally:
            probe.detach()
        return
    sock = given.socket if isinstance(given, trio.SocketListener) else given
    if sock.fileno() == -1:
        raise ConfigError("sock is closed")
    if sock.type != kind:
        raise ConfigError(f"sock must be of type {socket.SocketKind(kind).name}, not {sock.type!r}")
    name = sock.getsockname()
    if (sock.family in (socket.AF_INET, socket.AF_INET6) and name[1] == 0) or not name:
        raise ConfigError("sock must be bound to an address")
