"""`SimulatedSocket`: what ``trio.socket.socket()`` makes while a `Network` is installed."""

# Sockets are in two halves. What a program holds is a descriptor: tasks wait for it, in trio's way. Behind it
# is a core, which does everything at once and never waits; packets and timers call it from the wire.
#
#   _sockets.py                 names, connecting, accepting, closing
#   _socket_messages.py         sending and receiving, with checkpoints
#   _socket_endpoint.py         the same without, for trioserver
#   _socket_names.py            addresses and options
#   _descriptors.py             waiting
#   _socket_kinds.py            which core it gets
#   _tcp.py, _tcp_transfer.py   TCP sockets; each has a listener or a connection
#   _tcp_listener.py            the backlog
#   _tcp_connection.py          a connection, on _handshake, _receiving, _sending, _resending and _state
#   _udp.py                     UDP sockets
#   _unix_streams.py, _unix_pairs.py, _unix_datagrams.py, _unix_names.py
#   _ip_cores.py, _cores.py     what they have in common
#   _routes.py, _ports.py, _socket_options.py, _addresses.py, _watchers.py

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any, Final

import trio

from trioserver import format_address

from ._addresses import AF_UNIX, error
from ._socket_kinds import make_core
from ._socket_messages import Messages
from ._socket_names import Bound, is_numeric

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._fabric import Fabric
    from ._hosts import Host

_DEFAULT_BACKLOG: Final = min(socket.SOMAXCONN, 128)


class SimulatedSocket(Messages):
    """A socket on a simulated network: trio's socket and an endpoint of trioserver's in one.

    What it does, and what errors it raises, is what sockets do on Linux; its methods keep trio's rules: each
    that is awaited is a checkpoint, and when it was cancelled nothing was done.

    Args:
      network: Where it is.
      host: On which host.
      family: ``AF_INET``, ``AF_INET6`` or ``AF_UNIX``.
      type: ``SOCK_STREAM`` or ``SOCK_DGRAM``.
      proto: 0, or the one that goes with them.

    Raises:
      OSError: ``EAFNOSUPPORT``, ``ESOCKTNOSUPPORT``, ``EPROTONOSUPPORT`` for others; ``EMFILE`` if the host
        has ``max_fds`` sockets already; ``ENETDOWN`` if it has crashed.
    """

    def __init__(
        self,
        network: Fabric,
        host: Host,
        family: int = -1,
        type: int = -1,
        proto: int = -1,
        /,
        *,
        core: Any = None,
    ) -> None:
        if core is None:
            core = make_core(network, host, family, type, proto)
        super().__init__(network, host)
        if core is not PENDING:
            self._open(core)

    def __repr__(self) -> str:
        core = self._core
        if core is None:
            return "<SimulatedSocket closed>"
        kind = f"{self.family.name} {self.type.name}"
        return f"<SimulatedSocket {self._fd} {kind} on {self.host.name} {format_address(core.name())}>"

    @property
    def _sock(self) -> SimulatedSocket:
        """What anyio asks trio's sockets for the addresses of."""
        return self

    def __enter__(self) -> SimulatedSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Names.

    def bind(self, address: Any) -> Awaitable[None]:  # type: ignore[override]
        """Bind: at once where the address is numeric, when it is awaited where a name is to be looked up.

        So it is trio's ``await sock.bind(...)``, and the ``bind`` of an endpoint, which is not awaited.
        Cancellation: then it is not bound.
        """
        core = self._opened()
        if core.family == AF_UNIX or is_numeric(core.family, address):
            core.bind(self._numeric(core, address))
            return Bound(core)
        return self._resolve_and_bind(address)

    async def _resolve_and_bind(self, address: Any) -> None:
        address = await self._resolve(address, local=True)
        await trio.lowlevel.checkpoint()
        self._opened().bind(address)

    def listen(self, backlog: int = _DEFAULT_BACKLOG) -> None:
        """As ``socket.socket.listen``."""
        self._opened().listen(backlog)

    async def connect(self, address: Any) -> None:
        """As trio's: connect, looking up a name if need be.

        Cancellation: the socket is closed, since nobody could tell what has become of it.
        """
        try:
            address = await self._resolve(address, local=False)
            await trio.lowlevel.checkpoint_if_cancelled()
            core = self._opened()
            try:
                core.connect(address)
            except BlockingIOError:
                pass  # begun; or what a Unix socket says of a full backlog, which trio takes for the same
            except OSError:
                await trio.lowlevel.cancel_shielded_checkpoint()
                raise
            else:
                await trio.lowlevel.cancel_shielded_checkpoint()
                return
            await self._writing.wait(core.is_writable)
            while not core.is_writable():
                await self._writing.wait(core.is_writable)
        except trio.Cancelled:
            self.close()
            raise
        number = core.take_error()
        if number:
            raise OSError(number, f"Error connecting to {address!r}: {os.strerror(number)}")

    # Accepting.

    def accept_nowait(self) -> tuple[SimulatedSocket, Any]:
        """Take a connection off the backlog.

        Raises:
          OSError: What accept(2) says; ``EMFILE`` leaves the connection in the backlog.
          BlockingIOError: There is none.
        """
        core = self._opened()
        core.check_accept()
        accepted = SimulatedSocket(self.network, self.host, core=PENDING)
        own, address = core.accept()
        accepted._open(own)
        return accepted, address

    async def accept(self) -> tuple[SimulatedSocket, Any]:
        """Take a connection off the backlog, waiting if there is none."""
        return await self._when_readable(self.accept_nowait)

    def dup(self) -> SimulatedSocket:
        """Another descriptor for the same socket."""
        return SimulatedSocket(self.network, self.host, core=self._opened())

    # Closing.

    def shutdown(self, flag: int) -> None:
        """Close one half or both, as ``socket.socket.shutdown``."""
        core = self._opened()
        if flag not in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            raise error(errno.EINVAL)
        core.shut_down(read=flag != socket.SHUT_WR, write=flag != socket.SHUT_RD)
        if flag != socket.SHUT_RD:
            self._did_shutdown_write = True

    def detach(self) -> int:
        """Not possible: there is no descriptor to give away.

        Raises:
          OSError: Always.
        """
        raise OSError(errno.EOPNOTSUPP, "a simulated socket has no descriptor that could be detached")


PENDING: Final = object()
"""For a socket that gets its core when there is a descriptor for it."""
