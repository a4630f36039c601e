"""Closing a connection so that the peer gets the end of the reply.

Closing a TCP socket that holds unread input, or that gets some later, makes the kernel send a reset and drop
what it had not yet sent (RFC 2525 section 2.17; RFC 9112 section 9.6 asks servers to close in stages). The
stdlib's ``shutdown_request`` does just that and its clients lose the end of long replies. So: close the
sending half, read and throw away until the peer closes too, then close; as nginx, Apache and hyper do.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from .endpoint import Endpoint

_DISCARD_BYTES: Final = 65536
_FIRST_PAUSE: Final = 0.01


@trio.lowlevel.enable_ki_protection  # as whatever calls ``wait_readable`` of an endpoint
async def discard_input(endpoint: Endpoint, *, timeout: float, max_bytes: int) -> None:
    """Close the sending half, then read until the peer is done.

    That is: until it closes its half or resets; or it has acknowledged all and has sent nothing meanwhile
    (then a close resets nothing); or ``timeout`` seconds or ``max_bytes`` bytes were spent on it.
    A peer that neither closes nor acknowledges is left to the kernel after that.
    """
    try:
        endpoint.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the peer reset the connection, or the handler closed it: there is no end to deliver
    deadline = trio.current_time() + timeout
    pause = _FIRST_PAUSE
    discarded = False
    while max_bytes > 0:
        try:
            data = endpoint.recv_nowait(_DISCARD_BYTES)
        except BlockingIOError:
            now = trio.current_time()
            if now >= deadline or (not discarded and endpoint.unsent_bytes() == 0):
                return
            # Nothing tells that the peer has acknowledged the rest, so look again at growing intervals.
            with trio.move_on_at(min(deadline, now + pause)):
                try:
                    await endpoint.wait_readable()
                except (trio.ClosedResourceError, trio.BusyResourceError):
                    return  # closed meanwhile, or a task of the handler's still reads: nothing to discard
            pause *= 2
        except OSError:
            return
        else:
            if not data:
                return
            discarded = True
            max_bytes -= len(data)
            await trio.lowlevel.checkpoint()  # P10: a peer that never stops sending is one of many
