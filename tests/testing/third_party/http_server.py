"""A small HTTP/1.1 server: h11, as it is, in a handler of ours."""

from __future__ import annotations

import ssl
from typing import Any, Final

import pytest
import trio
import trustme

import trioserver

h11: Any = pytest.importorskip("h11", reason="h11 is not installed: pip install h11")

BIG: Final = bytes(range(256)) * 1000
"""What ``/big`` answers with, in chunks: many segments, and more than a window."""


class HTTP(trioserver.BaseRequestHandler):
    """Answers GET with the path, and POST with the body."""

    async def handle(self) -> None:
        connection = h11.Connection(h11.SERVER)
        while connection.our_state is h11.IDLE:
            request = await next_event(connection, self.request)
            if type(request) is not h11.Request:
                return  # the client has closed
            body = b""
            while type(event := await next_event(connection, self.request)) is h11.Data:
                body += event.data
            assert type(event) is h11.EndOfMessage
            await self._answer(connection, request.target, body)
            if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
                connection.start_next_cycle()

    async def _answer(self, connection: Any, target: bytes, body: bytes) -> None:
        if target == b"/slow":
            await trio.sleep(100)
        if target == b"/big":
            headers, parts = (
                [("Transfer-Encoding", "chunked")],
                [BIG[at : at + 5000] for at in range(0, len(BIG), 5000)],
            )
        else:
            parts = [body or target]
            headers = [("Content-Length", str(len(parts[0])))]
        for event in (
            h11.Response(status_code=200, headers=headers),
            *(h11.Data(data=part) for part in parts),
            h11.EndOfMessage(),
        ):
            await self.request.send_all(connection.send(event))


async def next_event(connection: Any, stream: trio.abc.Stream) -> Any:
    """The next event of a connection, as of h11's own example of how to use it with trio."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        if connection.they_are_waiting_for_100_continue:
            await stream.send_all(connection.send(h11.InformationalResponse(status_code=100, headers=[])))
        connection.receive_data(await stream.receive_some(1000))
    return event


def contexts(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server of that name, and for clients that trust it."""
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert(name).configure_cert(server)
    authority.configure_trust(client)
    return server, client
