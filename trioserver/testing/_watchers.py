"""Who is told what happens to a socket."""

from __future__ import annotations

from typing import Final, Protocol


class Watcher(Protocol):
    """Who wants to know what happens to a socket."""

    def wake_reader(self) -> None:
        """There is something to receive: data, the end, an error, a connection."""

    def wake_writer(self) -> None:
        """There is room to send, or an error."""


class _Nobody:
    """The watcher of a connection that nobody has accepted yet, or that was closed."""

    __slots__ = ()

    def wake_reader(self) -> None:
        """Nobody waits."""

    wake_writer = wake_reader


NOBODY: Final = _Nobody()
