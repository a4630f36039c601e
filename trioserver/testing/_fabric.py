"""What sockets and names see of a network: hosts, addresses, the wire, the log, and numbers that count up.

`Network` is built on it, and sockets are built on it too, so that imports go one way only: sockets know a
`Fabric`, and the network makes sockets.
"""

from __future__ import annotations

import ipaddress
import itertools
import random
import re
import socket
from typing import TYPE_CHECKING, Any, Final, Protocol

from trioserver import ConfigError

from ._addresses import numeric_host
from ._checks import check_count, check_flag
from ._hosts import Host, hosts_entered
from ._log import EventLog
from ._wire import Wire

if TYPE_CHECKING:
    from ._links import LinkOptions

FIRST_FD: Final = 2**30
"""Simulated descriptors count from here: the kernel's never get there, so none is taken for one of those."""

LOCALHOST: Final = "localhost"
"""The host of tasks that are in no host's block. Its addresses are apart, so as not to shift the others'."""

_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


class Connection(Protocol):
    """A TCP connection of the network."""

    @property
    def client(self) -> Any:
        """The address of the side that connected."""

    @property
    def server(self) -> Any:
        """The address of the side that listened."""

    def reset(self) -> None:
        """End it for both sides, as a middlebox does that has forgotten it: ``ECONNRESET``."""


class Fabric:
    """The part of a `Network` that its sockets use.

    Attributes:
      seed: What all chance in it comes from.
      random: The random numbers of the network, for rules and programs too.
      log: What happened.
      wire: Carries packets; see `Wire.send`.
      hosts: By name, in the order in which they were made.
      open_connections: By number; the sockets keep it.
    """

    def __init__(self, seed: int | None, options: LinkOptions, *, log_packets: bool) -> None:
        if seed is None:
            seed = random.SystemRandom().randrange(2**32)
        check_count("seed", seed)
        check_flag("log_packets", log_packets)
        self.seed: int = seed
        self.random: random.Random = random.Random(seed)
        self.log: EventLog = EventLog(self._elapsed)
        self.wire: Wire = Wire(self.random, self.log, options, self._failed, log_packets=log_packets)
        self.hosts: dict[str, Host] = {}
        self.open_connections: dict[int, Connection] = {}
        self._by_name: dict[str, Host] = {}  # lower case
        self._by_address: dict[str, Host] = {}
        self._fds = itertools.count(FIRST_FD)
        self._connections = itertools.count(1)
        self._rule_numbers = itertools.count(1)
        self._made = 0
        self._failure: BaseException | None = None

    @property
    def connections(self) -> list[Connection]:
        """The TCP connections there are, oldest first, each with ``client``, ``server`` and ``reset()``."""
        return list(self.open_connections.values())

    @property
    def current_host(self) -> Host:
        """The host in whose block the caller is; ``localhost`` outside of any."""
        for host in reversed(hosts_entered()):
            if self.hosts.get(host.name) is host:
                return host
        return self._by_name.get(LOCALHOST) or self.host(LOCALHOST)

    def next_connection(self) -> int:
        """A number for a connection."""
        return next(self._connections)

    def host_at(self, address: str) -> Host | None:
        """The host that has an IP address, of those that others can reach; None where there is none."""
        host = self._by_address.get(address)
        return host if host is not None else self._by_address.get(normalized_address(address) or "")

    def host_named(self, name: str) -> Host | None:
        """The host of that name, in upper or lower case as in the DNS; None where there is none."""
        return self._by_name.get(name.lower())

    def host(self, name: str, *addresses: str) -> Host:
        """The host of that name; it is made when it is asked for first.

        Args:
          name: Letters, digits, ``-``, ``_`` and ``.``; others find the host under it. Case does not count.
          addresses: IP addresses, IPv4 or IPv6 or both; only when the host is made. Default: one of each,
            10.0.0.1 and fd00::1 for the first host and so on.

        Raises:
          ConfigError: The name is none, an address is none that a host can have, or is another host's.
        """
        _check_name(name)
        found = self._by_name.get(name.lower())
        if found is None:
            return self._make_host(name, addresses)
        if addresses and [normalized_address(address) for address in addresses] != found.addresses:
            raise ConfigError(
                f"the host {found.name} exists and has the addresses {', '.join(found.addresses)}: "
                "they are given when it is made"
            )
        return found

    def _make_host(self, name: str, addresses: tuple[str, ...]) -> Host:
        own: list[str] = []
        for address in addresses or self._next_addresses(name):
            normalized = usable_address(address)
            if normalized in self._by_address or normalized in own:
                owner = self._by_address.get(normalized)
                raise ConfigError(
                    f"{normalized} is the address of the host {owner.name if owner else name} already"
                )
            own.append(normalized)
        host = Host(name, own, self.log, self._fds, self.wire.cut_off)
        self.hosts[name] = self._by_name[name.lower()] = host
        for address in own:
            self._by_address[address] = host
        self.log.add(name, "host", f"is {' and '.join(own)}", addresses=own)
        return host

    def _next_addresses(self, name: str) -> tuple[str, ...]:
        """The default addresses of a host."""
        if name.lower() == LOCALHOST:
            return ("10.255.255.254", "fd00::ffff:fffe")
        while True:
            self._made += 1
            rest, last = divmod(self._made - 1, 254)  # the last part is never 0 or 255
            second, third = divmod(rest, 256)
            found = (f"10.{second}.{third}.{last + 1}", f"fd00::{self._made:x}")
            if not any(address in self._by_address for address in found):
                return found

    def _elapsed(self) -> float:
        """Seconds since the network was entered, until it was left."""
        wire = self.wire
        if wire.started is None:
            return 0.0
        return (wire.now if wire.ended is None else wire.ended) - wire.started

    def _failed(self, error: BaseException) -> None:
        """Keep the first exception that belongs to nobody, for whoever entered the network."""
        self.log.add(
            "", "fault", f"an error in the network: {type(error).__name__}", error=type(error).__name__
        )
        if self._failure is None:
            self._failure = error


def _check_name(name: object) -> None:
    usable = isinstance(name, str) and _NAME.fullmatch(name) and normalized_address(name) is None
    if not usable:
        raise ConfigError(
            "the name of a host must be made of letters, digits, '-', '_' and '.', and be no address: "
            f"not {name!r}"
        )


def normalized_address(address: object) -> str | None:
    """An IP address in its shortest form; None for what is none."""
    return numeric_host(socket.AF_INET, address) or numeric_host(socket.AF_INET6, address)


def usable_address(address: object) -> str:
    """The same for an address that one host can have; ConfigError for others."""
    normalized = normalized_address(address)
    if normalized is None:
        raise ConfigError(f"an address must be an IP address, not {address!r}")
    parsed = ipaddress.ip_address(normalized)
    mapped = parsed.version == 6 and parsed.ipv4_mapped is not None
    if parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast or mapped:
        raise ConfigError(
            f"{normalized} is no address of one host: it is loopback, unspecified, multicast, or IPv4 as IPv6"
        )
    return normalized
