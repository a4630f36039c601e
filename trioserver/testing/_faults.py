"""What can go wrong on the way from host to host, switched on and off by methods."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from trioserver import ConfigError

from ._checks import check_flag, check_rule
from ._events import Event
from ._fabric import Fabric
from ._hosts import Host
from ._wire import rule_name

if TYPE_CHECKING:
    from types import EllipsisType

    from ._latency import Latency
    from ._packets import Rule

HostOrHosts: TypeAlias = str | Host | Iterable[str | Host]
"""A host, by its name or itself, or several."""


class Faults(Fabric):
    """A fabric that can be made to fail."""

    def link(
        self,
        a: HostOrHosts,
        b: HostOrHosts,
        *,
        latency: Latency | EllipsisType = ...,
        bandwidth: float | EllipsisType | None = ...,
        loss: float | EllipsisType = ...,
        duplication: float | EllipsisType = ...,
        reordering: float | EllipsisType = ...,
        both_ways: bool = True,
    ) -> None:
        """Set what happens to packets between hosts from now on; what is left out stays as it is.

        The options are those of `Network`. Packets that are under way already arrive as they would have.

        Args:
          a: A host, by its name or itself, or several.
          b: The other host or hosts. With several, each link of one of ``a`` and one of ``b`` is meant.
          both_ways: False sets the way from ``a`` to ``b`` alone.

        Raises:
          ConfigError: No such host, the same one on both sides, or an option is not usable.
        """
        check_flag("both_ways", both_ways)
        now = self._elapsed()
        for sender, receiver in self._ways(a, b, one_way=not both_ways):
            link = self.wire.link(sender, receiver)
            options = link.options.changed(
                latency=latency,
                bandwidth=bandwidth,
                loss=loss,
                duplication=duplication,
                reordering=reordering,
            )
            link.set(options)
            self._log(now, "link", sender, receiver, options)

    def partition(self, a: HostOrHosts, b: HostOrHosts, *, one_way: bool = False) -> None:
        """Lose all packets between hosts, as when a cable is cut: nobody is told.

        Packets that are under way already arrive. TCP tries again for minutes, and goes on after a `repair`.

        Args:
          a: A host, by its name or itself, or several.
          b: The other host or hosts.
          one_way: Cut only the way from ``a`` to ``b``.

        Raises:
          ConfigError: No such host, or the same one on both sides.
        """
        now = self._elapsed()
        for sender, receiver in self._ways(a, b, one_way=one_way):
            link = self.wire.link(sender, receiver)
            link.partitioned = True
            link.update()
            self._log(now, "partition", sender, receiver)

    def repair(
        self, a: HostOrHosts | None = None, b: HostOrHosts | None = None, *, one_way: bool = False
    ) -> None:
        """End a partition between hosts, or without arguments all partitions. What was lost stays lost."""
        now = self._elapsed()
        for sender, receiver in self._ways_or_all(a, b, one_way=one_way):
            link = self.wire.link(sender, receiver)
            if link.partitioned:
                link.partitioned = False
                link.update()
                self._log(now, "repair", sender, receiver)

    def hold(self, a: HostOrHosts, b: HostOrHosts, *, one_way: bool = False) -> None:
        """Keep all packets between hosts back until the `release`: they are late, not lost.

        Args:
          a: A host, by its name or itself, or several.
          b: The other host or hosts.
          one_way: Hold only the way from ``a`` to ``b``.

        Raises:
          ConfigError: No such host, or the same one on both sides.
        """
        now = self._elapsed()
        for sender, receiver in self._ways(a, b, one_way=one_way):
            link = self.wire.link(sender, receiver)
            if link.held is None:
                link.held = []
                link.update()
            self._log(now, "hold", sender, receiver)

    def release(
        self, a: HostOrHosts | None = None, b: HostOrHosts | None = None, *, one_way: bool = False
    ) -> None:
        """End a hold between hosts, or without arguments all holds: what was kept is sent on, in order."""
        now = self._elapsed()
        for sender, receiver in self._ways_or_all(a, b, one_way=one_way):
            held = self.wire.link(sender, receiver).held
            if held is not None:
                self._log(now, "release", sender, receiver, f"{len(held)} held")
                self.wire.release(sender, receiver)

    @contextlib.contextmanager
    def rule(self, rule: Rule) -> Iterator[None]:
        """Ask ``rule`` about each packet that is sent in the block.

        It gets the `Packet` and returns ``Pass``, ``Drop`` or ``Deliver(seconds)``. Of several rules the one
        that was installed first is asked first, and the first answer but ``Pass`` counts, whatever the
        link, a partition or a hold say; only a host that is down gets nothing. Packets from a host to itself
        are asked about, too. What a rule raises, the block of the network raises at its end; the packet goes
        on as if it had answered ``Pass``.

        Raises:
          ConfigError: It is not callable, or an async function.
        """
        check_rule(rule)

        number = next(self._rule_numbers)
        name = rule_name(rule)
        self.wire.rules[number] = rule
        self.log.add("", "fault", f"rule {name} begins", fault="rule", rule=name)
        try:
            yield
        finally:
            del self.wire.rules[number]
            self.log.add("", "fault", f"rule {name} ends", fault="rule ends", rule=name)

    def _ways_or_all(
        self, a: HostOrHosts | None, b: HostOrHosts | None, *, one_way: bool
    ) -> list[tuple[Host, Host]]:
        """The same as `_ways`; every link there is when there are no hosts."""
        if a is None and b is None:
            return [(sender, receiver) for sender in self.hosts.values() for receiver in sender.links]
        if a is None or b is None:
            raise ConfigError("name the hosts on both sides, or none at all for every link there is")
        return self._ways(a, b, one_way=one_way)

    def _ways(self, a: HostOrHosts, b: HostOrHosts, *, one_way: bool) -> list[tuple[Host, Host]]:
        """Sender and receiver of each directed link that is meant."""
        check_flag("one_way", one_way)
        there, here = self._known(a), self._known(b)
        ways = [(sender, receiver) for sender in there for receiver in here]
        for sender, receiver in ways:
            if sender is receiver:
                raise ConfigError(
                    f"the host {sender.name} is on both sides, and nothing is between it and itself"
                )
        return ways if one_way else ways + [(receiver, sender) for sender, receiver in ways]

    def _known(self, hosts: Any) -> list[Host]:
        """The hosts that are meant, which must exist: a name with a slip of the pen would cut nothing."""
        several = isinstance(hosts, Iterable) and not isinstance(hosts, str)
        found: dict[Host, None] = {}
        for one in hosts if several else [hosts]:
            host = self._known_host(one)
            if host is None:
                known = ", ".join(self.hosts) or "none yet"
                raise ConfigError(
                    f"no host of this network: {one!r}; there are: {known}. Network.host makes them"
                )
            found[host] = None
        if not found:
            raise ConfigError("name at least one host on each side")
        # In the order of the network: a set that names were given in has none.
        return [host for host in self.hosts.values() if host in found]

    def _known_host(self, one: object) -> Host | None:
        if isinstance(one, str):
            return self.host_named(one)
        return one if isinstance(one, Host) and self.hosts.get(one.name) is one else None

    def _log(self, now: float, fault: str, sender: Host, receiver: Host, more: object = "") -> None:
        """Log a fault of one link. Groups of hosts have many, so the text is made when it is read."""
        self.log.later((_link_event, now, fault, sender.name, receiver.name, more))


def _link_event(time: float, fault: str, source: str, destination: str, more: object) -> Event:
    text = f"{fault} {source} > {destination}" + (f": {more}" if more else "")
    return Event(time, "", "fault", text, {"fault": fault, "source": source, "destination": destination})
