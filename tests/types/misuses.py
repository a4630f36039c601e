"""Mistakes that users make; mypy and pyright must each report every marked line and no other.

See ``check_misuses.py``, which checks that. Nothing here is ever run.
"""

from __future__ import annotations

from typing import Any

import trioserver

ADDRESS = ("127.0.0.1", 0)


async def good(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
    """A proper handler."""


def synchronous(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
    """Forgot the ``async``."""


async def two_arguments(request: trioserver.RequestStream, client_address: Any) -> None:
    """Forgot the server."""


async def wants_text(request: str, client_address: Any, server: Any) -> None:
    """Made for a server whose requests are strings."""


class NotAHandler:
    """Derived from nothing."""

    def __init__(self, request: trioserver.RequestStream, client_address: Any, server: Any) -> None: ...


# Handlers.
trioserver.TCPServer(ADDRESS, synchronous)  # E
trioserver.TCPServer(ADDRESS, two_arguments)  # E
trioserver.TCPServer(ADDRESS, wants_text)  # E
trioserver.TCPServer(ADDRESS, NotAHandler)  # E: its objects can not be awaited
trioserver.TCPServer(ADDRESS)  # E
trioserver.UnixStreamServer("path", synchronous)  # E
trioserver.TCPServer(ADDRESS, good)

# Addresses and options.
trioserver.TCPServer("127.0.0.1:80", good)  # E
trioserver.TCPServer(("127.0.0.1", "80"), good)  # E
trioserver.TCPServer(80, good)  # E
trioserver.UnixStreamServer(ADDRESS, good)  # E
trioserver.TCPServer(ADDRESS, good, max_request=5)  # E
trioserver.TCPServer(ADDRESS, good, max_requests="5")  # E
trioserver.TCPServer(ADDRESS, good, mode=0o600)  # E: an option of another class
trioserver.UnixStreamServer("path", good, allow_reuse_port=True)  # E: an option of another class
trioserver.UnixStreamServer("path", good, mode="600")  # E
trioserver.TCPServer(None, good, sock="3")  # E
trioserver.TCPServer(None, good, sock=3)


class Server(trioserver.TCPServer):
    """A server with state, and hooks that are wrong."""

    members: set[str]

    def verify_request(self, request: trioserver.RequestStream, client_address: Any) -> bool:  # E
        return True

    async def handle_error(self, request: trioserver.RequestStream) -> None:  # E
        pass

    async def service_actions(self, now: float) -> None:  # E
        pass


class Handler(trioserver.StreamRequestHandler[Server]):
    """A handler that is wrong in every line."""

    timeout = "5"  # E

    async def handle(self) -> None:
        self.server.members.add(5)  # E
        self.server.guests.add("a")  # E: the server has no such attribute
        self.request.recv(5)  # E: the stdlib's socket has it
        await self.wfile.write("text")  # E
        await self.rfile.readline("\n")  # E
        await self.rfile.readuntil(10)  # E
        line: str = await self.rfile.readline()  # E
        for line in self.rfile:  # E
            print(line)
        if await self.wait_request("60"):  # E
            self.server.members.add("right")

    def finish(self) -> None:  # E
        pass


class Text(trioserver.BaseServer[str]):
    """Its requests are strings."""

    async def get_request(self) -> tuple[bytes, Any]:  # E
        return b"", None


async def use(server: trioserver.TCPServer) -> None:
    """Uses a server in wrong ways."""
    report: trioserver.ShutdownReport = server.shutdown()  # E: not awaited
    server.shutdown()  # E: not awaited
    await server.request_shutdown()  # E: is synchronous
    await server.shutdown("5")  # E
    server.statistics().active = 5  # E: frozen
    server.requests.clear()  # E: a tuple
    server.max_requests = "5"  # E
    server.add_observer(print())  # E
    with server:  # E: async with
        pass
    async with server.running(5):  # E: keyword only
        pass
    await server.serve_forever("now")  # E
    raise trioserver.LimitExceeded("too long")  # E: the limit is missing


async def two(request: Any, client_address: Any) -> None:
    """Takes too few arguments."""


def in_place(request: trioserver.RequestStream, client_address: Any, server: object) -> None:
    """A plain function for a datagram server, of the wrong request."""


async def more(server: trioserver.TCPServer, session: trioserver.DatagramSession) -> None:
    """Datagrams, TLS, threads and processes, in wrong ways."""
    trioserver.UDPServer(("", 0), in_place)  # E
    trioserver.UDPServer(("", 0), two)  # E
    trioserver.UDPServer("localhost:80", good)  # E
    trioserver.UDPSessionServer(("", 0), good, session_timeout="5")  # E
    trioserver.TCPServer(("", 0), good, ssl_context="cert.pem")  # E
    trioserver.TCPServer(("", 0), good, request_timeout="5")  # E
    trioserver.ThreadingTCPServer(("", 0), two, max_threads=5)  # E
    trioserver.ThreadingTCPServer(("", 0), in_place, max_thread=5)  # E
    trioserver.ForkingTCPServer(("", 0), in_place, max_children="5")  # E
    server.ssl_context = "cert.pem"  # E
    server.request_timeout = "5"  # E
    await session.send("text")  # E
    session.send(b"text")  # E: not awaited
    data: str = await session.receive()  # E
    print(data)


class Wrong(trioserver.StreamRequestHandler[int]):  # E: no server
    """The parameter has to be a server."""
