"""Serving for the length of a block: what ``running()`` is, of a server and of workers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .._vocabulary.options import check_seconds
from .bare_nursery import open_bare_nursery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio


class Served(Protocol):
    """What is served in the background and then shut down."""

    async def serve_forever(self, *, task_status: trio.TaskStatus[Any]) -> None:
        """Serve; started once requests can come."""

    async def shutdown(self, grace_period: float | None) -> object:
        """Stop, and return when nothing runs any more."""


ServedT = TypeVar("ServedT", bound=Served)


@contextlib.asynccontextmanager
async def serve_in_background(served: ServedT, grace_period: float | None) -> AsyncIterator[ServedT]:
    """Serve until the end of the block, then shut down with ``grace_period``; at once if the block raises.

    What stops the serving earlier cancels the block and is raised from it. No exception is put into a group.
    """
    check_seconds("grace_period", grace_period, none="no bound")
    async with open_bare_nursery() as nursery:
        await nursery.start(served.serve_forever)
        yield served
        await served.shutdown(grace_period)
