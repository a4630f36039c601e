"""`DatagramRequestHandler`: a handler with ``packet``, ``rfile`` and ``wfile``."""

from __future__ import annotations

import logging
from io import BytesIO
from typing import TYPE_CHECKING, Any, Generic

import trio

from .._servers.in_place import DONE, either_way, in_place
from .._transports.addresses import format_address
from .._transports.datagram_errors import PEER_ERRORS
from .._transports.datagram_socket import Datagram, DatagramSocket
from .base import BaseRequestHandler

if TYPE_CHECKING:
    from collections.abc import Generator

    from typing_extensions import TypeVar

    from .._servers.base import BaseServer
    from .._vocabulary.reports import Timeout

    ServerT = TypeVar("ServerT", bound=BaseServer[Any], default=BaseServer[Any])

    # It is a BaseRequestHandler. But a checker would then refuse methods that are a plain ``def`` here, since
    # those of that class are async; so to a checker it is a class beside that one.
    class _Base(Generic[ServerT]):
        finish_timeout: float
        request: Datagram
        client_address: Any
        server: ServerT

        @property
        def timeouts(self) -> tuple[Timeout, ...]: ...

        def __await__(self) -> Generator[Any, Any, None]: ...

        async def _finish_shielded(self) -> None: ...

else:
    from typing import TypeVar

    ServerT = TypeVar("ServerT")
    _Base = BaseRequestHandler[Datagram, ServerT]

logger = logging.getLogger("trioserver")


class DatagramRequestHandler(_Base[ServerT]):
    """A handler for datagram servers: what was written to ``self.wfile`` goes back as one datagram.

    ::

        class Upper(trioserver.DatagramRequestHandler):
            async def handle(self):
                self.wfile.write(self.rfile.read().upper())

    Its methods may as well be plain ``def``, all of those that are overridden: then they are called in place,
    without a task, and must not block; see `DatagramServer`.

    A checker knows the type of ``self.server`` where it is named: ``DatagramRequestHandler[MyServer]``.

    Class variables, to be overridden:
      finish_timeout: Seconds that `finish` may take once the request is cancelled; 5.

    Attributes:
      request: The `Datagram`.
      packet: What it carries, bytes.
      socket: A `DatagramSocket`, to reply through now or later.
    """

    _serves = "datagrams"

    packet: bytes
    socket: DatagramSocket

    _rfile: BytesIO | None = None
    _wfile: BytesIO | None = None
    _called_in_place = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._called_in_place = in_place(cls) is not None

    def __init__(self, request: Datagram, client_address: Any, server: ServerT) -> None:
        # Without super().__init__(), which for a datagram would be a tenth of the work around it.
        self.request = request
        self.client_address = client_address
        self.server = server
        self.packet, self.socket = request

    @property
    def truncated(self) -> bool:
        """Whether the datagram was longer than the server's ``max_packet_size``, and cut."""
        return self.request.truncated

    # Made when they are first used: a handler that replies by itself needs neither.

    @property
    def rfile(self) -> BytesIO:
        """The packet, to be read as a file."""
        if self._rfile is None:
            self._rfile = BytesIO(self.packet)
        return self._rfile

    @rfile.setter
    def rfile(self, file: BytesIO) -> None:
        self._rfile = file

    @property
    def wfile(self) -> BytesIO:
        """Where to write the reply, which `finish` sends."""
        if self._wfile is None:
            self._wfile = BytesIO()
        return self._wfile

    @wfile.setter
    def wfile(self, file: BytesIO) -> None:
        self._wfile = file

    async def _serve(self) -> None:
        ours = DatagramRequestHandler
        if type(self).setup is not ours.setup:
            await self.setup()
        try:
            await self.handle()
        finally:
            if type(self).finish is not ours.finish:
                await self._finish_shielded()
            elif (reply := self._reply()) and not self._send_nowait(reply):
                await self._finish_shielded()  # only where it has to wait does it need what that costs

    # What these return may be awaited, and need not be.

    @either_way(has_effect=False)
    def setup(self) -> Any:
        """Called before `handle`. Nothing by default. If it raises, the others are not called."""
        return DONE

    @either_way(has_effect=False)
    def handle(self) -> Any:
        """Serve the datagram. Nothing by default. An ``async def``, or a ``def`` that does not block."""
        return DONE

    @either_way(has_effect=True)
    def finish(self) -> Any:
        """Send what was written to ``wfile``, if anything was; to be awaited, unless it is called in place.

        A client that is gone, can not be reached, or has no name to reply to is no error: it is one line
        at level DEBUG. (The stdlib sends an empty datagram where there is no reply.) Where the kernel has no
        room it waits; in place it does not, and the reply is lost and counted.
        """
        reply = self._reply()
        if not reply or self._send_nowait(reply):
            return DONE
        if self._called_in_place:
            self.socket.losses.replies += 1
            return DONE
        return self._send(reply)

    def _reply(self) -> bytes:
        wfile = self._wfile
        return wfile.getvalue() if wfile is not None and self.client_address else b""

    def _send_nowait(self, reply: bytes) -> bool:
        """Send the reply; false if there is no room."""
        try:
            self.socket.sendto_nowait(reply, self.client_address)
        except trio.WouldBlock:
            return False
        except OSError as error:
            self._report(error)
        return True

    async def _send(self, reply: bytes) -> None:
        """Send the reply, waiting for room."""
        try:
            await self.socket.sendto(reply, self.client_address)
        except OSError as error:
            self._report(error)

    def _report(self, error: OSError) -> None:
        if error.errno not in PEER_ERRORS:
            raise error
        logger.debug("Reply to %s: %s: %s", format_address(self.client_address), type(error).__name__, error)
