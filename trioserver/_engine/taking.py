"""Taking requests that are at hand, without the accept loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .hooks import Hooks


class Taking:
    """What takes requests on its own, and gives the accept loop those that have to be waited for.

    Attributes:
      hooks: The server's.
      take: Takes a request at once; ``None`` where there is no way to do so.
      error: Why it could take no other request, since the accept loop was last told.
    """

    __slots__ = ("error", "hooks", "take")

    def __init__(self, hooks: Hooks, take: Callable[[], tuple[Any, Any]] | None) -> None:
        self.hooks = hooks
        self.take = take
        self.error: BaseException | None = None

    async def get_request(self) -> tuple[Any, Any]:
        """Wait for a request, as the server does, knowing what was tried already."""
        error, self.error = self.error, None
        try:
            if error is None:
                return await self.hooks.get_request()
            if isinstance(error, OSError):
                return await self.hooks.get_request_after(error)
            raise error
        finally:
            del error  # or the traceback would keep itself alive
