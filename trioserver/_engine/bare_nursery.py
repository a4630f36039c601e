"""A nursery for the inside of a function, whose callers are to see no group of its making."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import trio

from .exceptions import without_our_layer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def open_bare_nursery() -> AsyncIterator[trio.Nursery]:
    """As ``trio.open_nursery()``, but what a single task, or the block, raised comes out as it was raised.

    Several failures are a group, and a cancellation beside a failure is dropped.
    """
    try:
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            yield nursery
        return
    except BaseExceptionGroup as group:
        failure = without_our_layer(group)
    try:
        raise failure  # out of the handler, or the group would be its context
    finally:
        del failure  # or its traceback, which has this frame, would keep itself alive
