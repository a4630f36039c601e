"""The example of the documentation."""

from __future__ import annotations

import trio
from harness import Echo, client_of, receive_exactly

import trioserver


async def test_the_example_of_the_design(io_path: str) -> None:
    """A server in a nursery answers, and its shutdown reports what became of the request."""
    async with trio.open_nursery() as nursery:
        server = trioserver.TCPServer(("127.0.0.1", 0), Echo)
        assert await nursery.start(server.serve_forever) == server.server_address
        async with client_of(server) as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"hello\n"
        report = await server.shutdown(grace_period=5)
    assert (report.accepted, report.finished) == (1, 1)
