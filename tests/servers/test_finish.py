"""``finish`` gets its time whenever the cancellation comes."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import trioserver


class OneRequest(trioserver.BaseServer[int]):
    """One request, and then no other."""

    given = False
    finished: list[float] = []  # noqa: RUF012  each test sets its own

    async def get_request(self) -> tuple[int, str]:
        if self.given:
            await trio.sleep_forever()
        self.given = True
        return 1, "client"


class Slow(trioserver.BaseRequestHandler[int]):
    """Takes as long as its server says."""

    finish_timeout = 5.0
    handle_seconds = 0.0
    finish_seconds = 3.0

    def __init__(self, request: int, client_address: Any, server: Any) -> None:
        super().__init__(request, client_address, server)
        self.finished: list[float] = server.finished

    async def handle(self) -> None:
        await trio.sleep(self.handle_seconds)

    async def finish(self) -> None:
        await trio.sleep(self.finish_seconds)
        self.finished.append(trio.current_time())


class Slower(Slow):
    """Needs more than it gets."""

    finish_seconds = 30.0


@pytest.mark.parametrize(
    ("handle_seconds", "stop_after"), [(0.0, 1.0), (10.0, 1.0)], ids=["while it runs", "before it runs"]
)
async def test_finish_when_the_request_is_cancelled_then_goes_on_to_its_end(
    autojump_clock: trio.testing.MockClock, handle_seconds: float, stop_after: float
) -> None:
    """It is shielded, be it cancelled before or meanwhile."""

    class Handler(Slow):
        pass

    Handler.handle_seconds = handle_seconds
    server = OneRequest("queue", Handler)
    finished: list[float] = []
    server.finished = finished
    start = trio.current_time()
    async with server.running():
        await trio.sleep(stop_after)
        await server.shutdown()
    assert [time - start for time in finished] == [pytest.approx(3.0 + (stop_after if handle_seconds else 0))]


async def test_finish_when_cancelled_meanwhile_then_has_finish_timeout_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The time counts from the cancellation, and then it is over."""
    server = OneRequest("queue", Slower)
    server.finished = []
    start = trio.current_time()
    async with server.running():
        await trio.sleep(20)
        await server.shutdown()
    assert trio.current_time() - start == pytest.approx(25.0)
    assert server.finished == []


async def test_finish_when_it_raises_then_the_error_is_in_no_group() -> None:
    """``handle_error`` sees what it raised."""
    errors: list[BaseException | None] = []

    class Failing(trioserver.BaseRequestHandler[int]):
        async def finish(self) -> None:
            raise ValueError("finish")

    class Server(OneRequest):
        async def handle_error(self, request: int, client_address: Any) -> None:
            errors.append(self.requests[0].error)
            self.request_shutdown()

    await Server("queue", Failing).serve_forever()
    assert [type(error) for error in errors] == [ValueError]
