"""The bytes that were received and not yet read: pure, without I/O, so that it can be tested as a value."""

from __future__ import annotations

from io import BytesIO
from typing import Final

_MOST_PARTS: Final = 256
"""Parts that may wait to be joined: each has an overhead, and a peer may send them two bytes at a time."""

_NOTHING: Final = BytesIO()
"""What an empty buffer reads from; nobody writes to it."""


class ReceiveBuffer:
    """A queue of bytes with a position, so that taking from its front copies only what is taken.

    What is added to bytes that are there is joined to them when it is looked at, not before: a large block
    that comes in many parts is not copied again for each of them.

    Attributes:
      size: How many bytes there are. Only to be read.
    """

    # A BytesIO that is only read from has the bytes that it was made of, not a copy; and its `readline` finds
    # and takes a line in one call, which is made for every line of a client that pipelines.
    __slots__ = ("_bytes", "_more", "size")

    def __init__(self) -> None:
        self._bytes = _NOTHING
        self._more: list[bytes] | None = None
        self.size: int = 0

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        if self.size:
            self.size += len(data)
            if self._more is None:
                self._more = [data]
            else:
                self._more.append(data)
                if len(self._more) == _MOST_PARTS:
                    self._join(self._more)
            return
        self._bytes = BytesIO(data)
        self.size = len(data)

    def _join(self, more: list[bytes]) -> None:
        self._bytes = BytesIO(b"".join([self._bytes.read(), *more]))
        self._more = None

    def take(self, count: int) -> bytes:
        """Take at most ``count`` bytes off the front."""
        if self._more is not None:
            self._join(self._more)
        taken = self._bytes.read(count if count < self.size else -1)
        self.size -= len(taken)
        if not self.size:
            self._bytes = _NOTHING
        return taken

    def take_line(self, limit: int) -> bytes:
        """Take a line of at most ``limit`` bytes, its newline included.

        ``b""``, and nothing is taken, where there is none, or it did not come in one piece.
        """
        taken = self._bytes.readline(limit if limit < self.size else -1)
        if taken.endswith(b"\n"):
            self.size -= len(taken)
            if not self.size:
                self._bytes = _NOTHING
            return taken
        self._bytes.seek(-len(taken), 1)
        return b""

    def take_until(self, separator: bytes, limit: int, skip: int = 0) -> bytes | None:
        """Take what is in front of and including ``separator``.

        Returns ``None``, and takes nothing, where no separator *ends* within the first ``limit`` bytes. The
        first ``skip`` bytes were searched before, so that a line in small pieces is not searched again for
        each of them.
        """
        if self._more is not None:
            self._join(self._more)
        if separator == b"\n" and not skip:
            return self.take_line(limit) or None
        start = self._bytes.tell()
        at = self._bytes.getvalue().find(separator, start + skip, start + limit)
        if at < 0:
            return None
        return self.take(at + len(separator) - start)
