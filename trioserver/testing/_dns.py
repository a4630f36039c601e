"""The DNS of a network: names of hosts and names that a test adds, changes, breaks and slows down."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import trio

from trioserver import ConfigError

from ._fabric import usable_address
from ._latency import check_latency, describe_latency
from ._services import ERROR_NAMES, gaierror

if TYPE_CHECKING:
    from ._fabric import Fabric
    from ._hosts import Host
    from ._latency import Latency


class DNS:
    """Answers every host's questions, whatever partitions there are. Reached as ``network.dns``.

    Without more, each host of the network is found under its name. ``localhost`` is not asked for here: it
    always is 127.0.0.1 and ::1 of the host that asks (RFC 6761 section 6.3).
    """

    __slots__ = ("_delay", "_fabric", "_failing", "_failures", "_names")  # misspelt names are an error

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._names: dict[str, tuple[str, ...]] = {}  # () where the name was removed
        self._failures: dict[str, int] = {}
        self._failing: int | None = None
        self._delay: Latency = 0.0

    @property
    def delay(self) -> Latency:
        """Seconds that an answer takes, a number or a function as for latencies. Default 0.

        What is known at the end of that time is the answer.
        """
        return self._delay

    @delay.setter
    def delay(self, delay: Latency) -> None:
        check_latency("delay", delay)
        self._delay = delay
        self._log(f"DNS takes {describe_latency(delay)}", "")

    def add(self, name: str, *addresses: str) -> None:
        """Let a name stand for these addresses from now on, and for no others.

        Args:
          name: Any name, that of a host too. Case does not count.
          addresses: IP addresses, in the order in which they are to be tried. They need not be of a host.

        Raises:
          ConfigError: An address is none, or there is none.
        """
        if not addresses:
            raise ConfigError(f"{name} needs at least one address; DNS.remove lets a name stand for nothing")
        self._names[_key(name)] = tuple(usable_address(address) for address in addresses)
        self._log(f"DNS: {name} is {', '.join(addresses)}", name)

    def remove(self, name: str) -> None:
        """Let a name stand for nothing, be it one that was added or that of a host: ``EAI_NONAME``.

        Raises:
          ConfigError: It stands for nothing.
        """
        if not self._addresses(_key(name)):
            raise ConfigError(f"the DNS of this network has no name {name!r}")
        self._names[_key(name)] = ()
        self._log(f"DNS: {name} is removed", name)

    def fail(self, name: str | None = None, error: int = socket.EAI_AGAIN) -> None:
        """Answer questions for a name with an error, until `recover`.

        Args:
          name: The name; None for every name.
          error: A number of the ``socket`` module: ``EAI_AGAIN`` (the default: no server answers, try later),
            ``EAI_NONAME`` (no such name), ``EAI_FAIL`` and so on.

        Raises:
          ConfigError: There is no such error.
        """
        if error not in ERROR_NAMES:
            raise ConfigError(
                f"error must be one of socket's {', '.join(ERROR_NAMES.values())}, not {error!r}"
            )
        if name is None:
            self._failing = error
        else:
            self._failures[_key(name)] = error
        self._log(f"DNS: {name or 'every name'} fails with {ERROR_NAMES[error]}", name or "")

    def recover(self, name: str | None = None) -> None:
        """Answer questions for a name again, or, for None, for every name. Harmless where nothing fails."""
        if name is None:
            self._failing = None
            self._failures.clear()
        else:
            self._failures.pop(_key(name), None)
        self._log(f"DNS: {name or 'every name'} recovers", name or "")

    async def look_up(self, name: str, asking: Host) -> list[str]:
        """The addresses of a name, after the delay.

        Raises:
          gaierror: There is no such name, or it fails.
        """
        key = _key(name)
        if key == "localhost" or key.endswith(".localhost"):
            await trio.lowlevel.checkpoint()
            return ["127.0.0.1", "::1"]
        await self.wait()
        error = self._failures.get(key, self._failing)
        found = () if error is not None else self._addresses(key)
        if not found:
            number = socket.EAI_NONAME if error is None else error
            self._log(f"asks for {name}: {ERROR_NAMES[number]}", name, asking.name)
            raise gaierror(number)
        self._log(f"asks for {name}: {', '.join(found)}", name, asking.name)
        return list(found)

    async def wait(self) -> None:
        """Wait as long as an answer takes: a checkpoint, if not more."""
        delay = self._delay
        await trio.sleep(delay(self._fabric.random) if callable(delay) else delay)

    def _addresses(self, key: str) -> tuple[str, ...]:
        added = self._names.get(key)
        if added is not None:
            return added
        host = self._fabric.host_named(key)
        return tuple(host.addresses) if host is not None else ()

    def _log(self, text: str, name: str, host: str = "") -> None:
        self._fabric.log.add(host, "dns", text, name=name)


def _key(name: object) -> str:
    """Names are the same in any case, with or without the dot of the root."""
    if isinstance(name, str) and name.strip("."):
        return name.lower().removesuffix(".")
    raise ConfigError(f"a name must be a string that is not empty, not {name!r}")
