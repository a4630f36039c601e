"""A client that can not be answered is one line at DEBUG, however the handler sends."""

from __future__ import annotations

import errno
import logging
from typing import Any

import pytest

import trioserver

from .kit import echo, memory_network, settle


def plain(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
    """Called in place."""
    request.socket.sendto_nowait(request.data, client_address)


async def conversation(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
    """A session's handler."""
    async for data in session:
        await session.send(data)


@pytest.mark.parametrize("handler", [echo, plain, conversation])
@pytest.mark.parametrize("port", [0, 7])
async def test_a_reply_that_can_not_be_sent_is_one_line_at_debug(
    handler: Any, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Port 0 wants no reply (RFC 768); the other one can not be reached."""
    cls = trioserver.UDPSessionServer if handler is conversation else trioserver.UDPServer
    with memory_network() as network, caplog.at_level(logging.DEBUG, "trioserver"):
        async with cls(("127.0.0.1", 9), handler).running() as server:
            network.endpoint.send_errors.extend(OSError(errno.EHOSTUNREACH, "no way") for _ in range(2))
            network.endpoint.feed(b"x", address=("192.0.2.1", port))
            await settle()
            assert server.statistics().failed == 1
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert caplog.records[0].exc_info is None
