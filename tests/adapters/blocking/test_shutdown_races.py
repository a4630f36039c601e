"""P5: a shutdown that comes as a serve begins, at whatever moment, ends it or makes it return at once."""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver

from .kit import SECONDS, Started, tcp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .kit import Call

    MakeCall = Callable[..., Call]

TURNS = 300


@pytest.fixture(autouse=True)
def threads_take_turns_often() -> Iterator[None]:
    """So that more orders of events are seen."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def both(*functions: Callable[[], object]) -> list[Any]:
    """Call them at the same time; what each returned or raised. AssertionError if one does not end."""
    barrier = threading.Barrier(len(functions))
    results: list[Any] = [None] * len(functions)

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = functions[number]()
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    return results


@pytest.mark.parametrize("how", ["shutdown", "request_shutdown", "stop"])
def test_p5_shutdown_when_it_races_with_the_first_serve_then_is_never_lost(how: str) -> None:
    """On a fresh server: it is the thread's very start that is raced with."""
    for _ in range(TURNS):
        server = tcp()
        served, _ = both(server.serve_forever, getattr(server, how))
        server.server_close()
        assert served is None


@pytest.mark.parametrize("how", ["shutdown", "request_shutdown"])
def test_p5_shutdown_when_it_races_with_a_later_serve_then_the_next_shutdown_ends_that(
    call: MakeCall, how: str
) -> None:
    """On one server, which has been served: a shutdown may have come before the serve, and is not kept."""
    with tcp() as server:
        for _ in range(TURNS):
            serve = call(server.serve_forever)
            getattr(server, how)()
            while serve.is_alive():
                server.shutdown()
                serve.join(0.0005)
            assert serve.wait() is None


def test_p5_shutdown_when_serving_is_on_its_way_then_that_is_what_it_ends(call: MakeCall) -> None:
    """Known for sure, here: the serve has been asked for, and the loop could not look at it yet."""
    held, blocked = threading.Event(), threading.Event()

    async def block() -> None:
        blocked.set()
        held.wait(SECONDS)  # the loop itself

    with tcp() as server:
        at_once = Started(trioserver.ServerStarted, server.request_shutdown)
        server.server.add_observer(at_once)
        server.serve_forever()
        server.server.remove_observer(at_once)
        busy = call(server.call, block)
        assert blocked.wait(SECONDS)
        serve = call(server.serve_forever)
        while not server._entering:
            pass
        shutdown = call(server.shutdown)
        assert shutdown.goes_on()
        held.set()
        assert serve.wait() is None
        assert shutdown.wait().accepted == 0
        busy.wait()


def test_p5_shutdown_when_the_program_serves_again_at_once_then_ends_one_run_and_not_two() -> None:
    """A program that restarts its server for each shutdown has one restart for each."""
    with tcp() as server:
        runs: list[str] = []

        def serve_twice() -> None:
            server.serve_forever()
            runs.append("one")
            server.serve_forever()

        for _ in range(100):
            runs.clear()
            thread = threading.Thread(target=serve_twice)
            started = threading.Event()
            observer = Started(trioserver.ServerStarted, started.set)
            server.server.add_observer(observer)
            thread.start()
            assert started.wait(SECONDS)
            started.clear()
            server.shutdown()
            assert started.wait(SECONDS)
            thread.join(0.0002)
            assert (thread.is_alive(), len(runs)) == (True, 1)
            server.shutdown()
            thread.join(SECONDS)
            assert not thread.is_alive()
            server.server.remove_observer(observer)


async def nothing() -> None:
    await trio.lowlevel.checkpoint()


async def in_a_nursery() -> None:
    """What is cancelled is a group, then."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        await trio.sleep_forever()


RACES: dict[str, Callable[[Any], object]] = {
    "serve_forever": lambda server: server.serve_forever(),
    "handle_request": lambda server: server.handle_request(),
    "start": lambda server: server.start(),
    "call": lambda server: server.call(nothing),
    "call in a nursery": lambda server: server.call(in_a_nursery),
}
NEVER_FAIL: dict[str, Callable[[Any], object]] = {
    "fileno": lambda server: server.fileno() and None,
    "shutdown": lambda server: server.shutdown() and None,
    "stop": lambda server: server.stop() and None,
    "server_close": lambda server: server.server_close(),
    "request_shutdown": lambda server: server.request_shutdown(),
}


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("name", [*RACES, *NEVER_FAIL])
def test_server_close_when_it_races_then_closes_and_leaves_nothing(name: str, started: bool) -> None:
    """Neither hangs, and what was called meanwhile says that the server is closed, or did what it is for."""
    other = (RACES | NEVER_FAIL)[name]
    for _ in range(50):
        server = tcp()
        if started:
            server.start()
        closed, result = both(server.server_close, partial(other, server))
        assert closed is None
        if name in NEVER_FAIL:
            assert result is None
        elif not (started and isinstance(result, trioserver.AlreadyServing)):
            assert result is None or type(result) is trioserver.ServerClosed
        assert server.server.fileno() == -1
        assert server.server.state is trioserver.State.CLOSED


def test_fileno_when_it_races_with_a_serve_then_the_server_is_opened_once() -> None:
    """The descriptor is the one that is served, or there is none yet; and none is left."""
    for _ in range(TURNS):
        server = tcp()
        server.server.add_observer(Started(trioserver.ServerStarted, server.request_shutdown))
        results = both(server.serve_forever, server.fileno, server.fileno)
        assert results[0] is None
        assert all(type(result) is int for result in results[1:])
        server.server_close()
        assert server.fileno() == -1
