"""The servers with `ThreadingMixIn`, one for each transport."""

from __future__ import annotations

from .tcp import TCPServer
from .threads import ThreadingMixIn
from .udp import UDPServer
from .unix import UnixStreamServer
from .unix_datagram import UnixDatagramServer


class ThreadingTCPServer(ThreadingMixIn, TCPServer):
    """A `TCPServer` for synchronous handlers, each connection in a worker thread; see `ThreadingMixIn`.

    ::

        async with trioserver.ThreadingTCPServer(("127.0.0.1", 0), Handler).running(grace_period=5) as server:
            print(server.server_address)
    """


class ThreadingUnixStreamServer(ThreadingMixIn, UnixStreamServer):
    """A `UnixStreamServer` for synchronous handlers, each in a worker thread; see `ThreadingMixIn`."""


class ThreadingUDPServer(ThreadingMixIn, UDPServer):
    """A `UDPServer` for synchronous handlers, each datagram in a worker thread; see `ThreadingMixIn`."""


class ThreadingUnixDatagramServer(ThreadingMixIn, UnixDatagramServer):
    """A `UnixDatagramServer` for synchronous handlers, each in a worker thread; see `ThreadingMixIn`."""
