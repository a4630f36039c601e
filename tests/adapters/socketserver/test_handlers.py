"""B34 and B35: the steps of a handler, and what else may handle requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .handling import connection
from .kit import recording

if TYPE_CHECKING:
    from collections.abc import Callable


def noting_steps(cls: Any, steps: list[Any], raising: dict[str, BaseException]) -> Any:
    """A handler class that notes its steps and what it knows then, and raises in some of them."""

    def step(name: str) -> Any:
        def method(self: Any) -> None:
            steps.append((name, self.request, self.client_address, self.server))
            if name in raising:
                raise raising[name]

        return method

    return type("Handler", (cls,), {name: step(name) for name in ("setup", "handle", "finish")})


def test_b34_setup_handle_and_finish_run_in_the_constructor_in_this_order(module: Any) -> None:
    """And each of them finds the request, the client's address and the server."""
    steps: list[Any] = []
    what = (object(), object(), object())
    handler = noting_steps(module.BaseRequestHandler, steps, {})(*what)
    assert steps == [("setup", *what), ("handle", *what), ("finish", *what)]
    assert vars(handler) == dict(zip(("request", "client_address", "server"), what, strict=True))


def test_b34_the_steps_of_the_base_do_nothing(module: Any) -> None:
    """They are there to be overridden, each alone; they return None and take whatever objects there are."""
    handler = module.BaseRequestHandler(request=1, client_address=2, server=3)
    assert [handler.setup(), handler.handle(), handler.finish()] == [None, None, None]
    assert (handler.request, handler.client_address, handler.server) == (1, 2, 3)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_b34_finish_runs_after_a_handle_that_raised(module: Any, error: type[BaseException]) -> None:
    """Whatever it raised, and that goes on out of the constructor."""
    steps: list[Any] = []
    raised = error("from handle")
    with pytest.raises(error) as caught:
        noting_steps(module.BaseRequestHandler, steps, {"handle": raised})(1, 2, 3)
    assert caught.value is raised
    assert [name for name, *_ in steps] == ["setup", "handle", "finish"]


def test_b34_nothing_runs_after_a_setup_that_raised(module: Any) -> None:
    """There is nothing to finish."""
    steps: list[Any] = []
    raised = ValueError("from setup")
    with pytest.raises(ValueError, match="from setup") as caught:
        noting_steps(module.BaseRequestHandler, steps, {"setup": raised})(1, 2, 3)
    assert caught.value is raised
    assert [name for name, *_ in steps] == ["setup"]


def test_b34_an_error_of_finish_replaces_that_of_handle(module: Any) -> None:
    """As in any ``finally`` block; the first is its context."""
    first, second = ValueError("from handle"), OSError("from finish")
    with pytest.raises(OSError, match="from finish") as caught:
        noting_steps(module.BaseRequestHandler, [], {"handle": first, "finish": second})(1, 2, 3)
    assert (caught.value, caught.value.__context__) == (second, first)


@pytest.mark.parametrize("late", [False, True], ids=["given", "replaced"])
def test_b35_any_callable_is_called_with_three_positionals(module: Any, late: bool) -> None:
    """A bound method, say; it is looked up when a request is finished, and what it returns is dropped."""
    calls: list[Any] = []

    class Program:
        def serve(self, *args: Any, **kwargs: Any) -> str:
            calls.append((args, kwargs))
            return "dropped"

    serve = Program().serve
    server = module.BaseServer("address", (lambda: None) if late else serve)
    if late:
        server.RequestHandlerClass = serve
    request, client_address = object(), object()  # opaque: any objects will do
    assert server.finish_request(request, client_address) is None
    assert calls == [((request, client_address, server), {})]


def test_b35_a_callable_without_parameters_serves_until_it_is_called(
    module: Any, make: Callable[..., Any]
) -> None:
    """A server that nobody connects to may be made with anything."""
    nothing = lambda: None  # noqa: E731
    assert make("TCPServer", nothing).RequestHandlerClass is nothing


def test_b35_the_client_address_is_handed_on_as_it_is(module: Any) -> None:
    """It may be any object, and the request as well: hooks, handler and error report get what was got."""
    what = (object(), object())
    given: list[Any] = []

    def handler(*args: Any) -> None:
        given.append(args[:2])
        raise ValueError

    server = recording(module.BaseServer, handle_error=lambda self, *args: None)("address", handler)
    with connection() as ends:
        ends.client.send(b"x")
        server.socket, server.fileno, server.get_request = ends.server, ends.server.fileno, lambda: what
        server.handle_request()
    taking = ["verify_request", "process_request", "finish_request", "handle_error"]
    assert [call.name for call in server.calls if call.args == what] == taking
    assert given == [what]
