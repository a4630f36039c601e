"""P8: the accept path never waits for a client: what may wait happens in the request's own task."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from harness import client_of, receive_all, receive_exactly, wait_until

import trioserver

from .fakes import QueueServer, assert_accounted, at_once


class Gated(QueueServer):
    """One of its hooks waits, for the request "slow" only."""

    def __init__(self, hook: str) -> None:
        super().__init__(at_once)
        self.hook = hook
        self.gate = trio.Event()

    async def wait(self, hook: str, request: Any) -> None:
        if hook == self.hook and request == "slow":
            await self.gate.wait()

    async def verify_request(self, request: Any, client_address: Any) -> bool:
        await self.wait("verify_request", request)
        return True

    async def process_request(self, request: Any, client_address: Any) -> None:
        await self.wait("process_request", request)
        if self.hook == "handle_error":
            raise ValueError(request)
        await super().process_request(request, client_address)

    async def handle_error(self, request: Any, client_address: Any) -> None:
        await self.wait("handle_error", request)

    async def shutdown_request(self, request: Any) -> None:
        await self.wait("shutdown_request", request)
        await super().shutdown_request(request)

    async def close_request(self, request: Any) -> None:
        await self.wait("close_request", request)
        await super().close_request(request)


HOOKS = ["verify_request", "process_request", "handle_error", "shutdown_request", "close_request"]


@pytest.mark.parametrize("hook", HOOKS)
async def test_p8_others_are_served_while_a_hook_waits_for_a_slow_client(hook: str) -> None:
    """No hook of one request stands between another one and its handler."""
    server = Gated(hook)
    async with server.running():
        server.put("slow", 1, 2, 3)
        await wait_until(lambda: server.closed == [1, 2, 3])
        assert [record.request for record in server.requests] == ["slow"]
        server.gate.set()
        await wait_until(lambda: not server.requests)
        server.put(4)
        await wait_until(lambda: server.closed == [1, 2, 3, "slow", 4])
    assert_accounted(server)


@pytest.mark.parametrize("hook", HOOKS)
async def test_p8_a_hook_that_waits_is_cancelled_with_its_request(hook: str) -> None:
    """A slow client holds up neither the shutdown nor itself."""
    server = Gated(hook)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.put("slow")
        await trio.testing.wait_all_tasks_blocked()
        assert len(server.requests) == 1
        report = await server.shutdown()
    # A closing hook that waits does not come to its end when it is cancelled; streams are closed anyway.
    assert server.closed == ([] if hook in ("shutdown_request", "close_request") else ["slow"])
    assert report.accepted == 1
    assert report.cancelled + report.failed + report.finished == 1


async def test_p8_a_client_that_never_closes_delays_no_other(io_path: str) -> None:
    """The farewell to one that keeps its half open and reads nothing is its own affair."""
    reply = bytes(4 << 20)

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        if await request.receive_some(1) == b"!":
            await request.send_all(reply[:65536])
        else:
            await request.send_all(b"quick")

    server = trioserver.TCPServer(("127.0.0.1", 0), handler)
    async with server.running():
        async with client_of(server) as slow:
            await slow.send_all(b"! and more that nobody reads")
            await wait_until(lambda: [r.state for r in server.requests] == [trioserver.RequestState.CLOSING])
            async with client_of(server) as quick:
                await quick.send_all(b"?")
                assert await receive_all(quick) == b"quick"
            assert await receive_exactly(slow, 65536) == reply[:65536]
    assert server.statistics().finished == 2


async def test_p8_a_client_that_says_nothing_delays_no_other(io_path: str) -> None:
    """Hundreds of silent connections are accepted and do not keep the next one from being served."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        await request.send_all(await request.receive_some(10))

    server = trioserver.TCPServer(("127.0.0.1", 0), handler)
    async with server.running():
        silent = [trio.socket.socket() for _ in range(100)]
        try:
            for sock in silent:
                await sock.connect(server.server_address)
            async with client_of(server) as client:
                await client.send_all(b"hello")
                assert await receive_all(client) == b"hello"
            assert len(server.requests) >= 100
        finally:
            for sock in silent:
                sock.close()
