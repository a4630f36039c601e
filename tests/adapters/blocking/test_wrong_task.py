"""What could only wait for itself says so, and what to call instead; ``request_shutdown`` works there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver

from .kit import client_of, receive_all, tcp
from .places import TRIO_THREAD, WORKERS, Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kit import Call

    MakeCall = Callable[..., Call]

BLOCKING: dict[str, Callable[[Any], object]] = {
    "serve_forever": lambda server: server.serve_forever(),
    "handle_request": lambda server: server.handle_request(),
    "start": lambda server: server.start(),
    "stop": lambda server: server.stop(),
    "shutdown": lambda server: server.shutdown(),
    "server_close": lambda server: server.server_close(),
    "call": lambda server: server.call(trio.sleep, 0),
    "fileno": lambda server: server.fileno(),
    "__enter__": lambda server: server.__enter__(),
}
STOPPING = ["stop", "shutdown", "server_close"]


@pytest.mark.parametrize("name", BLOCKING)
@pytest.mark.parametrize("place", TRIO_THREAD)
def test_p5_what_blocks_when_called_in_the_trio_thread_then_says_what_to_call_there(
    place: type[Place], name: str
) -> None:
    """The loop would wait for itself. What asks for the end asks for it nevertheless."""
    here = place(BLOCKING[name])
    with here.server as server, client_of(server) as client:
        if name in STOPPING:
            server.serve_forever()
        else:
            server.start()
            server.call(_until, lambda: here.raised)
            assert server.server.state is trioserver.State.SERVING
            server.stop()
        assert receive_all(client) == b""
    (error,) = here.raised
    assert type(error) is trioserver.WrongTask
    assert str(error).startswith(f"{name}() ")
    assert "there, " in str(error) or name == "server_close"


async def _until(condition: Callable[[], object]) -> None:
    with trio.fail_after(10):
        while not condition():
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("grace_period", [0.0, 60, None])
@pytest.mark.parametrize("name", STOPPING)
@pytest.mark.parametrize("place", WORKERS)
def test_p5_what_waits_for_requests_when_called_in_a_thread_of_one_then_is_refused(
    place: type[Place], name: str, grace_period: float | None
) -> None:
    """Also where the server would not wait for that thread, or would for a while; it is asked to stop."""

    def stop(server: Any) -> None:
        method = getattr(server, name)
        method() if name == "server_close" else method(grace_period)

    here = place(stop)
    with here.server as server, client_of(server) as client:
        if grace_period != 0:
            server.start()
            server.call(_until, lambda: here.raised)
            server.stop()
        else:
            server.serve_forever()
        assert receive_all(client) == b""
    (error,) = here.raised
    assert type(error) is trioserver.WrongTask


@pytest.mark.parametrize("place", [*TRIO_THREAD, *WORKERS])
def test_p5_request_shutdown_when_called_anywhere_then_the_server_stops(place: type[Place]) -> None:
    """It does not wait."""
    here = place(lambda server: server.request_shutdown())
    with here.server as server, client_of(server) as client:
        server.serve_forever()
        assert receive_all(client) == b""
        assert server.shutdown().cancelled == 1
    assert here.raised == []


@pytest.mark.parametrize("place", WORKERS)
def test_serve_forever_when_called_in_a_thread_of_a_request_then_says_that_it_is_served(
    place: type[Place],
) -> None:
    """Nor does that wait for ever."""
    for name in ("serve_forever", "handle_request", "start"):
        here = place(BLOCKING[name])
        with here.server as server, client_of(server):
            server.start()
            server.call(_until, lambda here=here: here.raised)
        assert [type(error) for error in here.raised] == [trioserver.AlreadyServing]


@pytest.mark.parametrize("place", WORKERS)
def test_call_when_made_in_a_thread_of_a_request_then_runs(place: type[Place]) -> None:
    """The loop is free meanwhile."""
    results: list[object] = []
    here = place(lambda server: results.append(server.call(_until, lambda: True)))
    with here.server as server, client_of(server):
        server.start()
        server.call(_until, lambda: results or here.raised)
    assert (results, here.raised) == ([None], [])


async def in_thread(function: Callable[[], Any]) -> Any:
    """Call it in a worker thread."""
    return await trio.to_thread.run_sync(function)


def test_shutdown_when_called_in_a_thread_that_a_call_waits_for_then_waits() -> None:
    """It is no request's: there is nothing to wait for itself."""
    with tcp() as server:
        server.start()
        assert server.call(in_thread, server.shutdown).accepted == 0
        server.start()
        assert server.call(in_thread, server.stop).accepted == 0
        assert server.server.state is trioserver.State.STOPPED


def test_server_close_when_called_in_a_thread_that_a_call_waits_for_then_closes() -> None:
    """And does not wait for the loop, which waits for it; the call may be cut short by that."""
    server = tcp()
    server.start()
    with contextlib.suppress(trioserver.ServerClosed):
        server.call(in_thread, server.server_close)
    server.server_close()
    assert server.server.state is trioserver.State.CLOSED


def test_shutdown_when_called_in_a_handler_of_another_server_then_waits() -> None:
    """In a worker thread: the other one's loop is free, and stops."""
    other = tcp()

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        await trio.to_thread.run_sync(other.shutdown)
        await request.send_all(b"stopped")

    with other, tcp(handler) as server, client_of(server) as client:
        other.start()
        server.start()
        assert receive_all(client) == b"stopped"
        assert other.server.state is trioserver.State.STOPPED
