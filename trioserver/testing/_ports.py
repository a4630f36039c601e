"""Which socket has which port: the rules by which Linux lets sockets share one.

They are those of ``inet_csk_bind_conflict`` and ``udp_lib_lport_inuse`` in the kernel, see also socket(7):
two sockets on one port conflict when their addresses overlap, unless both have ``SO_REUSEPORT``, or both have
``SO_REUSEADDR`` and neither listens.
"""

from __future__ import annotations

import errno
import zlib
from typing import TYPE_CHECKING, Any, Final

from ._addresses import ANY4, ANY6, error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._addresses import IPAddress

FIRST_EPHEMERAL_PORT: Final = 49152
"""RFC 6335 section 6: 49152 to 65535 are for whoever asks for any port."""
LAST_PORT: Final = 65535


class Binding:
    """A socket's hold on a port.

    Attributes:
      host: The address as packets have it.
      port: The port.
      dual: Whether ``::`` means the addresses of IPv4, too: it is not ``IPV6_V6ONLY``.
      owner: Whose it is; None once only TIME_WAIT keeps it.
      automatic: Whether connect chose the port: others may choose the same for another destination.
      listening: Whether it is a TCP socket that listens.
    """

    __slots__ = ("automatic", "dual", "host", "listening", "owner", "port", "reuse_address", "reuse_port")

    def __init__(
        self, owner: Any, host: str, port: int, *, dual: bool, reuse_address: bool, reuse_port: bool
    ) -> None:
        self.owner = owner
        self.host = host
        self.port = port
        self.dual = dual
        self.reuse_address = reuse_address
        self.reuse_port = reuse_port
        self.automatic = False
        self.listening = False

    @property
    def address(self) -> IPAddress:
        """The address as packets have it."""
        return self.host, self.port

    def covers(self, host: str) -> int:
        """How closely this fits a packet to ``host``: 0 is not at all, a single address is the closest."""
        if self.host == host:
            return 3
        if ":" in host:
            return 2 if self.host == ANY6 else 0
        if self.host == ANY4:
            return 2
        return 1 if self.host == ANY6 and self.dual else 0

    def overlaps(self, other: Binding) -> bool:
        """Whether there is an address that both have."""
        return bool(self.covers(other.host) or other.covers(self.host))

    def may_share_with(self, other: Binding) -> bool:
        """Whether the options of both let this one have the port that the other has."""
        if self.reuse_port and other.reuse_port:
            return True
        return self.reuse_address and other.reuse_address and not other.listening


class PortTable:
    """The ports of one protocol on one host."""

    __slots__ = ("_bound", "_next", "_receivers")

    def __init__(self) -> None:
        # Dicts and not sets: iterated in the order of binding, which is the same in every run.
        self._bound: dict[int, dict[Binding, None]] = {}
        self._receivers: dict[int, dict[Binding, None]] = {}
        self._next = FIRST_EPHEMERAL_PORT

    def bind(self, binding: Binding) -> None:
        """Take the port, or for port 0 the next that is free.

        Raises:
          OSError: ``EADDRINUSE``.
        """
        if binding.port == 0:
            binding.port = self._next_port(lambda port: not self._bound.get(port))
        elif self._conflicts(binding):
            raise error(errno.EADDRINUSE)
        self.add(binding)

    def bind_automatically(self, binding: Binding, usable: Callable[[int], bool]) -> None:
        """Take a port that nobody has asked for by number, and that is ``usable``, as connect does.

        Raises:
          OSError: ``EADDRNOTAVAIL`` when there is none.
        """
        binding.automatic = True

        def free(port: int) -> bool:
            others: Iterable[Binding] = self._bound.get(port, ())
            return all(other.automatic for other in others) and usable(port)

        binding.port = self._next_port(free, errno.EADDRNOTAVAIL)
        self.add(binding)

    def _next_port(self, usable: Callable[[int], bool], number: int = errno.EADDRINUSE) -> int:
        for _ in range(LAST_PORT - FIRST_EPHEMERAL_PORT + 1):
            port = self._next
            self._next = port + 1 if port < LAST_PORT else FIRST_EPHEMERAL_PORT
            if usable(port):
                return port
        raise error(number)

    def _conflicts(self, binding: Binding) -> bool:
        return any(
            other is not binding and other.overlaps(binding) and not binding.may_share_with(other)
            for other in self._bound.get(binding.port, ())
        )

    def add(self, binding: Binding) -> None:
        """Note a binding without asking: that of an accepted connection has the port of its listener."""
        self._bound.setdefault(binding.port, {})[binding] = None

    def release(self, binding: Binding) -> None:
        """Give the port back; twice is fine."""
        for table in (self._bound, self._receivers):
            holders = table.get(binding.port)
            if holders is not None and holders.pop(binding, holders) is None and not holders:
                del table[binding.port]

    def receive(self, binding: Binding) -> None:
        """Let `find` find it: a UDP socket that is bound, a TCP socket that listens from now on.

        Raises:
          OSError: ``EADDRINUSE``: another listens there already.
        """
        if binding.listening and self._conflicts(binding):
            raise error(errno.EADDRINUSE)
        self._receivers.setdefault(binding.port, {})[binding] = None

    def find(
        self, address: IPAddress, source: IPAddress, accepts: Callable[[Binding], int] | None = None
    ) -> Binding | None:
        """Who gets what comes from ``source`` for ``address``.

        The closest fit; of those that share a port with ``SO_REUSEPORT``, the one that the sender's address
        chooses, always the same for the same sender; otherwise the one that was bound last.

        Args:
          address: Where it goes.
          source: Where it comes from.
          accepts: Asked of each that fits: 0 if it does not want it, more if it is closer than its address.
        """
        host, port = address
        best: list[Binding] = []
        best_score = 0
        for binding in self._receivers.get(port, ()):
            score = binding.covers(host)
            if score and accepts is not None:
                more = accepts(binding)
                score = score + more if more else 0
            if score > best_score:
                best, best_score = [binding], score
            elif score and score == best_score:
                best.append(binding)
        if len(best) < 2:
            return best[0] if best else None
        if best[-1].reuse_port:
            group = [binding for binding in best if binding.reuse_port]
            return group[zlib.crc32(f"{source[0]} {source[1]}".encode()) % len(group)]
        return best[-1]
