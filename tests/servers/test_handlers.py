"""Handlers: the order of their steps, and `finish`, which always runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
import trio.testing
from harness import client_of, receive_all, wait_until

import trioserver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest


class Steps(trioserver.BaseRequestHandler):
    """Notes its steps; subclasses make some of them fail."""

    calls: list[str]

    async def setup(self) -> None:
        self.calls.append("setup")

    async def handle(self) -> None:
        self.calls.append("handle")

    async def finish(self) -> None:
        self.calls.append("finish")


async def serve_one(handler: Callable[..., Awaitable[object]]) -> trioserver.ShutdownReport:
    """Serve one connection to its end."""
    async with trioserver.TCPServer(("127.0.0.1", 0), handler).running() as server:
        async with client_of(server) as client:
            assert await receive_all(client) == b""
        return await server.shutdown(None)


async def test_steps_when_all_goes_well_then_setup_handle_finish(io_path: str) -> None:
    """Each is called once, in this order."""

    class Handler(Steps):
        calls: list[str] = []  # noqa: RUF012  for this one class

    report = await serve_one(Handler)
    assert Handler.calls == ["setup", "handle", "finish"]
    assert report.finished == 1


async def test_steps_when_handle_raises_then_finish_is_called() -> None:
    """An error in handle() is reported after finish() has run."""

    class Handler(Steps):
        calls: list[str] = []  # noqa: RUF012

        async def handle(self) -> None:
            raise KeyError("handle")

    report = await serve_one(Handler)
    assert Handler.calls == ["setup", "finish"]
    assert report.failed == 1


async def test_steps_when_setup_raises_then_nothing_else_is_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A handler that is half made is not finished; the error reported is setup's own."""

    class Handler(Steps):
        calls: list[str] = []  # noqa: RUF012

        async def setup(self) -> None:
            raise KeyError("setup")

    report = await serve_one(Handler)
    assert (Handler.calls, report.failed) == ([], 1)
    assert caplog.records[0].exc_info is not None
    assert repr(caplog.records[0].exc_info[1]) == "KeyError('setup')"


async def test_stream_handler_when_setup_does_not_call_super_then_its_own_error_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """finish() copes with a handler that has no ``wfile``; the stdlib's raises there and hides the error."""

    class Handler(trioserver.StreamRequestHandler):
        async def setup(self) -> None:
            pass

        async def handle(self) -> None:
            raise KeyError("handle")

    await serve_one(Handler)
    assert [repr(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["KeyError('handle')"]


async def test_finish_when_the_request_is_cancelled_then_it_may_still_wait(io_path: str) -> None:
    """A cancelled request's finish() is shielded: it can say goodbye."""

    class Handler(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            await self.wfile.write(b"hello ")
            await trio.sleep_forever()

        async def finish(self) -> None:
            await trio.lowlevel.checkpoint()
            await self.wfile.write(b"goodbye")
            await super().finish()

    async with trioserver.TCPServer(("127.0.0.1", 0), Handler).running() as server:
        async with client_of(server) as client:
            assert await client.receive_some() == b"hello "
            report = await server.shutdown()
            assert await receive_all(client) == b"goodbye"
    assert report.cancelled == 1


async def test_finish_when_it_takes_too_long_then_is_cancelled_after_finish_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The shield lasts for finish_timeout seconds and no longer."""
    began = trio.current_time()
    ended = []

    class Handler(trioserver.BaseRequestHandler[str]):
        finish_timeout = 3

        async def handle(self) -> None:
            await trio.sleep_forever()

        async def finish(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                ended.append(trio.current_time() - began)

    class Server(trioserver.BaseServer[str]):
        served = False

        async def get_request(self) -> tuple[str, None]:
            if self.served:
                await trio.sleep_forever()
            self.served = True
            return "request", None

    async with Server(None, Handler).running() as server:
        await wait_until(lambda: server.requests and server.requests[0].state.name == "RUNNING")
        await trio.testing.wait_all_tasks_blocked()
        report = await server.shutdown()
    assert ended == [3]
    assert report.cancelled == 1


def test_type_parameters_when_the_second_is_left_out_then_it_has_its_default() -> None:
    """What checkers allow works at run time as well, on every version."""

    class Handler(trioserver.BaseRequestHandler[str]):
        pass

    class Both(trioserver.BaseRequestHandler[str, trioserver.TCPServer]):
        pass

    assert issubclass(Handler, trioserver.BaseRequestHandler)
    assert issubclass(Both, trioserver.BaseRequestHandler)


async def test_handler_when_it_is_an_async_function_then_gets_request_address_and_server() -> None:
    """A plain function is a whole handler."""
    got: list[Any] = []

    async def handler(request: trioserver.RequestStream, client_address: Any, server: object) -> None:
        got.extend([request.socket.getpeername() == client_address, server])
        await request.send_all(b"hello")

    async with trioserver.TCPServer(("127.0.0.1", 0), handler).running() as server:
        async with client_of(server) as client:
            assert await receive_all(client) == b"hello"
    assert got == [True, server]


async def test_handler_when_it_is_a_synchronous_function_then_the_error_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What returns nothing to await fails its request with a clear error, and the server goes on."""

    def handler(request: object, client_address: object, server: object) -> None:
        """Forgot the ``async``."""

    misused: Any = handler
    report = await serve_one(misused)
    assert report.failed == 1
    assert "async function" in caplog.text
