"""P9, as far as it is the engine's: a client can not make the server keep more than its limits."""

from __future__ import annotations

import gc
import socket
import struct
import weakref
from typing import Any

import pytest
import trio
import trio.testing
from harness import client_of, wait_until

import trioserver

from .fakes import QueueServer, at_once, receive_until_closed


async def test_p9_a_client_that_pipelines_and_reads_nothing_is_held_back(io_path: str) -> None:
    """When the replies do not get away the server reads no further: a few buffers full, and not all of it."""
    line = bytes(1023) + b"\n"
    most_gathered = 0
    handled = 0

    class Echo(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            nonlocal most_gathered, handled
            async for line in self.rfile:
                await self.wfile.write(line)
                handled += 1
                most_gathered = max(most_gathered, self.wfile.pending + self.request.buffer.size)

    server = trioserver.TCPServer(("127.0.0.1", 0), Echo)
    async with server.running():
        async with client_of(server) as client:
            client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 65536)

            async def send() -> None:
                for _ in range(64):
                    await client.send_all(line * 1024)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                await wait_until(lambda: handled)
                before = -1
                while before != handled:  # no progress in many turns: all buffers are full
                    before = handled
                    for _ in range(300):
                        await trio.lowlevel.checkpoint()
                assert handled < 64 * 1024
                assert most_gathered <= 4 * 65536
                held_back = handled
                nursery.start_soon(receive_until_closed, client)
                await wait_until(lambda: handled > held_back)  # and it goes on when the client reads
                nursery.cancel_scope.cancel()


async def test_p9_nothing_is_kept_of_requests_that_have_ended() -> None:
    """Records, handlers and errors of thousands of requests are gone when these are."""

    class Big:
        alive = 0

        def __init__(self) -> None:
            Big.alive += 1

        def __del__(self) -> None:
            Big.alive -= 1

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError(request)

    class Server(trioserver.BaseServer[Any]):
        left = 2000
        ended = 0

        async def get_request(self) -> tuple[Any, Any]:
            if not self.left:
                await trio.sleep_forever()
            self.left -= 1
            return Big(), "client"

        async def close_request(self, request: Any) -> None:
            self.ended += 1

        async def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    most = 0
    server = Server("x", handler)
    async with server.running():
        while server.ended < 2000:
            await trio.lowlevel.checkpoint()
            most = max(most, Big.alive)
        await trio.testing.wait_all_tasks_blocked()
        # Without the garbage collector, so that no cycle is left. The tasks and the accept loop wait for the
        # next request, and keep nothing of the last.
        assert Big.alive == 0
        assert len(server.requests) == 0
    assert most < 500


async def test_p9_nothing_is_kept_of_requests_that_a_shutdown_cancelled() -> None:
    """Though one of them takes its time: thousands of cancellations would fill the memory meanwhile."""

    class Held:
        """Something large, that a handler has."""

    held: weakref.WeakSet[Held] = weakref.WeakSet()
    let_go = trio.Event()

    async def handler(request: str, client_address: Any, server: Any) -> None:
        large = Held()
        held.add(large)
        try:
            await trio.sleep_forever()
        finally:
            if request == "slow":
                with trio.CancelScope(shield=True):
                    await let_go.wait()

    server = QueueServer(handler)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.put(*["quick"] * 5, "slow")
        await wait_until(lambda: len(held) == 6)
        server.request_shutdown(0)
        try:
            await wait_until(lambda: len(server.requests) == 1)
            await trio.testing.wait_all_tasks_blocked()
            assert len(held) == 1
        finally:
            let_go.set()


@pytest.mark.parametrize("count", [10, 1000])
async def test_p9_tasks_of_ended_requests_do_not_pile_up(count: int) -> None:
    """After a burst only a batch of tasks waits for the next, however large it was."""
    server = QueueServer(at_once)
    async with server.running():
        before = trio.lowlevel.current_statistics().tasks_living
        server.put(*range(count))
        await wait_until(lambda: len(server.closed) == count)
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living - before <= 64


@pytest.mark.parametrize("ends", ["shutdown", "cancelled", "drained"])
def test_p9_a_server_that_was_served_is_gone_with_its_last_reference(ends: str) -> None:
    """However the run ended: no exception of it keeps itself, and so the server, alive in a cycle."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        async for chunk in request:
            await request.send_all(chunk)

    async def main() -> weakref.ref[trioserver.TCPServer]:
        server = trioserver.TCPServer(("127.0.0.1", 0), handler)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            async with client_of(server) as first:
                await first.send_all(b"x")
                assert await first.receive_some(1) == b"x"
            second = await trio.open_tcp_stream(*server.server_address)
            await second.send_all(b"x")
            assert await second.receive_some(1) == b"x"
            if ends == "shutdown":
                await server.shutdown()
            elif ends == "cancelled":
                nursery.cancel_scope.cancel()
            else:
                second.socket.close()
                await server.shutdown(grace_period=5)
        second.socket.close()
        return weakref.ref(server)

    gc.collect()
    gc.disable()
    try:
        assert trio.run(main)() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("fails", [True, False])
async def test_p9_a_connection_whose_replies_were_gathered_is_not_kept(fails: bool, io_path: str) -> None:
    """Nor one whose client was gone when they were sent: no cycle waits for a garbage collection."""
    kept: weakref.WeakSet[object] = weakref.WeakSet()
    gone = trio.Event()

    class Handler(trioserver.StreamRequestHandler):
        wbufsize = 1000

        async def handle(self) -> None:
            kept.update((self, self.request))
            await self.wfile.write(await self.rfile.readline())
            if fails:
                await gone.wait()
                await self.wfile.write(bytes(1000))

    server = trioserver.TCPServer(("127.0.0.1", 0), Handler)
    gc.collect()
    gc.disable()
    try:
        async with server.running():
            for _ in range(3):  # the accept loop and the last task have the last one
                client = await trio.open_tcp_stream(*server.server_address)
                await client.send_all(b"line\n")
                if fails:
                    await wait_until(lambda: len(server.requests) == 1)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    await client.aclose()
                    gone.set()
                else:
                    assert await client.receive_some() == b"line\n"
                    await client.aclose()
                await wait_until(lambda: not server.requests)
            assert len(kept) <= 2
    finally:
        gc.enable()


async def test_p9_connections_whose_replies_went_out_together_are_not_kept(io_path: str) -> None:
    """The flusher, while it waits for the next ones, has forgotten all of the last."""
    kept: weakref.WeakSet[object] = weakref.WeakSet()
    arrived = trio.Event()

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        kept.add(request)
        await arrived.wait()
        await request.wait_request()
        await trioserver.StreamReader(request).readline()
        await trioserver.StreamWriter(request).write(b"reply")

    server = trioserver.TCPServer(("127.0.0.1", 0), handler)
    gc.collect()
    gc.disable()
    try:
        async with server.running():
            clients = [await trio.open_tcp_stream(*server.server_address) for _ in range(10)]
            for client in clients:
                await client.send_all(b"one\ntwo\n")
            await wait_until(lambda: len(kept) == 10)
            arrived.set()
            for client in clients:
                assert await client.receive_some() == b"reply"
                await client.aclose()
            await wait_until(lambda: not server.requests)
            assert len(kept) <= 2  # the accept loop and the last task have the last one
    finally:
        gc.enable()


async def test_p9_a_connection_that_breaks_while_an_error_is_handled_is_not_kept(io_path: str) -> None:
    """That error has a traceback, with the handler in it, and is the context of what the peer did."""
    kept: weakref.WeakSet[object] = weakref.WeakSet()
    gone = trio.Event()

    class Handler(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            kept.add(self.request)
            try:
                raise ValueError
            except ValueError:
                await gone.wait()
                await self.rfile.readline()

    server = trioserver.TCPServer(("127.0.0.1", 0), Handler)
    gc.collect()
    gc.disable()
    try:
        async with server.running():
            clients = [await trio.open_tcp_stream(*server.server_address) for _ in range(5)]
            await wait_until(lambda: len(kept) == 5)
            for client in clients:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                await client.aclose()
            gone.set()
            await wait_until(lambda: not server.requests)
            assert len(kept) <= 2  # the accept loop and the last task have the last one
    finally:
        gc.enable()
