"""What a socket is behind its descriptors: `SimulatedSocket` has one of these, and `dup` shares it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ._addresses import error
from ._socket_options import SocketOptions

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from ._fabric import Fabric
    from ._hosts import Host
    from ._watchers import Watcher


class Core:
    """The socket of one protocol. All calls are made and done at once; none waits.

    Attributes:
      network: Where it is.
      host: On which host.
      family: As of ``socket.socket``, and so are the next two.
      type: Without ``SOCK_NONBLOCK`` and ``SOCK_CLOEXEC``.
      proto: 0 if none was asked for.
      options: What ``setsockopt`` sets.
      watchers: Its descriptors.
    """

    __slots__ = ("family", "host", "network", "options", "proto", "type", "watchers")

    def __init__(
        self,
        network: Fabric,
        host: Host,
        family: int,
        type: int,
        proto: int,
        options: SocketOptions | None = None,
    ) -> None:
        self.network = network
        self.host = host
        self.family = family
        self.type = type
        self.proto = proto
        self.options = SocketOptions(family, type, proto) if options is None else options
        self.watchers: list[Watcher] = []

    def wake_reader(self) -> None:
        """There is something to receive."""
        for watcher in self.watchers:
            watcher.wake_reader()

    def wake_writer(self) -> None:
        """There is room to send."""
        for watcher in self.watchers:
            watcher.wake_writer()

    # What the protocols do in their own ways; this is what those do that can not.

    def name(self) -> Any:
        """As ``getsockname``."""
        raise NotImplementedError

    def peer_name(self) -> Any:
        """As ``getpeername``."""
        raise error(errno.ENOTCONN)

    def bind(self, address: Any) -> None:
        """Bind to a numeric address."""
        raise NotImplementedError

    def unbind(self) -> None:
        """Take a bind back: the one who called it was cancelled."""
        raise NotImplementedError

    def connect(self, address: Any) -> None:
        """Connect to a numeric address; ``BlockingIOError`` if that has only begun."""
        raise NotImplementedError

    def listen(self, backlog: int) -> None:
        """As ``listen``."""
        raise error(errno.EOPNOTSUPP)

    def check_accept(self) -> None:
        """Raise what `accept` would."""
        raise error(errno.EOPNOTSUPP)

    def accept(self) -> tuple[Core, Any]:
        """Take a connection, of which `check_accept` has said that it is there."""
        raise error(errno.EOPNOTSUPP)

    def receive(self, max_bytes: int, *, peek: bool = False) -> bytes:
        """As ``recv``."""
        return self.receive_from(max_bytes, peek=peek)[0]

    def receive_from(self, max_bytes: int, *, peek: bool = False) -> tuple[bytes, Any, int]:
        """What was received, from whom, and how long it was before it was cut."""
        raise NotImplementedError

    def send(self, data: ReadableBuffer) -> int:
        """As ``send``."""
        raise NotImplementedError

    def send_to(self, data: ReadableBuffer, address: Any) -> int:
        """As ``sendto`` with a numeric address."""
        raise NotImplementedError

    def shut_down(self, *, read: bool, write: bool) -> None:
        """As ``shutdown``."""
        raise NotImplementedError

    def is_readable(self) -> bool:
        """Whether a receive, or an accept, would do something."""
        raise NotImplementedError

    def is_writable(self) -> bool:
        """Whether a send would do something."""
        return True

    def may_send_again(self) -> bool:
        """The same for the send that was just refused for want of room."""
        return self.is_writable()

    def take_error(self) -> int:
        """As ``SO_ERROR``: the errno that waits to be raised, which then waits no more."""
        return 0

    def is_listening(self) -> bool:
        """As ``SO_ACCEPTCONN``."""
        return False

    def unsent_bytes(self) -> int:
        """As ``SIOCOUTQ``."""
        return 0

    def options_changed(self) -> None:
        """``setsockopt`` was called."""

    def is_bound(self) -> bool:
        """Whether some options can not be changed any more."""
        return False

    def close(self) -> None:
        """The last descriptor was closed."""
        raise NotImplementedError

    def vanish(self) -> None:
        """The host has crashed: no peer is told."""
        raise NotImplementedError
