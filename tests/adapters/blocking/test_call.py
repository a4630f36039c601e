"""``call``: something beside the server, in its loop."""

from __future__ import annotations

import contextvars
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver

from .kit import Flag, Started, ask, client_of, tcp, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kit import Call

    MakeCall = Callable[..., Call]

number = contextvars.ContextVar("number", default=0)


async def add(one: int, other: int) -> int:
    await trio.lowlevel.checkpoint()
    return one + other


def test_call_when_the_function_returns_then_that_is_the_result() -> None:
    """With its arguments, before, while and after the server runs."""
    with tcp() as server:
        assert server.call(add, 1, 2) == 3
        server.start()
        assert server.call(partial(add, other=3), 1) == 4
        server.stop()
        assert server.call(add, 2, 3) == 5


def test_call_when_made_then_runs_beside_the_server_in_its_loop() -> None:
    """So it may use the native server's own methods."""

    async def look() -> tuple[str, int]:
        await trio.lowlevel.checkpoint()
        return threading.current_thread().name, len(server.server.requests)

    with tcp() as server:
        server.start()
        with client_of(server):
            wait_until(lambda: server.call(look)[1] == 1)
        assert "TCPServer" in server.call(look)[0]
        assert server.call(server.server.shutdown).accepted == 1


@pytest.mark.parametrize("error", [ZeroDivisionError(), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_call_when_the_function_raises_then_that_is_raised_bare_and_the_server_goes_on(
    error: BaseException,
) -> None:
    """Whatever it is, the same object."""

    async def fail() -> None:
        raise error

    with tcp() as server:
        server.start()
        with pytest.raises(type(error)) as caught:
            server.call(fail)
        assert caught.value is error
        assert (error.__cause__, error.__context__) == (None, None)
        assert ask(server) == b"hello\n"


def test_call_when_a_group_is_raised_then_it_is_that_group() -> None:
    """As it is, whatever is in it."""
    group = ExceptionGroup("two", [ZeroDivisionError(), ValueError()])

    async def fail() -> None:
        raise group

    with tcp() as server, pytest.raises(ExceptionGroup) as caught:
        server.call(fail)
    assert caught.value is group


def test_call_when_context_variables_are_set_then_the_function_sees_a_copy() -> None:
    """Those of the caller; what it sets is its own."""

    async def read_and_set() -> int:
        before = number.get()
        number.set(99)
        return before

    with tcp() as server:
        token = number.set(7)
        try:
            assert server.call(read_and_set) == number.get() == 7
        finally:
            number.reset(token)
        assert server.call(read_and_set) == 0


def test_serve_forever_when_context_variables_are_set_then_handlers_see_them() -> None:
    """Those of whoever serves."""
    seen: list[int] = []

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        seen.append(number.get())
        server.request_shutdown(None)

    with tcp(handler) as server, client_of(server):
        token = number.set(7)
        try:
            server.serve_forever()
        finally:
            number.reset(token)
    assert seen == [7]


def test_call_when_many_threads_make_them_then_each_gets_its_own_result(call: MakeCall) -> None:
    """They run side by side."""
    count = 20

    async def meet(which: int) -> int:
        arrived.append(which)
        if len(arrived) == count:
            together.set()
        await together.wait()
        return which

    arrived: list[int] = []
    together = trio.Event()
    with tcp() as server:
        calls = [call(server.call, meet, which) for which in range(count)]
        assert [each.wait() for each in calls] == list(range(count))


async def in_a_nursery() -> None:
    """Cancelled, it raises a group of nothing but that."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        await trio.sleep_forever()


@pytest.mark.parametrize("function", [trio.sleep_forever, in_a_nursery])
def test_call_when_the_server_is_closed_meanwhile_then_says_so(
    call: MakeCall, function: Callable[[], Any]
) -> None:
    """The function is cancelled."""
    server = tcp()
    calls = [call(server.call, function) for _ in range(3)]
    assert calls[0].goes_on()
    server.server_close()
    for each in calls:
        with pytest.raises(trioserver.ServerClosed):
            each.wait()


def test_call_when_the_closing_finds_an_error_then_that_is_raised(call: MakeCall) -> None:
    """And not the cancellation that it came with."""
    begun = Flag()

    async def fail() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                begun.set()
                await trio.sleep_forever()
            finally:
                raise ZeroDivisionError

    server = tcp()
    failing = call(server.call, fail)
    begun.block()
    server.server_close()
    with pytest.raises(ExceptionGroup) as caught:
        failing.wait()
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]


def test_call_when_it_comes_as_the_loop_ends_then_says_that_the_server_is_closed(call: MakeCall) -> None:
    """At the moment at which the loop takes no more tasks, but is still there: one of these tries is then."""
    for _ in range(20):
        server = tcp()
        late: list[Call] = []
        begun = Flag()

        async def last(server: Any = server, late: list[Any] = late, begun: Flag = begun) -> None:
            try:
                begun.set()
                await trio.sleep_forever()
            finally:
                # As of a call that had begun before: the server's own method would say that it is closed.
                late.append(call(server._thread.call, partial(trio.sleep, 0)))
                late[0].join(0.002)  # the loop itself waits, until that call is under way

        running = call(server.call, last)
        begun.block()
        server.server_close()
        for each in (running, late[0]):
            with pytest.raises(trioserver.ServerClosed):
                each.wait()


def test_call_when_the_server_stops_then_goes_on(call: MakeCall) -> None:
    """It is no request."""
    go = trio.Event()
    with tcp() as server:
        server.server.add_observer(Started(trioserver.ServerStopped, go.set))
        server.start()
        waiting = call(server.call, go.wait)
        assert waiting.goes_on()
        server.stop()
        waiting.wait()
