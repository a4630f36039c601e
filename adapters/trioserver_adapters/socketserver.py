"""The standard library's ``socketserver`` on trio: change one import.

    from trioserver_adapters import socketserver

The same names, signatures, defaults and behaviour, for synchronous handlers. Trio, in a thread of its own,
does the waiting, and owns the requests that run in threads and processes. Other than in the standard library:

- `shutdown` takes effect at once, and nothing polls: an idle server does not wake up;
- `shutdown` before `serve_forever` does not block, and in the thread that serves it raises instead of waiting
  for itself; `request_shutdown` is for handlers and signal handlers;
- `server_close` ends `serve_forever`; with a ``grace_period`` it ends idle connections, too;
- running out of descriptors makes a server pause, not spin;
- ``ThreadingMixIn.max_requests`` bounds the threads; TLS handshakes take place in them;
- children of a forking server are reaped at once;
- a connection with unread input is not reset;
- ``request_timeout`` bounds a whole request.

Each class says more. What would be another behaviour is turned on by an attribute.
"""

from __future__ import annotations

import os
import socket
import sys

from ._socketserver import forks as _forks
from ._socketserver.base import BaseServer as BaseServer
from ._socketserver.handlers import BaseRequestHandler as BaseRequestHandler
from ._socketserver.handlers import DatagramRequestHandler as DatagramRequestHandler
from ._socketserver.handlers import SocketWriter as _SocketWriter  # noqa: F401  # the stdlib's name for it
from ._socketserver.handlers import StreamRequestHandler as StreamRequestHandler
from ._socketserver.tcp import TCPServer as TCPServer
from ._socketserver.tcp import UDPServer as UDPServer
from ._socketserver.threads import NoThreads as _NoThreads  # noqa: F401
from ._socketserver.threads import ThreadingMixIn as ThreadingMixIn
from ._socketserver.threads import Threads as _Threads  # noqa: F401

__version__ = "0.4"

__all__ = [
    "BaseRequestHandler",
    "BaseServer",
    "DatagramRequestHandler",
    "StreamRequestHandler",
    "TCPServer",
    "ThreadingMixIn",
    "ThreadingTCPServer",
    "ThreadingUDPServer",
    "UDPServer",
]


class ThreadingUDPServer(ThreadingMixIn, UDPServer):
    """`UDPServer`, each request in a thread."""


class ThreadingTCPServer(ThreadingMixIn, TCPServer):
    """`TCPServer`, each request in a thread."""


if hasattr(os, "fork"):
    ForkingMixIn = _forks.ForkingMixIn

    class ForkingUDPServer(_forks.ForkingMixIn, UDPServer):
        """`UDPServer`, each request in a process."""

    class ForkingTCPServer(_forks.ForkingMixIn, TCPServer):
        """`TCPServer`, each request in a process."""

    __all__ += ["ForkingMixIn", "ForkingTCPServer", "ForkingUDPServer"]

if hasattr(socket, "AF_UNIX"):

    class UnixStreamServer(TCPServer):
        """A server on a Unix stream socket. The file stays when it is closed."""

        address_family = socket.AF_UNIX

    class UnixDatagramServer(UDPServer):
        """A server on a Unix datagram socket. The file stays when it is closed."""

        address_family = socket.AF_UNIX

    class ThreadingUnixStreamServer(ThreadingMixIn, UnixStreamServer):
        """`UnixStreamServer`, each request in a thread."""

    class ThreadingUnixDatagramServer(ThreadingMixIn, UnixDatagramServer):
        """`UnixDatagramServer`, each request in a thread."""

    __all__ += [
        "ThreadingUnixDatagramServer",
        "ThreadingUnixStreamServer",
        "UnixDatagramServer",
        "UnixStreamServer",
    ]

    if hasattr(os, "fork"):

        class ForkingUnixStreamServer(_forks.ForkingMixIn, UnixStreamServer):
            """`UnixStreamServer`, each request in a process."""

        class ForkingUnixDatagramServer(_forks.ForkingMixIn, UnixDatagramServer):
            """`UnixDatagramServer`, each request in a process."""

        if sys.version_info >= (3, 12):
            __all__ += ["ForkingUnixDatagramServer", "ForkingUnixStreamServer"]

for _name in __all__:
    globals()[_name].__module__ = __name__  # where it is imported from, and pickled by
