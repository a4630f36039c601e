"""What an event log is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

EventKind: TypeAlias = Literal[
    "packet", "connection", "listen", "request", "fault", "server", "note", "dns", "host"
]
"""What an event is about."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened on a simulated network; ``str()`` makes a line of it.

    Attributes:
      time: Seconds since the network was entered.
      host: The name of the host where it happened, ``""`` where it was on none of them.
      kind: What it is about.
      text: What happened, in words.
      fields: The same as simple values, which depend on the kind. Of a ``packet``: ``source`` and
        ``destination`` (names of hosts), ``protocol``, ``packet`` (its kind), ``size`` (bytes), ``number``,
        ``connection``, ``fate`` (``"delivered"``, ``"dropped"`` or ``"held"``), ``arrival`` (seconds since
        the network was entered, or None) and ``reason``; of one that was duplicated also ``copies`` (when
        each arrives).
    """

    time: float
    host: str
    kind: EventKind
    text: str
    fields: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        text = self.text.replace("\\", "\\\\") if "\n" in self.text else self.text
        return f"{self.time:12.6f}  {self.host:<9}  {text}".rstrip().replace("\n", "\\n")
