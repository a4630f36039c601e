"""`SocketServer`: what stream servers and datagram servers have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from .._vocabulary.errors import LifecycleError
from .base import BaseServer
from .hooks import RequestT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import TypeVar

    from .._transports.adopt import Adoptable
    from .._transports.listeners import SocketGroup

    GroupT = TypeVar("GroupT", bound=SocketGroup[Any], default=SocketGroup[Any])
else:
    from typing import TypeVar

    GroupT = TypeVar("GroupT")


class SocketServer(BaseServer[RequestT], Generic[RequestT, GroupT]):
    """A server on one socket or several."""

    socket_type: int

    _group: GroupT | None = None
    _sock: Adoptable | Iterable[Adoptable] | None = None

    async def server_bind(self) -> None:
        """Bind the sockets, or adopt the one given; then ``server_address`` is the real address."""
        if self._group is not None:
            raise LifecycleError("server_bind() was called already: the server has its socket")
        group = await self._make_group()
        try:
            self._check_sockets(group.sockets)
        except BaseException:
            group.close()
            raise
        self._group = group
        self.server_address: Any = group.addresses[0]

    async def _make_group(self) -> GroupT:
        """Bind sockets to ``server_address``, or adopt ``_sock``."""
        raise NotImplementedError

    def _check_sockets(self, sockets: tuple[Any, ...]) -> None:
        """Raise ConfigError where requests can not be served on such sockets, once they are bound."""

    def _bound(self) -> GroupT:
        if self._group is not None:
            return self._group
        raise LifecycleError(
            "the server has no socket yet: enter it with `async with`, serve it, or call server_bind()"
        )

    @property
    def sockets(self) -> tuple[Any, ...]:
        """The sockets; empty while there are none. Do not accept or receive from them, nor close them."""
        return self._group.sockets if self._group is not None else ()

    @property
    def socket(self) -> Any:
        """The (first) socket, for its options: SO_RCVBUF, SO_BROADCAST, IP_ADD_MEMBERSHIP.

        Raises:
          LifecycleError: The server is not bound.
        """
        return self._bound().sockets[0]

    @property
    def server_addresses(self) -> tuple[Any, ...]:
        """The addresses of all sockets; empty while there are none."""
        return self._group.addresses if self._group is not None else ()

    def fileno(self) -> int:
        """The descriptor of the (first) socket; -1 while there is none."""
        return int(self._group.sockets[0].fileno()) if self._group is not None else -1
