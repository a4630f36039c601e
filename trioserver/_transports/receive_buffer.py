"""The bytes that were received and not yet read: pure, without I/O, so that it can be tested as a value."""

from __future__ import annotations

from typing import Final

_MOST_PARTS: Final = 256
"""Parts that may wait to be joined: each has an overhead, and a peer may send them two bytes at a time."""


class ReceiveBuffer:
    """A queue of bytes with a position, so that taking from its front copies only what is taken.

    What is added to bytes that are there is joined to them when it is looked at, not before: a large block
    that comes in many parts is not copied again for each of them.

    Attributes:
      size: How many bytes there are. Only to be read.
    """

    __slots__ = ("_data", "_more", "_start", "size")

    def __init__(self) -> None:
        self._data: bytes = b""
        self._start = 0
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
        self._data = data
        self._start = 0
        self.size = len(data)

    def _join(self, more: list[bytes]) -> None:
        self._data = b"".join([self._data[self._start :], *more])
        self._start = 0
        self._more = None

    def take(self, count: int) -> bytes:
        """Take at most ``count`` bytes off the front."""
        if self._more is not None:
            self._join(self._more)
        data, start = self._data, self._start
        if count >= self.size:
            self._data = b""
            self._start = self.size = 0
            return data[start:] if start else data
        self._start = start + count
        self.size -= count
        return data[start : start + count]

    def take_until(self, separator: bytes, limit: int, skip: int = 0) -> bytes | None:
        """Take what is in front of and including ``separator``.

        Returns ``None``, and takes nothing, where no separator *ends* within the first ``limit`` bytes. The
        first ``skip`` bytes were searched before, so that a line in small pieces is not searched again for
        each of them.
        """
        if self._more is not None:
            self._join(self._more)
        start = self._start
        at = self._data.find(separator, start + skip, start + limit)
        if at < 0:
            return None
        # As `take`, without the call: it is made for every line of a client that pipelines.
        end = at + len(separator)
        taken = self._data[start:end]
        self.size -= end - start
        if self.size:
            self._start = end
        else:
            self._data = b""
            self._start = 0
        return taken
