"""What a port from the stdlib forgets: methods that are still synchronous."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
from harness import Echo

import trioserver

if TYPE_CHECKING:
    from collections.abc import Callable

HOOKS = ["server_bind", "get_request", "verify_request", "handle_error", "service_actions", "close_request"]


@pytest.mark.parametrize("name", ["setup", "handle", "finish"])
def test_handler_when_a_method_is_synchronous_then_the_constructor_says_which(name: str) -> None:
    """The error names the class and the method."""
    handler: Any = type("Handler", (trioserver.StreamRequestHandler,), {name: lambda self: None})
    with pytest.raises(trioserver.ConfigError, match=f"Handler.{name} must be an 'async def'"):
        trioserver.TCPServer(("127.0.0.1", 0), handler)


@pytest.mark.parametrize("name", HOOKS)
def test_server_when_a_hook_is_synchronous_then_the_constructor_says_which(name: str) -> None:
    """The same for the methods of a server."""
    server: Any = type("Server", (trioserver.TCPServer,), {name: lambda self, *rest: True})
    with pytest.raises(trioserver.ConfigError, match=f"Server.{name} must be an 'async def'"):
        server(("127.0.0.1", 0), Echo)


def test_handler_when_a_method_is_decorated_then_it_is_accepted() -> None:
    """A wrapper that returns what the wrapped function returns can be awaited."""

    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    class Handler(trioserver.StreamRequestHandler):
        @logged
        async def handle(self) -> None:
            """Nothing."""

    assert trioserver.TCPServer(("127.0.0.1", 0), Handler).RequestHandlerClass is Handler
