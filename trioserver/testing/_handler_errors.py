"""What the handlers of a server raised, for tests that are to fail of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trioserver import RequestAccepted, RequestEnded, is_peers_doing

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioserver import BaseServer, ServerEvent


class HandlerErrors:
    """An observer that keeps the errors of requests, less those that are the client's doing.

    What the peer does, going away in the middle of a line, say, is what many tests are about, and a server
    takes it calmly: see ``BaseServer.handle_error``.

    Args:
      server: Whose requests they are.
      over: Whether nothing counts any more, as its host has crashed.

    Attributes:
      errors: In the order in which the requests ended.
    """

    def __init__(self, server: BaseServer[Any], over: Callable[[], bool] = bool) -> None:
        self.errors: list[Exception] = []
        self._server = server
        self._over = over
        self._requests: dict[int, object] = {}
        server.add_observer(self)

    def __call__(self, event: ServerEvent) -> None:
        """Look at one event."""
        if isinstance(event, RequestAccepted):
            requests = self._server.requests
            if requests and requests[-1].id == event.request_id:  # not where it is served in place
                self._requests[event.request_id] = requests[-1].request
        elif isinstance(event, RequestEnded):
            request = self._requests.pop(event.request_id, None)
            error = event.error
            # What is no Exception stops the server, which raises it.
            if isinstance(error, Exception) and not is_peers_doing(error, request) and not self._over():
                self.errors.append(error)

    def close(self) -> None:
        """Observe no more."""
        self._server.remove_observer(self)

    def failure(self, *, expected: type[Exception] | tuple[type[Exception], ...] = ()) -> Exception | None:
        """What a test fails of: the one error as it is, several as a group, less those of ``expected``."""
        errors = [error for error in self.errors if not isinstance(error, expected)]
        if len(errors) < 2:
            return errors[0] if errors else None
        return ExceptionGroup(f"{len(errors)} requests of {self._server!r} failed", errors)
