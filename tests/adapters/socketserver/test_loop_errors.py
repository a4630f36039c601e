"""What ends the loop of serve_forever() by an error, and what shutdown() does then."""

from __future__ import annotations

from typing import Any

import pytest

from .kit import Flag, ask_to_stop, names, receive_all, recording, throw

FATAL = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseExceptionGroup("x", [SystemExit()])]
ERRORS = [ValueError("x"), StopIteration(1), ExceptionGroup("x", [ValueError()]), *FATAL]


def reply_and_stop(request: Any, client_address: Any, server: Any) -> None:
    """A handler that is the last one of the loop."""
    request.sendall(b"served")
    ask_to_stop(server)


def raising_once(cls: Any, hook: str, error: BaseException) -> Any:
    """A subclass that records, with a hook that raises at its first call."""
    errors = [error]

    def method(self: Any, *args: Any) -> Any:
        if errors:
            throw(errors.pop())
        return getattr(cls, hook)(self, *args)

    return recording(cls, **{hook: method})


def assert_bare(error: BaseException) -> None:
    """Nothing was hung on it on its way."""
    assert (error.__cause__, error.__context__) == (None, None)
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("hook", ["get_request", "verify_request", "service_actions"])
def test_b28_b30_what_these_hooks_raise_ends_the_loop_and_is_raised(
    module: Any, make: Any, connect: Any, call: Any, hook: str, error: BaseException
) -> None:
    """As it is, with no hook called after it. The next loop serves, also if that one was asked to stop."""
    server = make(raising_once(module.TCPServer, hook, error), reply_and_stop)
    clients = [connect(server), connect(server)]
    with pytest.raises(type(error)) as caught:
        call(server.serve_forever, 0.01).wait()
    assert caught.value is error
    assert_bare(error)
    assert names(server)[-1] == hook
    if hook == "verify_request":
        server.calls[-1].args[0].close()
    assert call(server.serve_forever, 0.01).wait() is None
    if hook == "get_request":
        clients.reverse()  # the first one was still in the queue
    assert receive_all(clients[1]) == b"served"


@pytest.mark.parametrize("error", FATAL)
def test_b28_a_fatal_error_of_a_request_ends_the_loop(
    make: Any, connect: Any, call: Any, capsys: Any, error: BaseException
) -> None:
    """Without a word, with the request closed, and before service_actions()."""
    called: list[str] = []
    server = make("TCPServer", lambda *args: throw(error), service_actions=lambda: called.append("actions"))
    client = connect(server)
    with pytest.raises(type(error)) as caught:
        call(server.serve_forever, 60).wait()
    assert caught.value is error
    assert_bare(error)
    assert receive_all(client) == b""
    assert called == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)])
def test_b28_b30_shutdown_is_released_by_a_loop_that_an_error_ended(
    make: Any, connect: Any, call: Any, error: BaseException
) -> None:
    """Whether it waited already or is called later; the former is over then and ends no other loop."""
    began, go_on = Flag(), Flag()

    def verify_request(*args: Any) -> None:
        began.set()
        go_on.block()
        args[0].close()
        raise error

    server = make("TCPServer", reply_and_stop, verify_request=verify_request)
    loop = call(server.serve_forever, 0.01)
    connect(server)
    began.block()
    shutdown = call(server.shutdown)
    assert shutdown.goes_on()
    go_on.set()
    assert shutdown.wait() is None
    with pytest.raises(type(error)):
        loop.wait()
    del server.verify_request
    client = connect(server)
    call(server.serve_forever, 0.01).wait()
    assert receive_all(client) == b"served"
    assert call(server.shutdown).wait() is None


def test_b28_the_error_is_not_raised_again(make: Any, connect: Any, call: Any) -> None:
    """The next loop, and the shutdown of that, know nothing of it."""
    server = make("TCPServer", lambda *args: throw(SystemExit(1)))
    connect(server)
    with pytest.raises(SystemExit):
        call(server.serve_forever, 0.01).wait()
    loop = call(server.serve_forever, 0.01)
    assert loop.goes_on()
    assert call(server.shutdown).wait() is None
    assert loop.wait() is None
