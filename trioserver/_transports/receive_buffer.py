"""The bytes that were received and not yet read: pure, without I/O, so that it can be tested as a value."""

from __future__ import annotations


class ReceiveBuffer:
    """A queue of bytes with a position, so that taking from its front copies only what is taken.

    It remembers how far a search for a separator got, so that a long line which comes in small pieces is
    searched once and not once a piece.
    """

    __slots__ = ("_data", "_searched", "_start")

    def __init__(self) -> None:
        self._data = b""
        self._start = 0
        self._searched = 0

    def __len__(self) -> int:
        return len(self._data) - self._start

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        start = self._start
        if start == len(self._data):
            self._data = data
            self._searched = 0
        else:
            self._data = self._data[start:] + data
            self._searched -= start
        self._start = 0

    def take(self, count: int) -> bytes:
        """Take at most ``count`` bytes off the front."""
        data, start = self._data, self._start
        end = start + count
        if end >= len(data):
            self._data = b""
            self._start = self._searched = 0
            return data[start:] if start else data
        self._start = end
        self._searched = max(self._searched, end)
        return data[start:end]

    def take_until(self, separator: bytes, limit: int) -> bytes | None:
        """Take what is in front of and including ``separator``.

        Returns ``None``, and takes nothing, where no separator *ends* within the first ``limit`` bytes.
        """
        start = self._start
        end = start + limit
        at = self._data.find(separator, max(start, self._searched), end)
        if at < 0:
            # The next search begins where a separator that is cut in two might.
            self._searched = max(start, min(end, len(self._data)) - len(separator) + 1)
            return None
        return self.take(at + len(separator) - start)

    def restart_search(self) -> None:
        """Forget how far the last search got: the next one is for something else."""
        self._searched = self._start
