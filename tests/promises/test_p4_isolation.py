"""P4: an error in one request goes to `handle_error` and touches no other request."""

from __future__ import annotations

import logging
import sys
from typing import Any, NoReturn

import pytest
import trio
import trio.testing
from harness import wait_until

import trioserver
from trioserver import Outcome

from .fakes import QueueServer, assert_accounted, current_error, forever


class Mine(BaseException):
    """Not an Exception."""


def raising(error: BaseException) -> Any:
    """A handler that raises ``error`` for the request "bad", and stays for others."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        await trio.lowlevel.checkpoint()
        if request == "bad":
            raise error
        await trio.sleep_forever()

    return handler


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        ExceptionGroup("several", [ValueError(1), ExceptionGroup("inner", [KeyError(2)])]),
        TimeoutError(),
        OSError(24, "Too many open files"),
        trio.BrokenResourceError(),
        StopAsyncIteration(),
    ],
    ids=repr,
)
async def test_p4_an_exception_is_handled_and_touches_no_other_request(error: Exception) -> None:
    """`handle_error` sees the very exception; the neighbours go on and more are served."""
    server = QueueServer(raising(error))
    async with server.running():
        server.put("before", "bad", "after")
        await wait_until(lambda: server.errors)
        await trio.testing.wait_all_tasks_blocked()
        assert [record.request for record in server.requests] == ["before", "after"]
        assert server.errors == [error]
        (ended,) = server.ended()
        assert (ended.outcome, ended.error) == (Outcome.FAILED, error)
    assert_accounted(server)


async def test_p4_a_synchronous_failure_before_the_first_await_is_handled() -> None:
    """A callable that raises at once, or returns what can not be awaited, fails its request only."""

    def synchronous(request: Any, client_address: Any, server: Any) -> Any:
        if request == "raises":
            raise ValueError(request)
        return None

    server = QueueServer(synchronous)
    async with server.running():
        server.put("raises", "returns")
        await wait_until(lambda: len(server.errors) == 2)
    assert {type(error) for error in server.errors} == {ValueError, TypeError}
    assert_accounted(server)


async def test_p4_handle_error_runs_in_the_requests_own_task() -> None:
    """Context variables, cancel scopes and the live record are the request's there."""
    tasks: list[trio.lowlevel.Task] = []
    states: list[trioserver.RequestState] = []

    class Server(QueueServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            await trio.lowlevel.checkpoint()
            tasks.append(trio.lowlevel.current_task())
            states.append(self.requests[0].state)
            assert (request, client_address) == ("bad", "client bad")
            assert str(current_error()) == "bad"  # also after a checkpoint

    async def handler(request: Any, client_address: Any, server: Any) -> NoReturn:
        tasks.append(trio.lowlevel.current_task())
        raise ValueError("bad")

    server = Server(handler)
    async with server.running():
        server.put("bad")
        await wait_until(lambda: server.closed)
    assert tasks[0] is tasks[1]
    assert states == [trioserver.RequestState.RUNNING]


async def test_p4_a_group_that_mixes_cancellation_and_errors_is_split() -> None:
    """Of a cancelled handler whose child fails, `handle_error` gets the errors and the rest is cancelled."""

    async def fails_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("while cleaning up")

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        with trio.CancelScope() as own:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fails_when_cancelled)
                # A sibling whose Cancelled reaches the same group.
                await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)
        assert not own.cancelled_caught

    server = QueueServer(handler)
    async with server.running():
        server.put(1, 2)
        await wait_until(lambda: len(server.requests) == 2)
        await trio.testing.wait_all_tasks_blocked()
        server.requests[0].cancel()
        await wait_until(lambda: server.closed)
        assert server.closed == [1]
        (error,) = server.errors
        assert isinstance(error, ExceptionGroup)
        assert not isinstance(error, trio.Cancelled)
        assert [type(part) for part in error.exceptions] == [ValueError]
        (ended,) = server.ended()
        assert (ended.outcome, ended.error) == (Outcome.FAILED, error)
        assert len(server.requests) == 1
    assert_accounted(server)


async def test_p4_exc_info_is_only_the_errors_part_of_a_mixed_group() -> None:
    """What a log would print has no Cancelled in it, keeps the context, and is what is being handled."""
    context = KeyError("before")

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        async def cancelled() -> None:
            await trio.sleep_forever()

        try:
            raise context
        except KeyError:
            pass
        raised: list[BaseException] = [ValueError("error")]
        (record,) = server.requests
        record.cancel()
        try:
            await cancelled()
        except trio.Cancelled as exc:
            raised.append(exc)
        raise BaseExceptionGroup("mixed", raised)

    infos: list[Any] = []

    class Server(QueueServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            infos.append(sys.exc_info())

    server = Server(handler)
    async with server.running():
        server.put(1)
        await wait_until(lambda: server.closed)
    ((kind, error, traceback),) = infos
    assert kind is ExceptionGroup
    assert [repr(part) for part in error.exceptions] == ["ValueError('error')"]
    assert traceback is not None
    assert_accounted(server)


async def test_p4_an_observer_that_raises_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged; the other observers still hear everything and the server goes on."""
    server = QueueServer(forever)

    def broken(event: trioserver.ServerEvent) -> None:
        raise ValueError("observer")

    heard: list[trioserver.ServerEvent] = []
    server.add_observer(broken)
    server.add_observer(heard.append)
    async with server.running():
        server.put(1)
        await wait_until(lambda: server.requests)
    assert [type(event) for event in heard] == [type(event) for event in server.recorder]
    assert len(caplog.records) == len(heard) == 5
    assert {(record.name, record.levelno) for record in caplog.records} == {("trioserver", logging.ERROR)}
    assert_accounted(server)
