"""B46: how a request ends in its thread, and what becomes of its exceptions."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from .kit import names, receive_all, recording, wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]


def steps_in_thread(module: Any, raising: dict[str, BaseException]) -> tuple[list[Any], BaseException | None]:
    """What ``process_request_thread`` calls, and what it raises, when called in this thread."""
    steps: list[Any] = []

    def step(name: str) -> Any:
        def method(self: Any, *args: Any) -> None:
            steps.append((name, args, sys.exc_info()[1]))
            if name in raising:
                raise raising[name]

        return method

    hooks = {name: step(name) for name in ("finish_request", "handle_error", "shutdown_request")}
    server = type("Server", (module.ThreadingMixIn, module.BaseServer), hooks)("address", None)
    with server:
        try:
            assert server.process_request_thread("request", "peer") is None
        except BaseException as error:
            return steps, error
    return steps, None


def test_b46_the_thread_finishes_the_request_and_shuts_it_down(module: Any) -> None:
    """By the hooks of the server; and that is all when nothing was raised."""
    both = ("request", "peer")
    assert steps_in_thread(module, {}) == (
        [("finish_request", both, None), ("shutdown_request", ("request",), None)],
        None,
    )


def test_b46_an_exception_is_reported_before_the_request_is_shut_down(module: Any) -> None:
    """While it is being handled; it goes no further."""
    both, error = ("request", "peer"), ValueError()
    steps, raised = steps_in_thread(module, {"finish_request": error})
    assert steps == [
        ("finish_request", both, None),
        ("handle_error", both, error),
        ("shutdown_request", ("request",), None),
    ]
    assert raised is None


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_b46_another_exception_is_not_reported_and_goes_on(module: Any, error: BaseException) -> None:
    """When the request has been shut down."""
    steps, raised = steps_in_thread(module, {"finish_request": error})
    assert [name for name, *_ in steps] == ["finish_request", "shutdown_request"]
    assert raised is error


def test_b46_an_exception_of_the_report_goes_on(module: Any) -> None:
    """Here too the request is shut down first; unlike in a server without threads."""
    first, second = ValueError(), RuntimeError()
    steps, raised = steps_in_thread(module, {"finish_request": first, "handle_error": second})
    assert [name for name, *_ in steps] == ["finish_request", "handle_error", "shutdown_request"]
    assert raised is second


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_b46_what_goes_on_ends_in_the_threads_excepthook(
    module: Any,
    make: Make,
    serving: Any,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    """With the connection closed by then; the server goes on, and reports nothing itself."""
    caught: list[Any] = []
    threads: list[threading.Thread] = []

    def excepthook(args: Any) -> None:
        caught.append((args.exc_type, type(args.exc_value), args.thread, requests[0].fileno()))

    monkeypatch.setattr(threading, "excepthook", excepthook)
    requests: list[Any] = []

    def handler(request: Any, *args: Any) -> None:
        requests.append(request)
        threads.append(threading.current_thread())
        if len(requests) == 1:
            raise error

    server = make(recording(module.ThreadingTCPServer), handler)
    with serving(server):
        assert receive_all(connect(server)) == b""
        wait_until(lambda: caught)
        assert receive_all(connect(server)) == b""
    assert caught == [(error, error, threads[0], -1)]
    assert len(threads) == 2
    assert "handle_error" not in names(server)
