"""What the engine's loops call on a server: the names, and what they take and return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Handle: TypeAlias = "Callable[[Any, Any, Any], Awaitable[object]]"
"""Called with a request, the client's address and the server, and awaited."""


class Source(Protocol):
    """Where requests come from."""

    async def get_request(self) -> tuple[Any, Any]:
        """Wait for a request."""
        ...


class InPlace(Source, Protocol):
    """What accepts connections that are served in place."""

    def admit(self, engine: Any, hooks: Any, request: Any, client_address: Any, /) -> None:
        """Begin to serve it."""


class Hooks(Source, Protocol):
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

    @property
    def get_request_nowait(self) -> Callable[[], tuple[Any, Any]] | None:
        """Takes a request at once, or raises OSError; ``None`` where there is no way to do so."""
        ...

    async def wait_for_request(self) -> None:
        """Wait until `get_request_nowait` may find a request."""

    async def get_request_after(self, error: OSError) -> tuple[Any, Any]:
        """Wait for a request, after an attempt to take one at once has failed."""
        ...

    @property
    def handler_in_short(self) -> Handle | None:
        """What `process_request` comes to, where the other hooks do nothing; else ``None``."""
        ...

    def begin_callbacks(self) -> InPlace | None:
        """Called when the loop begins: what accepts for handlers that are called in place, if any."""
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
