"""An event log as a sequence diagram in Mermaid's language, which viewers of Markdown show as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._scene import Scene, build
from ._scene_packets import Arrow
from ._svg_parts import seconds
from ._time_axis import LONG, typical_step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._events import Event
    from ._scene_states import Mark

LIMIT = 150
"""Lines beyond which viewers are slow: Mermaid by default refuses texts of more than 50,000 characters."""


def mermaid(log: Iterable[Event]) -> str:
    """Draw an event log as a sequence diagram; returns Mermaid text, the inside of a block of that name.

    It has no axis of time: each arrow says when the packet was sent, and long times in which nothing
    happened are notes. Dropped packets end in a cross. With more than 150 arrows and notes it is a summary,
    and says how.

    Args:
      log: The events: an `EventLog`, or some of it: ``mermaid(log[100:200])``.
    """
    scene = build(log, LIMIT)
    # Names of our own: a host may be called `end`, which is a word of the language.
    names = {host: f"h{place}" for place, host in enumerate(scene.lanes)}
    lines = ["sequenceDiagram"]
    lines += [f"    participant {names[host]} as {_escape(host)}" for host in scene.lanes]
    if not names:
        names = {"": "h0"}
        lines.append("    participant h0 as no host")
    everyone = ",".join(dict.fromkeys([*list(names.values())[:1], *list(names.values())[-1:]]))
    lines += [f"    {line}" for line in _statements(scene, names, everyone)]
    lines += [f"    Note over {everyone}: {_escape(remark)}" for remark in scene.remarks]
    return "\n".join(lines) + "\n"


def _statements(scene: Scene, names: dict[str, str], everyone: str) -> list[str]:
    found: list[str] = []
    long = LONG * typical_step([item.time for item in scene.items])
    now: float | None = None
    for item in scene.items:
        if now is not None and item.time - now > long:
            found.append(f"Note over {everyone}: {item.time - now:.4g} s later")
        now = item.time
        found.append(_arrow(item, names) if isinstance(item, Arrow) else _note(item, names, everyone))
    return found


def _arrow(arrow: Arrow, names: dict[str, str]) -> str:
    # An open head for what is not answered, a cross for what is lost, dots for what waits.
    sign = {"dropped": "-x", "held": "--)"}.get(arrow.fate, "->>")
    text = _escape(f"{seconds(arrow.time)} s {arrow.label}")
    return f"{names[arrow.source]}{sign}{names[arrow.destination]}: {text}"


def _note(mark: Mark, names: dict[str, str], everyone: str) -> str:
    where = f"over {names[mark.host]}" if mark.host in names else f"over {everyone}"
    return f"Note {where}: {_escape(f'{seconds(mark.time)} s {mark.text}')}"


def _escape(text: str) -> str:
    """Text without what Mermaid takes for its own: it has numbers of characters for them, between # and ;."""
    plain = " ".join(text.split())
    return (
        "".join(char if char.isalnum() or char in " .,:()[]/_+-=*" else f"#{ord(char)};" for char in plain)
        or "#32;"
    )
