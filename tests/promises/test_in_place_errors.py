"""What requests that are served in place raise: handled as for any other, in a task that is made for it."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Any

import pytest
import trio
import trio.testing
from harness import wait_until

import trioserver

from .fakes import at_once, current_error
from .in_place import InPlace, assert_counted, fail_for


async def test_p4_in_place_when_one_fails_then_its_error_is_handled_and_the_others_are_served() -> None:
    """``handle_error`` gets it, with the traceback of where it was raised, in the request's own task."""
    records: list[Any] = []

    class Server(InPlace):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            records.append((request, client_address, self.current_request()))
            await trio.lowlevel.checkpoint()
            await super().handle_error(request, client_address)

    server = Server(fail_for(3, 5), *range(8))
    async with server.running():
        await wait_until(lambda: server.statistics().failed == 2)
    assert server.served == list(range(8))
    assert sorted(str(error) for error in server.errors) == ["3", "5"]
    assert {(request, address, record.request) for request, address, record in records} == {
        (3, "client 3", 3),
        (5, "client 5", 5),
    }
    error = server.errors[0]
    assert isinstance(error, ValueError)
    traceback = error.__traceback__
    names = []
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert names[-2:] == ["handle_in_place", "function"]
    assert {ended.error for ended in server.ended() if ended.error} == set(server.errors)
    assert_counted(server, finished=6, failed=2)


async def test_p4_in_place_when_it_fails_then_it_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By the default ``handle_error``, as for any handler."""

    class Server(InPlace):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            self.errors.append(current_error())
            await trioserver.BaseServer.handle_error(self, request, client_address)

    server = Server(fail_for(1), 1)
    with caplog.at_level(logging.DEBUG, logger="trioserver"):
        async with server.running():
            await wait_until(lambda: server.ended())
    (log,) = caplog.records
    assert log.levelno == logging.ERROR
    assert log.exc_info is not None
    assert [log.exc_info[1]] == server.errors


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
async def test_p4_in_place_when_it_raises_no_exception_then_the_server_stops_with_it_bare(
    error: type[BaseException],
) -> None:
    """SystemExit and the like: not handled, in no group, and counted as a failure."""
    server = InPlace(fail_for(2, error=error), 1, 2)
    with pytest.raises(error) as caught:
        await server.serve_forever()
    assert caught.value.args == (2,)
    assert server.errors == []
    assert_counted(server, finished=1, failed=1)


async def test_p4_in_place_when_it_raises_a_group_then_its_errors_are_handled_and_the_rest_stops() -> None:
    """Errors go to ``handle_error``, what is none propagates."""

    def function(request: Any) -> None:
        raise BaseExceptionGroup("both", [ValueError("handled"), SystemExit("propagated")])

    server = InPlace(function, 1)
    with pytest.raises(SystemExit, match="propagated"):
        await server.serve_forever()
    (error,) = server.errors
    assert isinstance(error, ExceptionGroup)
    assert [str(part) for part in error.exceptions] == ["handled"]
    assert_counted(server, failed=1)


async def test_p4_in_place_when_handle_error_raises_then_that_stops_the_server() -> None:
    """As it does for a request with a task."""

    class Server(InPlace):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            raise LookupError("enough") from current_error()

    server = Server(fail_for(1), 1)
    with pytest.raises(LookupError, match="enough"):
        await server.serve_forever()
    assert_counted(server, failed=1)


async def test_p5_in_place_when_handle_error_is_stuck_then_a_shutdown_ends_it() -> None:
    """A report that takes for ever is a request like others: it is listed, and cancelled."""

    class Server(InPlace):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            await trio.sleep_forever()

    server = Server(fail_for(1), 1, 2)
    async with server.running():
        await wait_until(lambda: server.served == [1, 2])
        assert [record.request for record in server.requests] == [1]
        report = await server.shutdown()
    assert (report.finished, report.failed) == (1, 1)
    assert_counted(server, finished=1, failed=1)


async def test_p9_in_place_when_they_fail_then_no_error_is_kept_alive() -> None:
    """Neither by a cycle nor by a task that waits."""

    class Big:
        alive = 0

        def __init__(self) -> None:
            Big.alive += 1

        def __del__(self) -> None:
            Big.alive -= 1

    class Server(trioserver.BaseServer[Any]):
        left = 500
        reported = 0

        @property
        def serves_in_place(self) -> bool:
            return True

        async def get_request(self) -> tuple[Any, Any]:
            if not self.left:
                await trio.sleep_forever()
            self.left -= 1
            return Big(), "client"

        def handle_in_place(self, request: Any, client_address: Any) -> None:
            raise ValueError(request)

        async def handle_error(self, request: Any, client_address: Any) -> None:
            self.reported += 1

    server = Server("x", at_once)
    async with server.running():
        await wait_until(lambda: server.reported == 500)
        await trio.testing.wait_all_tasks_blocked()
        assert Big.alive == 0


def test_p2_in_place_when_ctrl_c_strikes_then_it_comes_out_bare_and_the_request_is_counted() -> None:
    """In the handler it is raised there and then; the server stops, and everything adds up."""

    def function(request: Any) -> None:
        if request == 2:
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the handler is not protected from it")

    server = InPlace(function, 1, 2)

    async def main() -> None:
        async with server.running():
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert server.errors == []
    assert_counted(server, finished=1, failed=1)


def test_p2_in_place_when_ctrl_c_comes_at_any_line_of_the_engine_then_everything_adds_up() -> None:
    """Between accept and being counted there is no moment at which a request is nobody's."""

    def tracer(k: int, lines: list[int]) -> Any:
        def trace(frame: Any, event: str, arg: object) -> Any:
            if not frame.f_code.co_filename.endswith("_engine/serve.py"):
                return None
            if event == "line":
                lines[0] += 1
                if lines[0] == k:
                    sys.settrace(None)
                    signal.raise_signal(signal.SIGINT)
                    return None
            return trace

        return trace

    async def main(server: InPlace, trace: Any) -> None:
        async with server.running():
            sys.settrace(trace)
            try:
                server.put("good", "bad")
                await wait_until(lambda: len(server.ended()) == 2)
            finally:
                sys.settrace(None)

    k = interrupted = 0
    lines = [0]
    before = sys.gettrace()
    while lines[0] >= k:
        k += 1
        lines = [0]
        server = InPlace(fail_for("bad"))
        try:
            trio.run(main, server, tracer(k, lines))
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(before)
        statistics = server.statistics()
        assert statistics.active == 0
        assert statistics.accepted == statistics.finished + statistics.failed + statistics.cancelled
        assert len(server.ended()) == statistics.accepted == len(server.taken)
        assert server.names()[-1] == "ServerStopped"
    assert interrupted > 20
