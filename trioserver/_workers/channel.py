"""The channel between parent and worker: messages, each a line of JSON, over a pair of sockets.

    parent          worker
    start     ──►            what to import, and the sockets; then it makes its server
              ◄──   loaded   it could serve now
    serve     ──►            until then nothing was accepted, so that it may be killed without loss
              ◄──   ready    it accepts
              ◄──   leaving  it wants another one to take its place
    shutdown  ──►            accept no more, and end after so many seconds
              ◄──   ended    what became of the requests
              ◄──   failed   instead of any of these: why it can not go on

The end of the channel is a message, too: the other process is gone.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

if TYPE_CHECKING:
    import socket

Message: TypeAlias = "dict[str, Any]"
"""One of the above: its name, as the value of ``kind``, and what else there is to say."""

_CHUNK: Final = 65536


class Channel:
    """One end of a channel. Takes ownership of the socket."""

    __slots__ = ("_buffer", "_ended", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._buffer = b""
        self._ended = False

    def tell(self, kind: str, **more: Any) -> None:
        """Send a short message, without a wait. Whoever does not read, or is gone, does not hear it.

        The buffer of such a socket has room for hundreds of them, and no conversation has a dozen.
        """
        with contextlib.suppress(OSError):
            self._socket.send(encode(kind, **more))

    async def send(self, kind: str, **more: Any) -> None:
        """Send a message that may be long. Whoever is gone does not hear it."""
        rest = memoryview(encode(kind, **more))
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
            except OSError:
                return

    async def receive(self) -> Message | None:
        """Wait for the next message; ``None`` when there will be no more. Cancellation: nothing is lost."""
        while (message := self.receive_nowait()) is None and not self._ended:
            await trio.lowlevel.wait_readable(self._socket)
        return message

    def receive_nowait(self) -> Message | None:
        """The next message if it has come; ``None`` otherwise."""
        try:
            while not self._ended:
                chunk = self._socket.recv(_CHUNK)
                self._buffer += chunk
                self._ended = not chunk
        except BlockingIOError:
            pass
        except OSError:  # reset: the other process was gone before it had read everything
            self._ended = True
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            return None
        self._buffer = rest
        return decode(line)

    def close(self) -> None:
        """Close this end. Closing twice is fine."""
        if self._socket.fileno() != -1:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


def encode(kind: str, **more: Any) -> bytes:
    """A message as it goes over the channel."""
    return json.dumps({"kind": kind, **more}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """A message as it came."""
    message: Message = json.loads(line)
    return message


def receive_blocking(sock: socket.socket) -> Message | None:
    """The first message, where there is no trio yet; ``None`` if the other process is gone.

    There is no second one behind it: the parent waits for the answer.
    """
    data = b""
    while not data.endswith(b"\n"):
        chunk = sock.recv(_CHUNK)
        if not chunk:
            return None
        data += chunk
    return decode(data)
