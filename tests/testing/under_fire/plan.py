"""What a seed decides before anything runs: the server, its limits, its clients, how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

STREAMS = ("tcp", "tls", "unix")
DATAGRAMS = ("udp", "udp in place", "sessions", "unix datagrams", "unix datagrams in place")
KINDS = (*STREAMS, *DATAGRAMS)
ON_ONE_HOST = frozenset({"unix", "unix datagrams", "unix datagrams in place"})
"""Unix sockets: their clients are on the server's own host."""


@dataclass(frozen=True)
class Plan:
    """All times are in seconds."""

    kind: str
    handlers: str
    """"mixed": each request is served by another handler; else the name of the only one."""
    serving: str
    """How it is served: "forever", "entered" (by ``async with``) or "one by one"."""
    rounds: int
    """How often it is served, one time after the other."""
    length: float
    """How long the traffic of one round takes before the server is ended."""
    clients: int
    faults: int
    max_requests: int | None
    request_timeout: float | None
    handshake_timeout: float
    finish_timeout: float
    linger_timeout: float
    session_timeout: float
    backlog: int
    rejects: float
    """The share of requests that ``verify_request`` turns away."""
    verify_delay: float

    @property
    def streams(self) -> bool:
        """Whether requests are connections."""
        return self.kind in STREAMS

    @property
    def in_place(self) -> bool:
        """Whether requests have no task."""
        return self.kind.endswith("in place")

    @property
    def on_one_host(self) -> bool:
        """Whether there is no network between the server and its clients."""
        return self.kind in ON_ONE_HOST


def draw(dice: random.Random) -> Plan:
    """Draw a plan."""
    kind = dice.choices(KINDS, weights=(30, 14, 12, 8, 6, 10, 6, 4))[0]
    return Plan(
        kind=kind,
        handlers="mixed" if dice.random() < 0.7 else "one",
        serving=dice.choices(("forever", "entered", "one by one"), weights=(70, 20, 10))[0],
        rounds=1 if dice.random() < 0.75 else 2,
        length=dice.choice((0.05, 0.5, 1.5, 3.0)) * (0.5 + dice.random()),
        clients=dice.randint(1, 8),
        faults=dice.choice((0, 1, 2, 3, 5)),
        max_requests=dice.choice((None, None, 1, 2, 3, 5)),
        request_timeout=dice.choice((None, None, 0.1, 0.5, 2.0)),
        handshake_timeout=dice.choice((0.3, 1.0)),
        finish_timeout=dice.choice((0.05, 0.3, 1.0)),
        linger_timeout=dice.choice((0.0, 0.2, 1.0)),
        session_timeout=dice.choice((0.2, 1.0, 5.0)),
        backlog=dice.choice((0, 1, 3, 100)),
        rejects=dice.choice((0.0, 0.0, 0.2)),
        verify_delay=dice.choice((0.0, 0.0, 0.0, 0.05)),
    )
