"""The end of a connection whose input was not all read.

Closing it at once makes the kernel reset it, and the client loses what it has not yet got of the reply
(RFC 1122, 4.2.2.13). So the sending half is closed, and input is thrown away until the client closes its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import termios
import time
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK: Final = 65536


def has_unread_input(request: object) -> bool:
    """Whether closing ``request`` now would reset it."""
    if not isinstance(request, socket.socket):
        return False
    try:
        unread = fcntl.ioctl(request.fileno(), termios.FIONREAD, b"\0\0\0\0")
    except (OSError, ValueError):  # closed by the handler
        return False
    if unread == b"\0\0\0\0":
        return False
    return request.type == socket.SOCK_STREAM and request.family in (socket.AF_INET, socket.AF_INET6)


async def linger(sock: socket.socket, timeout: float) -> None:
    """Throw away the input of ``sock``, and close it: when the client does, or after ``timeout`` seconds."""
    with sock, trio.move_on_after(timeout), contextlib.suppress(OSError):
        while True:
            await trio.lowlevel.wait_readable(sock)
            if not _throw_away(sock):
                return


def linger_here(sock: socket.socket, timeout: float, _now: Callable[[], float] = time.monotonic) -> None:
    """The same by blocking: in a child process, where trio does not run."""
    deadline = _now() + timeout
    with sock, contextlib.suppress(OSError, ValueError):
        while (left := deadline - _now()) > 0:
            readable, _, _ = select.select([sock], [], [], left)
            if readable and not _throw_away(sock):
                return


def _throw_away(sock: socket.socket) -> bool:
    """Read what is there; false when the client has closed."""
    with contextlib.suppress(BlockingIOError):
        return bool(socket.socket.recv(sock, _CHUNK, socket.MSG_DONTWAIT))
    return True
