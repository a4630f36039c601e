"""The event log of a network: what happened, when and where, the same text for the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from ._events import Event
from ._packet_events import packet_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._events import EventKind


class EventLog:
    """The events of one network, in the order in which they happened; ``str()`` is a line for each.

    It can be iterated, indexed and sliced as a list of `Event`, also while it grows.

    Args:
      clock: What tells the time, in seconds since the network was entered.
    """

    __slots__ = ("_clock", "_entries", "later")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # What makes the event, and its arguments: most events are never looked at, so that making them,
        # and their texts, waits until somebody does. 100,000 packets a second need it.
        self._entries: list[tuple[Any, ...]] = []
        self.later: Callable[[tuple[Any, ...]], None] = self._entries.append
        """Add the event that ``entry[0](*entry[1:])`` makes. The arguments must not change any more.

        Packets are the arguments of `packet_event` without the function: numbers and texts alone the garbage
        collector need not look at, which matters with millions of them.
        """

    def add(self, host: str, kind: EventKind, text: str, /, **fields: Any) -> None:
        """Add an event that happens now.

        Args:
          host: The name of the host, ``""`` where it is on none of them.
          kind: What it is about, see `Event`.
          text: What happened. No ids or hashes of objects: they differ from run to run.
          fields: The same as simple values, for drawings.
        """
        self.later((Event, self._clock(), host, kind, text, fields))

    def note(self, text: str) -> None:
        """Add a line of your own: what a test is about to do, for example."""
        self.add("", "note", text)

    def to_mermaid(self) -> str:
        """Draw a sequence diagram as Mermaid text, which many viewers of Markdown show as a picture."""
        from ._mermaid import mermaid

        return mermaid(self)

    def to_svg(self) -> str:
        """Draw a sequence diagram on a time axis, as the text of an SVG file."""
        from ._svg import svg

        return svg(self)

    def __iter__(self) -> Iterator[Event]:
        for entry in self._entries:
            yield _event(entry)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        if isinstance(index, slice):
            return [_event(entry) for entry in self._entries[index]]
        return _event(self._entries[index])

    def __str__(self) -> str:
        return "".join(f"{event}\n" for event in self)

    def __repr__(self) -> str:
        return f"<EventLog of {len(self)} events>"


def _event(entry: tuple[Any, ...]) -> Event:
    """The event of an entry."""
    make: Callable[..., Event] | float = entry[0]
    return make(*entry[1:]) if callable(make) else packet_event(*entry)
