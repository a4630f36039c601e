"""What a test's client has received, and how the stream has ended."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

RECEIVE_BYTES: Final = 65536


class End(enum.Enum):
    """How a stream has ended."""

    CLOSED = "the server closed the connection"
    RESET = "the server reset the connection"
    BROKEN = "the connection broke"
    LATE = "nothing more came in time"


class Incoming:
    """The receiving half of a stream, with what nobody has asked for yet.

    Attributes:
      data: What has come.
      end: How the stream has ended, or None.
    """

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self.data = bytearray()
        self.end: End | None = None
        self._stream = stream
        self._error: trio.BrokenResourceError | None = None

    def take(self, count: int) -> bytes:
        """Take at most so many bytes out."""
        taken = bytes(self.data[:count])
        del self.data[:count]
        return taken

    async def fill(
        self, enough: Callable[[bytearray], bool], deadline: float, *, max_bytes: int = RECEIVE_BYTES
    ) -> End | None:
        """Receive until there is ``enough``; else why it did not come to that."""
        while not enough(self.data):
            if self.end is not None:
                return self.end
            with trio.move_on_at(deadline) as scope:
                try:
                    received = await self._stream.receive_some(max_bytes)
                except trio.BrokenResourceError as error:
                    self._error = error
                    self.end = End.RESET if _is_reset(error) else End.BROKEN
                    continue
                self.data += received
                if not received:
                    self.end = End.CLOSED
            if scope.cancelled_caught:
                return End.LATE
        return None

    def describe(self, end: End, timeout: float) -> str:
        """A clause that says why no more came."""
        if end is End.LATE:
            return f"nothing more came for {timeout:g} s"
        return f"{end.value}: {self._error}" if end is End.BROKEN else end.value


def _is_reset(error: BaseException) -> bool:
    """Whether a connection broke because the peer reset it, however many layers above that was noticed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionResetError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
