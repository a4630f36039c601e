"""``max_children``, and who is counted (P6)."""

from __future__ import annotations

import os
from typing import Any

import pytest
import trio
from forking import Server, ready_then_wait, serving
from harness import client_of, receive_all, receive_exactly, wait_until

import trioserver


@pytest.mark.parametrize(
    ("max_children", "max_requests", "expected"),
    [(40, None, 40), (2, None, 2), (5, 2, 2), (2, 5, 2), (None, 3, 3), (None, None, None)],
)
def test_limit_when_there_are_two_then_the_smaller_one_counts(
    max_children: int | None, max_requests: int | None, expected: int | None
) -> None:
    """``None`` is no limit."""
    server = Server(ready_then_wait, max_children=max_children, max_requests=max_requests)
    assert server.request_limit == expected


async def test_p6_when_max_children_are_there_then_clients_wait_in_the_kernel(io_path: str) -> None:
    """Many clients, never more processes than that, and all are served in the end."""
    most = 0

    def look(event: trioserver.ServerEvent) -> None:
        nonlocal most
        most = max(most, len(server.active_children), len(server.requests))

    async def visit() -> None:
        async with client_of(server) as client:
            assert await receive_exactly(client, 1) == b"r"
            look(server.recorder.events[-1])
            await client.send_all(b"x")
            assert await receive_all(client) == b""

    async with serving(ready_then_wait, max_children=3) as server:
        server.add_observer(look)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(visit)
        await server.wait_ended(20)
    assert most == 3
    assert server.statistics().finished == 20
    assert "AcceptPaused" in server.recorder.names()


async def test_max_children_when_raised_while_serving_then_the_next_client_is_served() -> None:
    """And the loop was never blocked meanwhile."""
    async with serving(ready_then_wait, max_children=1) as server:
        async with client_of(server) as first, client_of(server) as second:
            assert await receive_exactly(first, 1) == b"r"
            await wait_until(lambda: "AcceptPaused" in server.recorder.names())
            assert len(server.active_children) == 1
            server.max_children = 2
            assert await receive_exactly(second, 1) == b"r"
            assert len(server.active_children) == 2
    with pytest.raises(trioserver.ConfigError, match="max_children"):
        server.max_children = 0


async def test_active_children_when_a_process_runs_then_has_its_id() -> None:
    """And is empty before and afterwards."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        request.sendall(b"%10d" % os.getpid())
        request.recv(1)

    async with serving(handler) as server, client_of(server) as client:
        assert server.active_children == frozenset()
        pid = int(await receive_exactly(client, 10))
        assert server.active_children == {pid}
        await client.send_all(b"x")
        await server.wait_ended()
        assert server.active_children == frozenset()
