"""`Lead`: the right to take requests, which the accept loop lends to a request task; see ``leader``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from .idle_tasks import RESUMED, IdleTask
from .serve import admit, announce
from .taking import Taking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .engine import Engine
    from .hooks import Handle, Hooks
    from .requests import Request

LEAD_BATCH: Final = 64
"""Requests that a leader may serve before other tasks have their turn (P10)."""

_WORTH_IT: Final = 4
"""Requests that a leader has to serve before one that waits for the lead to be worth what it costs."""


class Lead(Taking):
    """The right to take requests: the accept loop's, or while that is parked the leader's.

    Where every request waits it is no use, and costs a step of the accept loop. So after such a one the next
    `_WORTH_IT` get tasks as if there were no lead, then twice as many, and so on, up to `LEAD_BATCH`.

    Args:
      engine, hooks: The server's.
      lead_requests: The async function that a leader's task runs, with this and its first request.
    """

    __slots__ = (
        "_follower",
        "_lead_requests",
        "_lent",
        "_pause",
        "_waiting",
        "_without",
        "engine",
        "handle",
        "idle",
        "leader",
    )

    def __init__(
        self, engine: Engine, hooks: Hooks, lead_requests: Callable[[Lead, Request[Any]], Awaitable[None]]
    ) -> None:
        super().__init__(hooks, None)
        self.engine = engine
        self.idle: list[IdleTask] = []
        """Tasks of leaders that wait for another request."""
        self.handle: Handle | None = None
        """All that has to be called and awaited for a request, where that is one thing."""
        self.leader: trio.CancelScope | None = None
        """The scope of the leader's task: it may take requests as long as this is its own."""
        self._lead_requests = lead_requests
        self._lent: Request[Any] | None = None  # what the next leader begins with
        self._follower: trio.lowlevel.Task | None = None  # the accept loop's, while it is parked
        self._waiting = False  # whether the leader waits for a request
        self._pause = 0
        self._without = 0

    # The accept loop's side.

    def begin(self) -> bool:
        """Called when the loop begins to accept: whether somebody else can take requests for it."""
        self.take = self.hooks.get_request_nowait
        self.handle = self.hooks.handler_in_short
        self._lent = None
        return self.take is not None

    @trio.lowlevel.enable_ki_protection
    def admit(self, engine: Engine, hooks: Hooks, request: Any, client_address: Any) -> None:
        """Make a request that was accepted a task, as `serve.admit` (P2): the leader's, where that pays."""
        if self._without:
            self._without -= 1
            admit(engine, hooks, request, client_address)
            return
        record = engine.requests.add(request, client_address)
        engine.counts.accepted += 1
        if self.idle:
            self.idle.pop().resume(record)
        else:
            engine.start(self._lead_requests, self, record)
        self._lent = record
        announce(engine, hooks, record)

    async def returned(self) -> None:
        """Wait until the lead is given back, if it was lent. Cancelled, the leader loses it at once."""
        if self._lent is not None:
            self._follower = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        leader, self.leader = self.leader, None
        self._lent = self._follower = None
        if leader is not None and self._waiting:
            leader.cancel()
        return trio.lowlevel.Abort.SUCCEEDED

    # The leader's side.

    def claim(self, scope: trio.CancelScope, record: Request[Any]) -> None:
        """Called by the task that begins with ``record``: it leads, unless the accept loop has gone on."""
        if self._lent is record and self._follower is not None:
            self._lent = None
            self.leader = scope

    async def wait(self) -> None:
        """Wait, in the accept loop's place, until there may be a request.

        Cancelled, by the leader's scope, where the lead ends meanwhile; there is no request to be lost then.
        """
        leader = self.leader
        self._waiting = True
        try:
            await self.hooks.wait_for_request()
        except Exception:
            if self.leader is leader:
                self.give_back(BlockingIOError())  # so that the accept loop waits, and meets the error itself
        finally:
            self._waiting = False

    def give_back(self, error: BaseException | None = None) -> None:
        """Let the accept loop go on; with the error, if any, that it has to deal with."""
        self.leader = None
        if (follower := self._follower) is not None:
            self._follower = None
            self.error = error
            trio.lowlevel.reschedule(follower, RESUMED)

    def give_back_to_wait(self, leader: trio.CancelScope, served: int) -> None:
        """Let the accept loop go on, as a request is about to wait: the one after ``served`` others."""
        if self.leader is not leader:
            return
        if served >= _WORTH_IT:
            self._pause = 0
        else:
            self._pause = self._without = min(self._pause * 2, LEAD_BATCH) or _WORTH_IT
        self.give_back()
