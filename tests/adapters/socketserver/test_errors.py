"""What becomes of a request, and of who serves, when one of the steps raises."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from .kit import STEPS, names, of_request, receive_all, recording, throw

NOT_OS_ERRORS = [
    ValueError("x"),
    StopIteration(1),
    ExceptionGroup("x", [OSError()]),
    SystemExit(3),
    GeneratorExit(),
]
EXCEPTIONS = [
    ValueError("x"),
    OSError("x"),
    StopIteration(1),
    StopAsyncIteration(),
    ExceptionGroup("x", [OSError()]),
]
FATAL = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseExceptionGroup("x", [SystemExit()])]


def handler(request: Any, client_address: Any, server: Any) -> None:
    """Nothing to do."""


def assert_bare(error: BaseException) -> None:
    """Nothing was hung on it on its way."""
    assert (error.__cause__, error.__context__) == (None, None)
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize(
    "error",
    [
        OSError("x"),
        ConnectionAbortedError(),
        TimeoutError(),
        BlockingIOError(),
        InterruptedError(),
        ssl.SSLError(),
        socket.gaierror(),
    ],
)
def test_b13_an_os_error_of_get_request_is_swallowed(
    module: Any, make: Any, connect: Any, call: Any, serving: Any, error: OSError
) -> None:
    """Nothing is called because of it; handle_request() returns None, and serve_forever() goes on."""
    errors = [error] * 3

    def get_request(self: Any) -> Any:
        if errors:
            throw(errors.pop())
        return self.socket.accept()

    server = make(recording(module.TCPServer, get_request=get_request), handler)
    client = connect(server)
    server.calls = []
    assert call(server.handle_request).wait() is None
    assert names(server) == ["get_request"]
    server.calls = []
    with serving(server, 60):
        assert receive_all(client) == b""
    assert names(server) == [
        *["get_request", "service_actions"] * 2,
        *STEPS,
        "service_actions",
        "server_close",
    ]


@pytest.mark.parametrize("error", NOT_OS_ERRORS)
def test_b13_any_other_error_of_get_request_is_raised(
    module: Any, make: Any, connect: Any, serving_one: Any, error: BaseException
) -> None:
    """To who serves, as it is, with nothing called."""
    server = make(recording(module.TCPServer, get_request=lambda self: throw(error)), handler)
    with serving_one(server) as thread:
        connect(server)
        with pytest.raises(type(error)) as caught:
            thread.wait()
        assert caught.value is error
    assert_bare(error)
    assert [call.name for call in of_request(server)] == ["get_request"]


def test_b13_get_request_has_to_return_two_objects(
    module: Any, make: Any, connect: Any, serving_one: Any
) -> None:
    """Otherwise that is an error of get_request()."""
    server = make(recording(module.TCPServer, get_request=lambda self: None), handler)
    with serving_one(server) as thread:
        connect(server)
        with pytest.raises(TypeError):
            thread.wait()
    assert [call.name for call in of_request(server)] == ["get_request"]


@pytest.mark.parametrize("error", [*EXCEPTIONS, *FATAL])
@pytest.mark.parametrize("hook", ["process_request", "finish_request", "RequestHandlerClass"])
def test_b15_b16_b17_an_error_of_a_request_is_handled_and_what_is_fatal_is_raised(
    module: Any, make: Any, connect: Any, serving_one: Any, hook: str, error: BaseException
) -> None:
    """The request is shut down in both cases, while the error is what is being handled."""
    fatal = error in FATAL
    replaced = {hook: lambda *args: throw(error)} if hook in STEPS else {}
    cls = recording(module.TCPServer, handle_error=lambda self, *args: "ignored", **replaced)
    server = make(cls, lambda *args: throw(error))
    with serving_one(server) as thread:
        client = connect(server)
        assert receive_all(client) == b""
        if fatal:
            with pytest.raises(type(error)) as caught:
                thread.wait()
            assert caught.value is error
    assert_bare(error)
    calls = of_request(server)
    before = STEPS[: 3 if hook == "process_request" else 4]
    after = (
        ["shutdown_request", "close_request"]
        if fatal
        else ["handle_error", "shutdown_request", "close_request"]
    )
    assert [call.name for call in calls] == [*before, *after]
    both = request, _ = calls[1].args
    assert [call.args for call in calls[-2:]] == [(request,), (request,)]
    assert fatal or calls[-3].args == both
    assert [call.error for call in calls] == [None] * len(before) + [error] * len(after)
    assert {call.thread for call in calls} == {thread.ident}
    assert request.fileno() == -1


def test_b16_after_an_error_the_next_request_is_served(
    make: Any, serving: Any, connect: Any, capsys: Any
) -> None:
    """The loop goes on."""
    replies = iter([1, 0, 2])
    server = make("TCPServer", lambda request, *args: request.sendall(b"%d" % (6 // next(replies))))
    with serving(server):
        assert [receive_all(connect(server)) for _ in range(3)] == [b"6", b"", b"3"]
    assert capsys.readouterr().err.count("ZeroDivisionError") == 1


def test_b16_an_error_of_closing_a_request_is_one_of_the_request(
    module: Any, make: Any, connect: Any, serving_one: Any
) -> None:
    """It is handled, and closing is tried again."""
    errors = [ValueError("x")]
    error = errors[0]

    def close_request(self: Any, request: Any) -> None:
        if errors:
            throw(errors.pop())
        request.close()

    cls = recording(module.TCPServer, close_request=close_request, handle_error=lambda *args: None)
    server = make(cls, handler)
    with serving_one(server):
        assert receive_all(connect(server)) == b""
    calls = of_request(server)
    assert [call.name for call in calls] == [*STEPS, "handle_error", "shutdown_request", "close_request"]
    assert [call.error for call in calls] == [None] * 6 + [error] * 3


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), SystemExit(1)])
def test_b18_what_verify_request_raises_is_raised_and_the_request_stays_open(
    module: Any, make: Any, connect: Any, serving_one: Any, error: BaseException
) -> None:
    """Nobody is asked to handle it."""
    server = make(recording(module.TCPServer, verify_request=lambda *args: throw(error)), handler)
    with serving_one(server) as thread:
        client = connect(server)
        with pytest.raises(type(error)) as caught:
            thread.wait()
        assert caught.value is error
    assert_bare(error)
    calls = of_request(server)
    assert [call.name for call in calls] == ["get_request", "verify_request"]
    request = calls[1].args[0]
    request.sendall(b"open")
    request.close()
    assert receive_all(client) == b"open"
