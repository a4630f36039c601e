"""``start`` and ``stop``: a server in the background, and what became of it."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from harness import Echo

import trioserver
from trioserver_adapters.blocking import BlockingServer

from .kit import LOOPBACK, Held, Started, ask, client_of, receive_all, tcp, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kit import Call

    MakeCall = Callable[..., Call]

FATAL = [SystemExit(3), KeyboardInterrupt(), GeneratorExit()]


def failing(error: BaseException) -> Any:
    """A handler that raises."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        raise error

    return handler


def kill(server: BlockingServer[Any]) -> None:
    """Have a request that stops the server, and wait until it has."""
    with client_of(server) as client:
        receive_all(client)
    wait_until(lambda: server.server.state is not trioserver.State.SERVING)


def test_start_when_it_returns_then_requests_can_come() -> None:
    """And ``stop`` returns the report, with none left."""
    server = tcp()
    server.start()
    assert server.server.statistics().state is trioserver.State.SERVING
    assert ask(server) == b"hello\n"
    report = server.stop(None)
    assert (report.accepted, report.finished) == (1, 1)
    assert server.server.statistics().state is trioserver.State.STOPPED
    server.server_close()


def test_start_when_stopped_then_may_be_started_again() -> None:
    """With counts of its own for each run."""
    with tcp() as server:
        for _ in range(3):
            server.start()
            ask(server)
            assert server.stop(None).accepted == 1


def test_stop_when_given_a_grace_period_then_requests_may_finish(call: MakeCall) -> None:
    """As with ``shutdown``."""
    handler = Held()
    with tcp(handler) as server:
        server.start()
        with client_of(server) as client:
            handler.begun.block()
            stop = call(server.stop, None)
            assert stop.goes_on()
            client.sendall(b"x")
            assert stop.wait().finished == 1


@pytest.mark.parametrize("error", FATAL, ids=repr)
@pytest.mark.parametrize("method", ["stop", "server_close"])
def test_p4_stop_when_something_stopped_the_server_then_raises_that_bare_and_once(
    error: BaseException, method: str
) -> None:
    """The same object; and once it was raised it is forgotten."""
    server = tcp(failing(error))
    server.start()
    kill(server)
    with pytest.raises(type(error)) as caught:
        getattr(server, method)()
    assert caught.value is error
    assert error.__cause__ is None
    server.stop()
    server.server_close()


def test_stop_when_handle_error_raises_then_that_is_raised() -> None:
    """Which is how a server is made to stop at the first error of a handler."""
    error = ZeroDivisionError()

    class Strict(trioserver.TCPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            raise

    server = BlockingServer(Strict(LOOPBACK, failing(error)))
    with pytest.raises(ZeroDivisionError) as caught, server:
        server.start()
        kill(server)
    assert caught.value is error


def test_shutdown_when_something_stopped_the_server_then_returns_the_report_all_the_same() -> None:
    """It raises nothing of the server's; the closing does."""
    server = tcp(failing(SystemExit(3)))
    server.start()
    kill(server)
    assert server.shutdown().accepted == 1
    with pytest.raises(SystemExit):
        server.server_close()


def test_start_when_a_handler_fails_then_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """An Exception is the request's own affair (P4)."""
    caplog.set_level(logging.CRITICAL, "trioserver")
    with tcp(failing(ZeroDivisionError())) as server:
        server.start()
        for _ in range(2):
            with client_of(server) as client:
                receive_all(client)
        assert server.stop(None).failed == 2


def test_start_when_a_hook_fails_before_requests_can_come_then_raises_it_there_and_only_there() -> None:
    """Bare; ``stop`` has nothing to say of it."""
    error = ZeroDivisionError()

    class Unwilling(trioserver.TCPServer):
        async def server_activate(self) -> None:
            raise error

    server = BlockingServer(Unwilling(LOOPBACK, Echo))
    with pytest.raises(ZeroDivisionError) as caught:
        server.start()
    assert caught.value is error
    assert server.server.fileno() == -1
    server.stop()
    server.server_close()


def test_start_when_accept_fails_for_good_then_that_is_raised_by_stop() -> None:
    """An error that concerns the listener."""
    error = OSError(9, "broken")

    class Broken(trioserver.TCPServer):
        async def get_request(self) -> Any:
            raise error

    server = BlockingServer(Broken(LOOPBACK, Echo))
    server.start()
    wait_until(lambda: server.server.state is trioserver.State.STOPPED)
    with pytest.raises(OSError, match="broken") as caught:
        server.stop()
    assert caught.value is error
    server.server_close()


def test_exit_when_the_block_raises_then_the_server_is_closed_and_the_error_goes_on() -> None:
    """Running requests are cancelled, at once."""
    handler = Held()
    began = time.monotonic()
    with contextlib.ExitStack() as clients:  # who are there longer than the server
        with pytest.raises(ZeroDivisionError), tcp(handler) as server:
            server.start()
            clients.enter_context(client_of(server))
            handler.begun.block()
            raise ZeroDivisionError
    assert time.monotonic() - began < 5
    assert handler.ends == ["cancelled"]


def test_start_when_an_observer_of_the_start_asks_for_a_shutdown_then_returns() -> None:
    """It was served, if only for that moment."""
    with tcp() as server:
        server.server.add_observer(Started(trioserver.ServerStarted, server.request_shutdown))
        server.start()
        server.stop()
        assert server.server.state is trioserver.State.STOPPED
