"""Replies to a client that pipelines are gathered, and never lost or out of order for it."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing
from harness import client_of

import trioserver


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
