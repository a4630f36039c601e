"""Packets as arrows: runs of packets that follow each other become one."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._events import Event

IN_RUNS = {"DATA", "DATAGRAM"}
"""What comes in such numbers that several are drawn as one arrow."""
PAUSE = 0.1
"""Seconds between two packets after which they are no run any more. TCP sends again after 0.2 s or later."""


@dataclass(slots=True)
class Arrow:
    """One packet or several."""

    time: float
    """When the first was sent."""
    source: str
    destination: str
    fate: str
    reason: str
    kind: str
    connection: int | None
    first_arrival: float | None
    """None for what is dropped or held."""
    arrival: float | None
    """When the last arrives."""
    last: float
    """When the last was sent."""
    count: int = 1
    size: int = 0
    texts: list[str] = field(default_factory=list)
    """The log's own words for the first few of them."""
    seen: tuple[int, ...] = ()
    """How much had happened at its hosts when the last was sent."""
    place: int = 0
    """Its place in the order of all that is drawn."""

    @property
    def label(self) -> str:
        """What it says beside the arrow."""
        if self.count == 1:
            text = f"{self.kind} {self.size} bytes" if self.size or self.kind in IN_RUNS else self.kind
        else:
            text = f"{self.count} {self.kind or 'packets'}, {self.size:,} bytes"
        if self.connection is not None:
            text = f"#{self.connection} {text}"
        more = [self.fate] if self.fate != "delivered" else []
        if self.reason:
            more.append(self.reason)
        return f"{text} ({': '.join(more)})" if more else text

    def join(self, other: Arrow, *, briefly: bool = False) -> None:
        """Take another one in, which was sent later; ``briefly``: it is drawn as the first alone would be."""
        self.count += other.count
        self.size += other.size
        if not briefly:
            self.last = other.last
            if other.arrival is not None:
                self.arrival = max(other.arrival, self.arrival or 0.0)
        if self.kind != other.kind:
            self.kind = ""
        if self.connection != other.connection:
            self.connection = None
        self.texts += other.texts[: MOST_TEXTS - len(self.texts)]


MOST_TEXTS = 5


def arrows_of(event: Event) -> list[Arrow]:
    """The arrow of one packet; and one for each copy that duplication made of it."""
    fields: dict[str, Any] = event.fields
    arrow = Arrow(
        time=event.time,
        source=str(fields.get("source", event.host)),
        destination=str(fields.get("destination", event.host)),
        fate=str(fields.get("fate", "delivered")),
        reason=str(fields.get("reason") or ""),
        kind=str(fields.get("packet", "")),
        connection=fields.get("connection"),
        first_arrival=fields.get("arrival"),
        arrival=fields.get("arrival"),
        last=event.time,
        size=int(fields.get("size", 0)),
        texts=[event.text],
    )
    copies = [
        replace(arrow, reason="duplicate", first_arrival=arrival, arrival=arrival, texts=[event.text])
        for arrival in fields.get("copies", ())
    ]
    return [arrow, *copies]


class Bundler:
    """Joins packets to arrows.

    With no ``window``, data in one direction of a connection are joined, until something else that is drawn
    happens at one of the two hosts: the arrow stands where the first was sent, and must not show an effect
    before its cause. Those that were sent at the same time have no cause in between. With a window, all
    packets of the same fate from one host to another are joined, that are sent within so many seconds.
    """

    def __init__(self, window: float | None = None) -> None:
        self._window = window
        self._open: dict[Any, Arrow] = {}
        self._happened: Counter[str] = Counter()
        self._arrived: Counter[str] = Counter()
        self._under_way: list[tuple[float, str]] = []
        """Arrivals that are still to come, a heap: what they cause is sent by the host where they are."""

    def add(self, arrow: Arrow) -> Arrow | None:
        """The arrow, if it is a new one; None if it was joined to an earlier one."""
        if self._window is None:
            return self._add_exactly(arrow)
        key = (arrow.source, arrow.destination, arrow.fate)
        known = self._open.get(key)
        if known is not None and arrow.time - known.time <= self._window:
            known.join(arrow, briefly=True)
            return None
        self._open[key] = arrow
        arrow.last, arrow.arrival = arrow.time, arrow.first_arrival
        return arrow

    def interrupt(self) -> None:
        """Something happened that must be seen between two packets."""
        self._open.clear()

    def happen(self, time: float, host: str) -> None:
        """Something else is drawn at a host."""
        self._arrive(time)
        self._happened[host] += 1

    def _arrive(self, now: float) -> None:
        while self._under_way and self._under_way[0][0] <= now:
            self._arrived[heapq.heappop(self._under_way)[1]] += 1

    def _seen(self, arrow: Arrow) -> tuple[int, int, int]:
        # Other packets that arrive at its destination are no cause of what its source sends.
        source, destination = arrow.source, arrow.destination
        return self._happened[source], self._happened[destination], self._arrived[source]

    def _add_exactly(self, arrow: Arrow) -> Arrow | None:
        self._arrive(arrow.time)
        stream: Any = arrow.connection
        if stream is None:
            stream = tuple(sorted((arrow.source, arrow.destination)))
        known = self._open.get(stream)
        same = known is not None and (
            (known.kind, known.source, known.fate, known.reason)
            == (arrow.kind, arrow.source, arrow.fate, arrow.reason)
        )
        undisturbed = known is not None and known.seen == self._seen(known)
        self._sent(arrow)
        if known is not None and same and arrow.kind in IN_RUNS:
            if undisturbed and arrow.time - known.last <= PAUSE:
                known.join(arrow)
                known.seen = self._seen(known)
                return None
            if arrow.time == known.time:
                known.join(arrow)
                return None
        self._open[stream] = arrow
        arrow.seen = self._seen(arrow)
        return arrow

    def _sent(self, arrow: Arrow) -> None:
        self._happened[arrow.source] += 1
        self._happened[arrow.destination] += 1
        if arrow.first_arrival is not None and arrow.source != arrow.destination:
            heapq.heappush(self._under_way, (arrow.first_arrival, arrow.destination))


def is_quiet(event: Event) -> bool:
    """Whether it is a packet that says nothing new: that data have arrived, or that there is room."""
    fields = event.fields
    return event.kind == "packet" and fields.get("packet") == "ACK" and fields.get("fate") == "delivered"
