"""What a drawing shows besides packets: marks for moments; bars and bands for what lasts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._events import Event

LINK_FAULTS = {"partition": "partition", "repair": "partition", "hold": "hold", "release": "hold"}
"""The faults that concern a link, and the band that each begins or ends."""
ENDINGS = {"repair", "release"}


@dataclass(slots=True)
class Mark:
    """A line of text at a time."""

    time: float
    host: str
    """Empty: it concerns all of them."""
    text: str
    kind: str
    fault: str = ""
    count: int = 1
    ways: list[tuple[str, str]] = field(default_factory=list)
    """The links that a fault concerns, each from one host to another."""
    place: int = 0
    """Its place in the order of all that is drawn."""

    def join(self, other: Mark) -> None:
        """Stand for another one of this kind, too."""
        self.count += other.count
        self.text = f"{self.count} {self.kind} events"

    def add_way(self, source: str, destination: str) -> None:
        """One more link."""
        self.ways.append((source, destination))
        pairs = [
            f"{a} | {b}"
            for a, b in self.ways
            if (b, a) in self.ways and self.ways.index((a, b)) < self.ways.index((b, a))
        ]
        single = [f"{a} > {b}" for a, b in self.ways if (b, a) not in self.ways]
        names = pairs + single
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        self.text = f"{self.fault} {', '.join(names[:4])}{more}"


@dataclass(slots=True)
class Bar:
    """A request."""

    host: str
    start: float
    end: float | None
    outcome: str
    text: str


@dataclass(slots=True)
class Band:
    """A state that lasts."""

    kind: str
    """``"partition"``, ``"hold"``, ``"down"`` or ``"drain"``."""
    hosts: tuple[str, ...]
    start: float
    end: float | None = None


class States:
    """Follows the events, and keeps what has begun and not ended."""

    def __init__(self, lane_of: dict[str, str]) -> None:
        self.bars: list[Bar] = []
        self.bands: list[Band] = []
        self._lane_of = lane_of
        self._requests: dict[Any, list[Bar]] = {}
        self._bands: dict[Any, Band] = {}
        self._ways: dict[Any, dict[tuple[str, str], None]] = {}

    def follow(self, event: Event) -> None:
        """Begin or end what this event begins or ends."""
        fields = event.fields
        if event.kind == "request":
            self._follow_request(event)
        elif event.kind == "server":
            # A server's name is that of its class: of two alike on one host the first to drain is shown.
            key = ("drain", event.host, fields.get("server"))
            if fields.get("state") == "draining":
                self._begin(key, "drain", (event.host,), event.time)
            elif fields.get("state") == "stopped":
                self._finish(key, event.time)
        elif event.kind == "fault":
            fault = str(fields.get("fault", ""))
            if fault == "crash":
                self._end_all(event.host, event.time)
                self._begin(("down", event.host), "down", (event.host,), event.time)
            elif fault == "restart":
                self._finish(("down", event.host), event.time)
            elif fault in LINK_FAULTS:
                self._follow_link(fault, event)

    def _follow_request(self, event: Event) -> None:
        fields = event.fields
        key = (event.host, fields.get("server"), fields.get("request_id"))
        if fields.get("request") == "begins":
            bar = Bar(self._lane_of[event.host], event.time, None, "", event.text)
            self.bars.append(bar)
            self._requests.setdefault(key, []).append(bar)
        elif self._requests.get(key):
            bar = self._requests[key].pop(0)
            bar.end = event.time
            bar.outcome = str(fields.get("outcome", ""))
            bar.text = event.text

    def _end_all(self, host: str, time: float) -> None:
        """End what goes on at a host that crashes: it will not tell any more."""
        for key in [key for key in self._requests if key[0] == host]:
            for bar in self._requests.pop(key):
                bar.end = time
        for key in [key for key in self._bands if key[:2] == ("drain", host)]:
            self._finish(key, time)

    def _follow_link(self, fault: str, event: Event) -> None:
        way = (str(event.fields.get("source", "")), str(event.fields.get("destination", "")))
        pair = tuple(sorted(way))
        key = (LINK_FAULTS[fault], *pair)
        ways = self._ways.setdefault(key, {})
        if fault in ENDINGS:
            ways.pop(way, None)
            if not ways:
                self._finish(key, event.time)
        else:
            ways[way] = None
            self._begin(key, LINK_FAULTS[fault], way, event.time)

    def _begin(self, key: Any, kind: str, hosts: tuple[str, ...], time: float) -> None:
        if key not in self._bands:
            lanes = tuple(self._lane_of[host] for host in hosts if host in self._lane_of)
            self._bands[key] = band = Band(kind, lanes, time)
            self.bands.append(band)

    def _finish(self, key: Any, time: float) -> None:
        band = self._bands.pop(key, None)
        if band is not None:
            band.end = time


def mark_of(event: Event, lane_of: dict[str, str], last: object) -> Mark | None:
    """The mark of an event that is no packet; None if it has none, or the item before it includes it."""
    if event.kind == "host":
        return None  # that a host exists is seen
    fault = str(event.fields.get("fault", ""))
    mark = Mark(event.time, lane_of.get(event.host, ""), event.text, event.kind, fault)
    if fault in LINK_FAULTS:
        source, destination = str(event.fields.get("source", "")), str(event.fields.get("destination", ""))
        # A fault of both directions, or of groups of hosts, is an event for each link.
        if isinstance(last, Mark) and last.ways and last.fault == fault and last.time == event.time:
            last.add_way(source, destination)
            return None
        mark.add_way(source, destination)
    return mark
