"""What to draw of an event log, before it is known how: hosts, arrows, marks, bars and bands.

lane    a host, from left to right in the order in which they first appear
arrow   a packet, or several that are drawn as one
mark    a line of text at a host, or across all of them
bar     a request, from when it was accepted to when it ended
band    what lasts: a partition, a hold, a host that is down, a server that drains
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._scene_packets import Arrow, Bundler, arrows_of, is_quiet
from ._scene_states import Band, Bar, Mark, States, mark_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from ._events import Event

    Item: TypeAlias = Arrow | Mark

LIMIT = 300
"""Arrows and marks that people can still read; with more of them the drawing summarises."""
MAX_LANES = 16
"""Hosts that fit on a page."""
OTHERS = "other hosts"
STEPS = 256
"""The finest summary joins what happens in this part of the whole time, each next one in twice that."""
LASTING = {"fault", "server", "note"}
"""Marks that no summary leaves out, and that packets are not joined across."""


@dataclass(slots=True)
class Scene:
    """All that is to be drawn."""

    lanes: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    """In the order in which they happened, each for a line of its own."""
    bars: list[Bar] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    end: float = 0.0
    remarks: list[str] = field(default_factory=list)
    """What the drawing does not show, or shows as one."""


def build(log: Iterable[Event], limit: int = LIMIT) -> Scene:
    """Make a scene of a log; a summary, with a remark that says how, of more than ``limit`` items."""
    events = list(log)
    scene = Scene()
    lane_of = _choose_lanes(events, scene)
    _fill(events, scene, lane_of)
    scene.end = max([0.0, *(event.time for event in events), *(_end(item) for item in scene.items)])
    _summarise(scene, limit)
    return scene


def _end(item: Item) -> float:
    return max(item.time, item.arrival or 0.0) if isinstance(item, Arrow) else item.time


def _hosts_in(event: Event) -> list[str]:
    names = [event.host, event.fields.get("source"), event.fields.get("destination")]
    return [name for name in names if isinstance(name, str) and name]


def _choose_lanes(events: list[Event], scene: Scene) -> dict[str, str]:
    """Find the hosts that something happens at; the lane of each."""
    order: dict[str, None] = {}
    busy: Counter[str] = Counter()
    for event in events:
        names = dict.fromkeys(_hosts_in(event))
        order.update(names)
        if event.kind != "host":
            busy.update(names.keys())
    used = [name for name in order if busy[name]]
    if len(used) <= MAX_LANES:
        scene.lanes = used
        return {name: name for name in used}
    place = {name: index for index, name in enumerate(used)}
    busiest = dict.fromkeys(sorted(used, key=lambda name: (-busy[name], place[name]))[: MAX_LANES - 1])
    shown = [name for name in used if name in busiest]
    scene.lanes = [*shown, OTHERS]
    scene.remarks.append(
        f"The {MAX_LANES - 1} busiest of {len(used)} hosts have a line each, the others share one."
    )
    return {name: name if name in shown else OTHERS for name in used}


def _fill(events: list[Event], scene: Scene, lane_of: dict[str, str]) -> None:
    states = States(lane_of)
    bundler = Bundler()
    quiet = packets = inside = 0
    for event in events:
        if is_quiet(event):
            quiet += 1
            continue
        if event.kind == "packet":
            arrows = arrows_of(event)
            for arrow in arrows:
                arrow.source, arrow.destination = lane_of[arrow.source], lane_of[arrow.destination]
            if arrows[0].source == arrows[0].destination == OTHERS:
                inside += 1
                continue
            packets += len(arrows)
            scene.items += [new for arrow in arrows if (new := bundler.add(arrow)) is not None]
            continue
        states.follow(event)
        if (mark := mark_of(event, lane_of, scene.items[-1] if scene.items else None)) is not None:
            scene.items.append(mark)
            if mark.kind in LASTING or not mark.host:
                bundler.interrupt()
            else:
                bundler.happen(mark.time, mark.host)
    scene.bars, scene.bands = states.bars, states.bands
    if sum(isinstance(item, Arrow) for item in scene.items) < packets:
        scene.remarks.append("Data in one direction that follow each other are one arrow.")
    if quiet:
        scene.remarks.append(f"{quiet:,} ACK packets, which say that data arrived, are not drawn.")
    if inside:
        scene.remarks.append(f"{inside:,} packets between other hosts are not drawn.")


def _summarise(scene: Scene, limit: int) -> None:
    before = len(scene.items)
    if before <= limit:
        return
    window = 0.0
    for step in range(STEPS.bit_length()):
        window = scene.end * 2**step / STEPS
        scene.items = _joined(scene.items, window)
        if len(scene.items) <= limit:
            break
    scene.remarks.append(
        f"Summary: {before:,} arrows and marks are drawn as {len(scene.items):,}; packets from one host to "
        f"another, and events of one kind at a host, are one if they are within {window:.3g} s."
    )
    if len(scene.items) > limit:
        half = limit // 2
        left_out = len(scene.items) - 2 * half
        first, last = scene.items[:half], scene.items[-half:]
        gap = Mark(last[0].time, "", f"{left_out:,} arrows and marks are left out here", "note")
        scene.items = [*first, gap, *last]
        scene.remarks.append(f"{left_out:,} arrows and marks in the middle are left out.")
    if len(scene.bars) > limit:
        scene.remarks.append(f"{len(scene.bars):,} requests are not drawn as bars.")
        scene.bars = []


def _joined(items: list[Item], window: float) -> list[Item]:
    """The items with those joined that are near each other, faults and notes excepted."""
    bundler = Bundler(window)
    marks: dict[tuple[str, str], Mark] = {}
    found: list[Item] = []
    for item in items:
        if isinstance(item, Arrow):
            new = bundler.add(item)
            if new is not None:
                found.append(new)
            continue
        known = marks.get((item.host, item.kind))
        if item.kind in LASTING:
            bundler.interrupt()
            marks.clear()
        elif known is not None and item.time - known.time <= window:
            known.join(item)
            continue
        else:
            marks[item.host, item.kind] = item
        found.append(item)
    return found
