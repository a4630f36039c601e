"""Counting the steps of the scheduler: what spins takes very many (P7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from .world import World

AT_ONCE: Final = 20_000
"""Steps in one instant of virtual time; a busy seed has a few hundred."""
IN_VAIN: Final = 400
"""Steps in one second in which nothing happened on the network; see `Steps`."""
FOR_EACH_EVENT: Final = 40
"""More steps for each event in that second."""


class Steps(trio.abc.Instrument):
    """Ends the run when too many steps are made in an instant, or in a second in which little happens."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._now = self._second = -1.0
        self._at_once = self._in_second = 0
        self._events = 0
        self.most_at_once = 0
        self.most_in_vain = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """A task runs."""
        now = trio.current_time()
        if now != self._now:
            self._now, self._at_once = now, 0
            if now >= self._second + 1:
                self._next_second(now)
        self._at_once += 1
        self._in_second += 1
        if self._at_once == AT_ONCE:
            self._world.ledger.violated("P7", f"{AT_ONCE} steps at one instant, the last of {task.name}")

    def _next_second(self, now: float) -> None:
        events = len(self._world.network.log)
        in_vain = self._in_second - FOR_EACH_EVENT * (events - self._events)
        self.most_in_vain = max(self.most_in_vain, in_vain)
        if in_vain > IN_VAIN:
            self._world.ledger.violated("P7", f"{self._in_second} steps for {events - self._events} events")
        self._second, self._in_second, self._events = now, 0, events
