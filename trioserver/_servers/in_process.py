"""What the process of a request does, for `ForkingMixIn`: leave the others alone, serve, and report.

A descriptor in the process shares its *description* with the parent's: so are the connection, whether it
blocks, and what epolls know of it; see open(2), epoll(7). So what is the parent's is closed by close(2), and
by nothing else.
"""

from __future__ import annotations

import enum
import logging
import os
import socket
from typing import TYPE_CHECKING, Any, Final

from .._transports.addresses import format_address
from .._transports.blocking_streams import BlockingConnection
from .._transports.datagram_socket import Datagram
from .._transports.in_child import Terminated
from .._transports.stream import RequestStream
from .loans import DatagramLoan, Loan, NoLoan

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from .._transports.in_child import Report

logger = logging.getLogger("trioserver")

_FOR_EVER: Final = 1_000_000.0
"""Seconds that one wait over TLS may take. Without any bound it is OpenSSL that waits, and goes on with a
record that a signal has interrupted half-way, so that neither SIGTERM nor Ctrl-C would get to the handler."""


class Kind(enum.Enum):
    """The first byte of what a process reports to its parent; the rest is a text."""

    REPORTED = b"E"
    """The handler raised this; the process has logged it."""
    HANDSHAKE_ERROR = b"H"
    HANDSHAKE_TIMEOUT = b"T"


def leave_to_parent(sockets: Iterable[Any], request: object) -> None:
    """Close the process's descriptors of a server's sockets and connections, but for its own request's.

    The objects know nothing of it afterwards: they must not close somebody else's descriptor later.
    """
    own: Any = None
    if isinstance(request, RequestStream):
        own = request.socket
    elif isinstance(request, Datagram):
        own = request.socket.socket
    for sock in sockets:
        if sock is not own and isinstance(sock, socket.socket) and sock.fileno() != -1:
            os.close(sock.detach())


def serve_in_child(server: Any, request: Any, client_address: Any, report: Report) -> int:
    """Serve the request; returns the status to exit with."""
    loan: Loan = NoLoan(request)
    try:
        if isinstance(request, RequestStream):
            loan = connection = BlockingConnection(request)
            context: ssl.SSLContext | None = getattr(server, "ssl_context", None)
            if context is not None and not _shake_hands(server, connection, context, report):
                return 1
            timeout = socket.getdefaulttimeout()  # it blocks, as that of accept()
            connection.socket.settimeout(_FOR_EVER if timeout is None and context is not None else timeout)
        elif isinstance(request, Datagram):
            loan = DatagramLoan(request)
        server.finish_request(loan.request, client_address)
    except (Terminated, KeyboardInterrupt):
        loan.cancel()  # who is cut off over TLS is not told that this was all
        raise
    except SystemExit:
        raise
    except BaseException as error:
        client = format_address(client_address)
        if loan.is_peers_doing(error):
            logger.debug("Request from %s: %s: %s", client, type(error).__name__, error)
        else:
            logger.error("Exception while serving the request from %s", client, exc_info=error)
        report(Kind.REPORTED.value + f"{type(error).__name__}: {error}".encode(errors="replace"))
        return 1
    finally:
        loan.close()
    return 0


def _shake_hands(
    server: Any, connection: BlockingConnection, context: ssl.SSLContext, report: Report
) -> bool:
    """Make the TLS handshake; false if it fails, which is reported."""
    from .._transports.tls import describe

    timeout: float | None = server.handshake_timeout
    # In a handshake, and nowhere else, it is one for all waits together; 0 would be not to wait.
    connection.socket.settimeout(None if timeout is None else max(timeout, 0.001))
    try:
        connection.shake_hands(context, suppress_ragged_eofs=server.suppress_ragged_eofs)
    except TimeoutError:
        report(Kind.HANDSHAKE_TIMEOUT.value + f"the TLS handshake took longer than {timeout:g} s".encode())
        return False
    except OSError as error:
        report(Kind.HANDSHAKE_ERROR.value + f"the TLS handshake failed: {describe(error)}".encode())
        return False
    return True
