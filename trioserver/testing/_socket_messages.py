"""Sending and receiving on simulated sockets, in all the ways that ``socket.socket`` has."""

from __future__ import annotations

import errno
import operator
import socket
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio

from ._addresses import error
from ._socket_endpoint import EndpointMethods

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from _typeshed import ReadableBuffer, WriteableBuffer

T = TypeVar("T")

_KNOWN_FLAGS: Final = (
    socket.MSG_PEEK
    | getattr(socket, "MSG_DONTWAIT", 0)
    | getattr(socket, "MSG_NOSIGNAL", 0)
    | getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    | getattr(socket, "MSG_MORE", 0)
    | socket.MSG_TRUNC
    | socket.MSG_WAITALL  # which does nothing for those who do not block
)


def _check_flags(flags: int) -> bool:
    """Raise what the system does for unknown flags; returns whether one of them is ``MSG_PEEK``."""
    if flags & socket.MSG_OOB:
        raise error(errno.EINVAL)  # there is no urgent data
    if flags & ~_KNOWN_FLAGS:
        raise error(errno.EOPNOTSUPP)
    return bool(flags & socket.MSG_PEEK)


class Messages(EndpointMethods):
    """The part of `SimulatedSocket` that sends and receives."""

    # trio's ways to wait: a try first, which is a checkpoint when it does not wait.

    async def _attempt(
        self, wait: Callable[[], Awaitable[None]], function: Callable[..., T], *args: Any
    ) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            result = function(*args)
        except BlockingIOError:
            pass
        except BaseException:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return result
        while True:
            await wait()
            try:
                return function(*args)
            except BlockingIOError:
                pass

    async def _when_readable(self, function: Callable[..., T], *args: Any) -> T:
        return await self._attempt(self.wait_readable, function, *args)

    # Receiving.

    def _receive_from(self, max_bytes: int, flags: int) -> tuple[bytes, Any, int]:
        max_bytes = operator.index(max_bytes)
        if max_bytes < 0:
            raise ValueError("negative buffersize in recv")
        core = self._opened()
        return core.receive_from(max_bytes, peek=_check_flags(flags) if flags else False)

    def _receive(self, max_bytes: int, flags: int) -> bytes:
        max_bytes = operator.index(max_bytes)
        if max_bytes < 0:
            raise ValueError("negative buffersize in recv")
        core = self._opened()
        return core.receive(max_bytes, peek=_check_flags(flags) if flags else False)

    async def recv(self, buflen: int, flags: int = 0, /) -> bytes:
        """Receive at most so many bytes; ``b""`` is the end of a stream."""
        if buflen == 0:  # Python does not ask the system then
            await trio.lowlevel.checkpoint()
            return b""
        return await self._attempt(self.wait_readable, self._receive, buflen, flags)

    async def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer; returns how many bytes."""
        return (await self.recvfrom_into(buffer, nbytes, flags))[0]

    async def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """Receive, and tell from whom."""
        return (await self._when_readable(self._receive_from, bufsize, flags))[:2]

    async def recvfrom_into(
        self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0
    ) -> tuple[int, Any]:
        """Receive into a buffer; returns how many bytes, and from whom."""
        view = memoryview(buffer).cast("B")
        if nbytes < 0 or nbytes > len(view):
            raise ValueError("the buffer is too small for the requested bytes, or their number is negative")
        if view.readonly:
            raise TypeError(f"the buffer must be one that can be written to, not {type(buffer).__name__}")
        if not view:
            await trio.lowlevel.checkpoint()
            return 0, None
        got = await self._when_readable(self._receive_from, nbytes or len(view), flags)
        data, address, length = got
        view[: len(data)] = data
        return length if flags & socket.MSG_TRUNC else len(data), address

    async def recvmsg(
        self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
        """Receive; there is no ancillary data. The third says whether a datagram was cut: ``MSG_TRUNC``."""
        data, address, length = await self._when_readable(self._receive_from, bufsize, flags)
        return data, [], socket.MSG_TRUNC if length > len(data) else 0, address

    async def recvmsg_into(
        self, buffers: Iterable[WriteableBuffer], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[tuple[int, int, bytes]], int, Any]:
        """The same into several buffers, one after the other."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        data, ancillary, how, address = await self.recvmsg(sum(map(len, views)), ancbufsize, flags)
        rest = data
        for view in views:
            part, rest = rest[: len(view)], rest[len(view) :]
            view[: len(part)] = part
        return len(data), ancillary, how, address

    # Sending.

    def _send(self, data: ReadableBuffer, flags: int) -> int:
        core = self._opened()
        if flags:
            _check_flags(flags)
        return core.send(data)

    def _send_to(self, data: ReadableBuffer, flags: int, address: Any) -> int:
        core = self._opened()
        if flags:
            _check_flags(flags)
        return core.send_to(data, address)

    async def send(self, bytes: ReadableBuffer, flags: int = 0, /) -> int:
        """Send what there is room for, at least a byte; returns how many bytes that were."""
        return await self._attempt(self._wait_to_send_again, self._send, bytes, flags)

    async def sendto(self, *args: Any) -> int:
        """Send a datagram: ``sendto(data, address)`` or ``sendto(data, flags, address)``."""
        if len(args) not in (2, 3):
            raise TypeError(f"sendto() takes 2 or 3 arguments ({len(args)} given)")
        address = await self._resolve(args[-1], local=False)
        flags = args[1] if len(args) == 3 else 0
        return await self._attempt(self._wait_to_send_again, self._send_to, args[0], flags, address)

    async def sendmsg(
        self,
        buffers: Iterable[ReadableBuffer],
        ancdata: Iterable[tuple[int, int, ReadableBuffer]] = (),
        flags: int = 0,
        address: Any = None,
        /,
    ) -> int:
        """Send the content of several buffers as one. There is no ancillary data: it is ``EINVAL``."""
        if list(ancdata):
            raise error(errno.EINVAL)
        data = b"".join(memoryview(buffer).cast("B") for buffer in buffers)
        return await (self.send(data, flags) if address is None else self.sendto(data, flags, address))
