"""``handshake_request``: what comes between ``verify_request`` and the handler, in the request's own task."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import wait_until

import trioserver
from trioserver import HandshakeError, LimitExceeded, Outcome, RequestState

from .fakes import QueueServer, assert_accounted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Shaking(QueueServer):
    """Awaits what a function returns, and notes which hooks were called."""

    def __init__(self, handshake: Callable[[Any], Awaitable[object] | None], **options: Any) -> None:
        super().__init__(self.handler, **options)
        self._handshake = handshake
        self.steps: list[str] = []

    async def handler(self, request: Any, client_address: Any, server: Any) -> None:
        self.steps.append("handler")

    async def verify_request(self, request: Any, client_address: Any) -> bool:
        self.steps.append("verify_request")
        return bool(request != "rejected")

    def handshake_request(self, request: Any, client_address: Any) -> Awaitable[object] | None:
        self.steps.append("handshake_request")
        return self._handshake(request)

    async def process_request(self, request: Any, client_address: Any) -> None:
        self.steps.append("process_request")
        await super().process_request(request, client_address)

    async def shutdown_request(self, request: Any) -> None:
        self.steps.append("shutdown_request")
        await super().shutdown_request(request)


async def agree() -> str:
    """A handshake that succeeds."""
    await trio.lowlevel.checkpoint()
    return "no matter what"


async def stall() -> None:
    """A handshake that the client does not go on with."""
    await trio.sleep_forever()


async def fail(error: BaseException) -> None:
    """A handshake that does not succeed."""
    await trio.lowlevel.checkpoint()
    raise error


@pytest.mark.parametrize("waits", [True, False])
async def test_handshake_when_there_is_nothing_to_say_or_it_succeeds_then_the_handler_is_called(
    waits: bool,
) -> None:
    """``None`` is nothing to await; otherwise what it returns is awaited, whatever the result."""
    server = Shaking(lambda request: agree() if waits else None)
    async with server.running():
        server.put(1)
        await wait_until(lambda: server.closed)
    assert server.steps == [
        "verify_request",
        "handshake_request",
        "process_request",
        "handler",
        "shutdown_request",
    ]
    assert [ended.outcome for ended in server.ended()] == [Outcome.FINISHED]
    assert_accounted(server)


async def test_handshake_when_the_request_is_rejected_then_there_is_none() -> None:
    """Nothing is agreed on with those who are not served."""
    server = Shaking(lambda request: fail(AssertionError("called")))
    async with server.running():
        server.put("rejected")
        await wait_until(lambda: server.closed)
    assert server.steps == ["verify_request", "shutdown_request"]
    assert [ended.outcome for ended in server.ended()] == [Outcome.REJECTED]


TRANSPORT_ERRORS = [HandshakeError("no shared cipher"), LimitExceeded("too long a header", limit=107)]


@pytest.mark.parametrize("error", TRANSPORT_ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("raised", ["awaited", "at once"])
async def test_handshake_when_the_client_fails_at_it_then_that_is_no_error_of_the_servers(
    error: trioserver.TransportError, raised: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The request failed, closed in order; one line at DEBUG; no ``handle_error``, no handler."""

    def handshake(request: Any) -> Awaitable[object]:
        if raised == "at once":
            raise error
        return fail(error)

    server = Shaking(handshake)
    with caplog.at_level(logging.DEBUG, logger="trioserver"):
        async with server.running():
            server.put(1)
            await wait_until(lambda: server.closed)
    assert server.steps == ["verify_request", "handshake_request", "shutdown_request"]
    assert server.errors == []
    (ended,) = server.ended()
    assert (ended.outcome, ended.error) == (Outcome.FAILED, error)
    (log,) = caplog.records
    assert (log.levelno, log.exc_info) == (logging.DEBUG, None)
    assert str(error) in log.getMessage()
    assert "client 1" in log.getMessage()
    assert_accounted(server)


async def test_handshake_when_the_client_fails_then_a_handle_error_that_raises_does_not_stop_the_server() -> (
    None
):
    """Who lets errors stop the server does not let every port scan do it."""

    class Strict(Shaking):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            raise AssertionError("stopped by a client")

    server = Strict(lambda request: fail(HandshakeError("scan")) if request < 10 else None)
    async with server.running():
        server.put(*range(11))
        await wait_until(lambda: len(server.closed) == 11)
        assert server.statistics().failed == 10
        assert server.statistics().finished == 1


async def test_p4_handshake_when_it_raises_any_other_error_then_it_is_handled_as_such() -> None:
    """A bug in the hook is no failure of the client's."""
    server = Shaking(lambda request: fail(LookupError("bug")))
    async with server.running():
        server.put(1)
        await wait_until(lambda: server.closed)
    assert [repr(error) for error in server.errors] == ["LookupError('bug')"]
    assert "process_request" not in server.steps
    assert [ended.outcome for ended in server.ended()] == [Outcome.FAILED]
    assert_accounted(server)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
async def test_p4_handshake_when_it_raises_no_exception_then_the_server_stops_with_it_bare(
    error: type[BaseException],
) -> None:
    """As for any other hook of a request."""
    server = Shaking(lambda request: fail(error()))
    server.put(1)
    with pytest.raises(error):
        await server.serve_forever()
    assert server.errors == []
    assert_accounted(server)


async def test_handshake_while_it_lasts_then_the_record_says_so_and_it_can_be_cancelled() -> None:
    """Its state is HANDSHAKE; cancelled, it is closed at once, and no handler is called."""
    server = Shaking(lambda request: stall())
    async with server.running():
        server.put(1)
        await trio.testing.wait_all_tasks_blocked()
        (record,) = server.requests
        assert record.state is RequestState.HANDSHAKE
        assert "handshake" in repr(record)
        record.cancel()
        await wait_until(lambda: server.closed)
    assert server.steps == ["verify_request", "handshake_request"]
    assert [ended.outcome for ended in server.ended()] == [Outcome.CANCELLED]
    assert_accounted(server)


async def test_p5_handshake_when_the_server_is_shut_down_then_it_ends_at_once() -> None:
    """No client can hold up a shutdown by not going on with it."""
    server = Shaking(lambda request: stall())
    async with server.running():
        server.put(1, 2)
        await trio.testing.wait_all_tasks_blocked()
        report = await server.shutdown()
    assert report.cancelled == 2
    assert_accounted(server, report)


async def test_p8_handshake_when_a_client_stalls_then_others_are_served_and_it_counts_as_a_request() -> None:
    """It holds one of ``max_requests``, and nothing else."""
    server = Shaking(lambda request: stall() if request == "stalls" else None, max_requests=2)
    async with server.running():
        server.put("stalls", 1, 2, 3)
        await wait_until(lambda: len(server.closed) == 3)
        assert server.closed == [1, 2, 3]
        server.put("stalls too", 4)
        await wait_until(lambda: len(server.closed) == 5)
        assert [record.request for record in server.requests] == ["stalls"]


async def test_p6_handshake_when_as_many_stall_as_there_may_be_then_no_more_are_accepted() -> None:
    """Until one of them ends."""
    server = Shaking(lambda request: stall(), max_requests=2)
    async with server.running():
        server.put(1, 2, 3)
        await trio.testing.wait_all_tasks_blocked()
        assert server.taken == [1, 2]
        server.requests[0].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert server.taken == [1, 2, 3]
