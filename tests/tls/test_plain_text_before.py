"""What came before STARTTLS in plain text is nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import client_of

import trioserver

if TYPE_CHECKING:
    import ssl


async def test_starttls_with_unread_input_when_the_handler_goes_on_then_it_can_not_be_read(
    server_context: ssl.SSLContext,
) -> None:
    """CVE-2011-0411: it ends the connection, whatever the handler makes of the error."""
    went_on: list[BaseException] = []

    class Handler(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            await self.rfile.readline()
            with pytest.raises(trioserver.HandshakeError):
                await self.starttls(server_context)
            try:
                await self.request.receive_some()
            except trio.ClosedResourceError as error:
                went_on.append(error)

    server: Any = trioserver.TCPServer(("127.0.0.1", 0), Handler)
    async with server.running(grace_period=5):
        async with client_of(server) as client:
            await client.send_all(b"STARTTLS\ninjected\n")
            with pytest.raises(trio.BrokenResourceError):
                assert not await client.receive_some()
                raise trio.BrokenResourceError  # either end will do
    assert went_on
