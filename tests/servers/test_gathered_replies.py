"""Replies to a client that pipelines are gathered, and never lost or out of order for it."""

from __future__ import annotations

import logging
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import Recorder, client_of

import trioserver

if TYPE_CHECKING:
    from pathlib import Path


async def test_aclose_when_replies_are_gathered_then_sends_them_first(io_path: str) -> None:
    """It makes no difference to a reply whether the client had sent more."""

    class Quit(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            await self.rfile.readline()
            await self.wfile.write(b"bye\n")
            await self.request.aclose()

    server = trioserver.TCPServer(("127.0.0.1", 0), Quit)
    async with server.running():
        for sent in (b"QUIT\n", b"QUIT\nextra\n"):
            async with client_of(server) as client:
                await client.send_all(sent)
                assert await client.receive_some() == b"bye\n"


async def test_shutdown_when_a_reply_is_gathered_then_finish_sends_it(io_path: str) -> None:
    """What a write has returned for is sent, though the handler is cancelled right after it."""

    class Handler(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            await self.rfile.readline()
            await self.wfile.write(b"bye\n")
            self.server.request_shutdown()
            await trio.sleep_forever()

    server = trioserver.TCPServer(("127.0.0.1", 0), Handler)
    async with server.running(), client_of(server) as client:
        await client.send_all(b"QUIT\nextra\n")
        assert await client.receive_some() == b"bye\n"


async def test_shutdown_when_it_was_cancelled_late_then_stops_no_later_run() -> None:
    """A shutdown of a server that had stopped has nothing to do with the next run."""

    async def handler(request: Any, client_address: Any, server: Any) -> None: ...

    server = trioserver.TCPServer(("127.0.0.1", 0), handler)
    async with server.running():
        pass
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:

            async def serve() -> None:
                await nursery.start(server.serve_forever)

            nursery.start_soon(serve)
            scope.cancel()
            await server.shutdown()
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
        assert server.state is trioserver.State.SERVING
        await server.shutdown()


@pytest.mark.parametrize("writes_again", [True, False])
async def test_close_when_gathered_replies_could_not_be_sent_then_it_is_told_once(
    writes_again: bool, tmp_path: Path, io_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that left fails the handler that writes, or nobody, and not the closing once more."""
    caplog.set_level(logging.DEBUG, "trioserver")
    left = trio.Event()

    class Handler(trioserver.StreamRequestHandler):
        wbufsize = -1

        async def handle(self) -> None:
            await left.wait()
            while line := await self.rfile.readline():
                if writes_again or line == b"one\n":
                    await self.wfile.write(line)

    server = trioserver.UnixStreamServer(tmp_path / "s", Handler)
    recorder = Recorder()
    server.add_observer(recorder)
    async with server.running(grace_period=None), client_of(server) as client:
        await client.send_all(b"one\ntwo\nthree")
        while not server.requests:
            await trio.lowlevel.checkpoint()
        await client.aclose()
        left.set()
    ended = [event.outcome.value for event in recorder.events if isinstance(event, trioserver.RequestEnded)]
    assert ended == ["failed" if writes_again else "finished"]
    assert len(caplog.records) == writes_again


async def test_close_when_gathered_replies_do_not_fit_then_nobody_waits_for_the_rest(io_path: str) -> None:
    """What does not fit is lost then, and neither a flush nor the end of the handler waits for it."""

    class Handler(trioserver.StreamRequestHandler):
        wbufsize = 1 << 25

        async def handle(self) -> None:
            await self.wfile.write(bytes(1 << 24))
            self.request.close()
            await self.wfile.flush()

    server = trioserver.TCPServer(("127.0.0.1", 0), Handler)
    async with server.running(), client_of(server):
        with trio.fail_after(5):
            while not server.statistics().accepted:
                await trio.lowlevel.checkpoint()
            report = await server.shutdown(None)
    assert report.finished == 1


@pytest.mark.parametrize("reads_on", [True, False])
async def test_gathered_replies_when_another_task_sends_then_they_follow_it(
    reads_on: bool, io_path: str
) -> None:
    """Also where the handler neither writes nor reads once the other one is done."""
    large = 1 << 24
    gathered = trio.Event()

    class Handler(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.request.send_all, bytes(large))
                await trio.testing.wait_all_tasks_blocked()
                await self.wfile.write(await self.rfile.readline())
                await trio.testing.wait_all_tasks_blocked()
                gathered.set()
                if reads_on:
                    await self.rfile.readline()
                await trio.sleep_forever()

    server = trioserver.TCPServer(("127.0.0.1", 0), Handler)
    async with server.running(), client_of(server) as client:
        await client.send_all(b"reply\nextra")
        await gathered.wait()
        received = b""
        with trio.fail_after(5):
            while len(received) < large + len(b"reply\n"):
                received += await client.receive_some()
    assert received.endswith(b"\0reply\n")


async def test_handler_when_it_fails_and_the_client_has_left_then_its_error_is_the_one_that_is_told(
    io_path: str,
) -> None:
    """That its gathered reply can not be sent either is no second error, in place of the first."""
    left = trio.Event()

    class Handler(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            await self.rfile.readline()
            await left.wait()
            await self.wfile.write(b"reply")
            raise ValueError("mine")

    class Server(trioserver.TCPServer):
        async def handle_error(self, request: trioserver.RequestStream, client_address: Any) -> None:
            raised.append(sys.exc_info()[0])

    raised: list[type[BaseException] | None] = []
    recorder = Recorder()
    server = Server(("127.0.0.1", 0), Handler)
    server.add_observer(recorder)
    async with server.running(grace_period=None), client_of(server) as client:
        await client.send_all(b"one\ntwo\n")
        while not server.statistics().bytes_received:
            await trio.lowlevel.checkpoint()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.socket.close()
        left.set()
    (ended,) = [event for event in recorder.events if isinstance(event, trioserver.RequestEnded)]
    assert raised == [ValueError]
    assert isinstance(ended.error, ValueError)
