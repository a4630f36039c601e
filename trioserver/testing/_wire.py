"""The wire: what becomes of each packet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from trioserver import ConfigError

from ._links import Link, LinkOptions
from ._packets import Deliver, Drop, Packet, Pass
from ._schedule import Schedule
from ._schedule import Timer as Timer

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from typing import TypeAlias

    from ._hosts import Host
    from ._log import EventLog
    from ._packets import Rule

    Arrive: TypeAlias = Callable[[Any], object]
    Lost: TypeAlias = Callable[[Any], object] | None

_LOOPBACK: Final = LinkOptions(latency=0)
"""From a host to itself nothing is late or lost."""


class Wire(Schedule):
    """Carries packets from host to host.

    1. A packet goes, in this order: past the rules, of which the first that answers decides; through
       the partition and the hold of its link; through what the link itself does.
    2. Nothing arrives before `send` has returned, not even without any latency: all arrivals and timers
       are calls from the task `run`, in the order of their times, and of sending where these are equal.
    3. On one link packets arrive in the order in which they were sent, but for those that reordering strikes
       and those that a rule delivers.
    4. Random numbers are drawn when a packet is sent, and none where a link has a fixed latency alone.

    Args:
      random: Where chance comes from.
      log: Gets an event for each packet, unless ``log_packets`` is false.
      options: Of links that nobody has set.
      failed: Called with what a rule, or anything that arrival calls, raises: it belongs to the one who
        entered the network, not to whatever task happened to send.
    """

    def __init__(
        self,
        random: random.Random,
        log: EventLog,
        options: LinkOptions,
        failed: Callable[[BaseException], object],
        *,
        log_packets: bool,
    ) -> None:
        super().__init__(failed)
        self.rules: dict[int, Rule] = {}  # by a number that counts up, so in order of installation
        self.started: float | None = None
        self.ended: float | None = None
        self._random = random
        self._later = log.later if log_packets else None
        self._options = options
        self._number = 0

    def link(self, sender: Host, receiver: Host) -> Link:
        """The link from one host to another, or to itself."""
        link = sender.links.get(receiver)
        if link is None:
            options = _LOOPBACK if sender is receiver else self._options
            link = sender.links[receiver] = Link(options)
        return link

    def send(self, packet: Packet, arrive: Arrive, lost: Lost = None, now: float | None = None) -> None:
        """Send a packet.

        Args:
          packet: Is numbered here. Do not change it any more: it may arrive twice.
          arrive: Called with it when it arrives.
          lost: Called with it when it is known not to arrive, most often at once.
          now: The time, from those who know it: asking trio takes an eighth of the time of a packet.
        """
        self._number = packet.number = self._number + 1
        sender, receiver = packet.sender, packet.receiver
        link = sender.links.get(receiver)
        if link is None:
            link = self.link(sender, receiver)
        if now is None:
            now = self._batch
            if now is None:
                now = trio.current_time()
        if self.rules or not link.plain or not receiver.up or not sender.up:
            self._decide(packet, arrive, lost, link, now)
            return
        when = now + link.delay
        if when < link.last:
            when = link.last
        else:
            link.last = when
        queue = self._queues.get(when)
        if queue is None:
            queue = self._queue(when)
        queue.append((arrive, packet, lost))
        if self._later is not None:
            # What `_note` does: a call of it would cost as much as all the rest of the log.
            started = now if self.started is None else self.started
            self._later(
                (
                    now - started,
                    packet.protocol,
                    packet.kind,
                    packet.source,
                    packet.destination,
                    sender.name,
                    receiver.name,
                    len(packet.data),
                    packet.number,
                    packet.connection,
                    "delivered",
                    "",
                    when - started,
                )
            )

    def release(self, sender: Host, receiver: Host) -> None:
        """Send on what was held on a link."""
        link = self.link(sender, receiver)
        held, link.held = link.held, None
        link.update()
        for packet, arrive, lost in held or ():
            self._transmit(packet, arrive, lost, link, self.now)

    def cut_off(self, host: Host) -> int:
        """Lose all packets that are under way to a host; returns how many they were."""
        gone: list[tuple[Packet, Lost]] = []
        for when in sorted(self._queues):
            queue = self._queues[when]
            stay = [entry for entry in queue if not _is_for(host, entry[1])]
            if len(stay) < len(queue):
                gone += [(entry[1], entry[2]) for entry in queue if _is_for(host, entry[1])]
                queue.clear()
                queue.extend(stay)
        for packet, lost in gone:
            if lost is not None:
                lost(packet)
        return len(gone)

    def _decide(self, packet: Packet, arrive: Arrive, lost: Lost, link: Link, now: float) -> None:
        """Ask the rules."""
        if not packet.sender.up or not packet.receiver.up:
            down = packet.receiver if packet.sender.up else packet.sender
            self._drop(packet, lost, now, f"{down.name} is down")
            return
        for rule in tuple(self.rules.values()):
            try:
                verdict = rule(packet)
                if verdict is Pass:
                    continue
                if verdict is Drop:
                    self._drop(packet, lost, now, "by a rule")
                    return
                if not isinstance(verdict, Deliver):
                    raise ConfigError(
                        f"the rule {rule_name(rule)} answered {verdict!r}: "
                        "it must be Pass, Deliver(seconds) or Drop"
                    )
            except Exception as error:
                self._failed(error)
                continue
            self._arrives(packet, arrive, lost, now, [now + verdict.delay], "by a rule")
            return
        self._transmit(packet, arrive, lost, link, now)

    def _transmit(self, packet: Packet, arrive: Arrive, lost: Lost, link: Link, now: float) -> None:
        """Put a packet that no rule has an opinion on through its link."""
        if not packet.receiver.up:  # since it was held
            self._drop(packet, lost, now, f"{packet.receiver.name} is down")
        elif link.partitioned:
            self._drop(packet, lost, now, "partition")
        elif link.held is not None:
            link.held.append((packet, arrive, lost))
            self._note(packet, now, "held", "")
        else:
            arrivals = link.arrivals(now, len(packet.data), self._random, self._failed)
            if arrivals:
                self._arrives(packet, arrive, lost, now, arrivals, "" if len(arrivals) == 1 else "duplicated")
            else:
                self._drop(packet, lost, now, "loss")

    def _arrives(
        self, packet: Packet, arrive: Arrive, lost: Lost, now: float, arrivals: list[float], reason: str
    ) -> None:
        for when in arrivals:
            queue = self._queues.get(when)
            if queue is None:
                queue = self._queue(when)
            queue.append((arrive, packet, lost))
        self._note(packet, now, "delivered", reason, *arrivals)

    def _drop(self, packet: Packet, lost: Lost, now: float, reason: str) -> None:
        self._note(packet, now, "dropped", reason)
        if lost is not None:
            lost(packet)

    def _note(self, packet: Packet, now: float, fate: str, reason: str, *arrivals: float) -> None:
        """Log a packet, but not the packet itself: its data would stay in memory."""
        if self._later is None:
            return
        started = now if self.started is None else self.started
        self._later(
            (
                now - started,
                packet.protocol,
                packet.kind,
                packet.source,
                packet.destination,
                packet.sender.name,
                packet.receiver.name,
                len(packet.data),
                packet.number,
                packet.connection,
                fate,
                reason,
                *[when - started for when in arrivals],
            )
        )


def _is_for(host: Host, argument: Any) -> bool:
    return isinstance(argument, Packet) and argument.receiver is host


def rule_name(rule: Rule) -> str:
    """A rule's name, without the address that its ``repr`` has."""
    return str(getattr(rule, "__qualname__", type(rule).__name__))
