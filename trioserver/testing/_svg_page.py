"""Where things are on the page of an SVG drawing: hosts from left to right, moments from top to bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._scene_packets import Arrow
from ._svg_parts import width
from ._time_axis import ARRIVAL, ROW, Moment, TimeAxis

if TYPE_CHECKING:
    from ._scene import Item, Scene

AXIS: Final = 92.0
"""The width of the axis, on the left."""
TOP: Final = 64.0
"""Where time begins, below the names of the hosts."""
INDENT: Final = 14.0
"""From a host's line to the text beside it: the bars of requests are in between."""
WIDEST: Final = 560.0
"""Where a text is cut."""


class Page:
    """The places of a scene's hosts and moments, in pixels.

    Attributes:
      scene: What is to be drawn.
      axis: Where each moment is.
      spacing: From one host to the next.
      lanes: Where each host is.
      width: Of the whole page.
      bottom: Where the hosts' lines end.
    """

    def __init__(self, scene: Scene) -> None:
        for place, item in enumerate(scene.items):
            item.place = place
        self.scene = scene
        self.axis = TimeAxis([moment for item in scene.items for moment in _moments(item)], TOP + ROW)
        self.bottom = self.axis.bottom + ROW
        labels = [width(item.label) for item in scene.items if isinstance(item, Arrow)]
        names = [width(name) * 1.3 for name in scene.lanes]
        most = 280.0 if len(scene.lanes) <= 6 else 170.0
        self.spacing = max(130.0, min(most, max(labels, default=0.0) + 2 * INDENT), *names, 0.0)
        self.lanes = {name: AXIS + 70 + self.spacing * place for place, name in enumerate(scene.lanes)}
        right = max(self.lanes.values(), default=AXIS)
        self.width = min(max([right + 90, *map(self._right_of, scene.items)]), right + WIDEST)

    def start_of(self, item: Item) -> float:
        """The line of an arrow's beginning, or of a mark."""
        return self.axis.places[_start(item)]

    def end_of(self, arrow: Arrow) -> float:
        """The place of an arrow's head."""
        moment = _end(arrow)
        return self.axis.last(arrow.time) if moment is None else self.axis.places[moment]

    def _right_of(self, item: Item) -> float:
        """Where the text of an item ends, on the right."""
        if not isinstance(item, Arrow):
            # Without a host it is in the middle of all.
            return self.lanes.get(item.host, AXIS) + width(item.text) + 3 * INDENT
        start, end = self.lanes[item.source], self.lanes[item.destination]
        return start + width(item.label) + 4 * INDENT if end >= start else 0.0


def _moments(item: Item) -> list[Moment]:
    found = [_start(item)]
    if isinstance(item, Arrow):
        if (end := _end(item)) is not None:
            found.append(end)
        if item.last > item.time:
            found.append(Moment(item.last, item.place, 0.0))
    return found


def _start(item: Item) -> Moment:
    return Moment(item.time, item.place, ROW)


def _end(arrow: Arrow) -> Moment | None:
    """The arrowhead: what arrives comes before what is sent at that time, unless it takes no time."""
    if arrow.arrival is None:
        return None
    order = arrow.place + 0.5 if arrow.arrival <= arrow.time else arrow.place - 1e9
    return Moment(arrow.arrival, order, ARRIVAL)
