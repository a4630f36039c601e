"""What the engine's loops call on a server: the names, and what they take and return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable


class Hooks(Protocol):
    """The overridable methods of ``BaseServer`` that the accept loop and the request tasks call."""

    poll_interval: float
    request_timeout: float | None

    @property
    def request_limit(self) -> int | None:
        """How many requests may exist at once; read before each one is accepted."""
        ...

    @property
    def serves_in_place(self) -> bool:
        """Whether requests are served by `handle_in_place`, without a task."""
        ...

    async def get_request(self) -> tuple[Any, Any]:
        """Wait for a request."""
        ...

    async def verify_request(self, request: Any, client_address: Any, /) -> bool:
        """Whether to serve it."""
        ...

    def handshake_request(self, request: Any, client_address: Any, /) -> Awaitable[object] | None:
        """What has to be agreed with the client before it is served; ``None`` is nothing."""
        ...

    def process_request(self, request: Any, client_address: Any, /) -> Awaitable[object]:
        """Serve it."""
        ...

    def handle_in_place(self, request: Any, client_address: Any, /) -> None:
        """Serve it without waiting."""

    async def shutdown_request(self, request: Any, /) -> None:
        """Close it so that the client gets the end of the reply."""

    async def close_request(self, request: Any, /) -> None:
        """Close it at once."""

    async def handle_error(self, request: Any, client_address: Any, /) -> None:
        """Report the exception that is being handled."""

    async def service_actions(self) -> None:
        """Anything, regularly."""
