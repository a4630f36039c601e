"""P4: what ``finish`` raises once the request is cancelled is an error like any other."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from harness import wait_until

import trioserver
from trioserver import Outcome, Timeout

from .fakes import QueueServer, assert_accounted


class Finishing(trioserver.BaseRequestHandler[BaseException]):
    """Waits to be cancelled, and then raises what it was given as its request."""

    waits = 0.0

    async def handle(self) -> None:
        await trio.sleep_forever()

    async def finish(self) -> None:
        if self.waits:
            await trio.sleep(self.waits)
        raise self.request


class FinishingLater(Finishing):
    """The same, after a wait in ``finish``."""

    waits = 0.5


@pytest.mark.parametrize("handler", [Finishing, FinishingLater])
async def test_p4_finish_when_it_raises_after_a_cancellation_then_the_error_is_handled(
    handler: type[Finishing], autojump_clock: trio.testing.MockClock
) -> None:
    """It goes to ``handle_error``, bare, and the request failed; it must not get lost in the cancellation."""
    error = ValueError("the last line could not be written")
    server = QueueServer(handler)
    async with server.running():
        server.put(error)
        await wait_until(lambda: server.requests)
        server.requests[0].cancel()
        await trio.sleep(1)
    assert server.errors == [error]
    assert [(ended.outcome, ended.error) for ended in server.ended()] == [(Outcome.FAILED, error)]
    assert_accounted(server)


@pytest.mark.parametrize(
    "error", [SystemExit("stop"), KeyboardInterrupt("stop")], ids=lambda e: type(e).__name__
)
async def test_p4_finish_when_it_raises_no_exception_after_a_cancellation_then_the_server_stops_with_it(
    error: BaseException,
) -> None:
    """It propagates, bare, out of ``serve_forever()``."""
    server = QueueServer(Finishing)
    with pytest.raises(type(error), match="stop"):
        async with server.running():
            server.put(error)
            await wait_until(lambda: server.requests)
            server.requests[0].cancel()
            await trio.testing.wait_all_tasks_blocked()
            raise AssertionError("the server goes on")
    assert server.errors == []
    assert_accounted(server)


async def test_finish_timeout_when_finish_makes_another_error_of_it_then_the_event_has_both(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A library that turns a cancellation into an exception of its own does not hide which timeout fired."""

    class Converting(trioserver.BaseRequestHandler[Any]):
        finish_timeout = 1.0

        async def handle(self) -> None:
            await trio.sleep_forever()

        async def finish(self) -> None:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                raise ConnectionError("gave up") from None

    server = QueueServer(Converting)
    async with server.running():
        server.put(1)
        await wait_until(lambda: server.requests)
        server.requests[0].cancel()
        await trio.sleep(5)
    (ended,) = server.ended()
    assert ended.timeouts == (Timeout.FINISH,)
    assert repr(ended.error) == "ConnectionError('gave up')"
