"""What the tests of this folder share: calls in other threads, servers that remember what was called."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESS = ("127.0.0.1", 0)
SECONDS = 10
"""How long anything may take that is to come at once; nothing here takes as long as that."""
MOMENT = 0.05
"""How long to look at what is to stay as it is."""
HOOKS = (
    "server_bind",
    "server_activate",
    "server_close",
    "get_request",
    "verify_request",
    "process_request",
    "finish_request",
    "shutdown_request",
    "close_request",
    "handle_error",
    "handle_timeout",
    "service_actions",
)
STEPS = [
    "get_request",
    "verify_request",
    "process_request",
    "finish_request",
    "shutdown_request",
    "close_request",
]
"""Those of one request, as they follow each other in a synchronous server."""


class Call(threading.Thread):
    """A call that another thread makes, and what became of it."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)
        self._call = (function, args)
        self.result: Any = None
        self.error: BaseException | None = None
        self.taken = False
        self.start()

    def run(self) -> None:
        """Make the call."""
        function, args = self._call
        try:
            self.result = function(*args)
        except BaseException as error:
            self.error = error
        del self._call

    def wait(self) -> Any:
        """Its result, or the exception that it raised; AssertionError if it does not end."""
        self.join(SECONDS)
        assert not self.is_alive()
        self.taken = True
        if self.error is not None:
            raise self.error
        return self.result

    def goes_on(self) -> bool:
        """Whether it has still not ended after a moment."""
        self.join(MOMENT)
        return self.is_alive()


class Flag(threading.Event):
    """An event that must come."""

    def block(self) -> None:
        """Wait; AssertionError if it does not come."""
        assert self.wait(SECONDS)


class Hook(NamedTuple):
    """One call of a method that users override."""

    name: str
    args: tuple[Any, ...]
    thread: int
    """The thread that called."""
    error: BaseException | None
    """What was being handled, as ``sys.exc_info()`` has it."""


def recording(base: Any, **replaced: Callable[..., Any]) -> Any:
    """A subclass of ``base`` whose objects keep, in ``calls``, which of ``HOOKS`` were called.

    ``replaced`` are hooks with another body than that of ``base``.
    """

    def hook(name: str) -> Callable[..., Any]:
        def method(self: Any, *args: Any) -> Any:
            self.__dict__.setdefault("calls", []).append(
                Hook(name, args, threading.get_ident(), sys.exc_info()[1])
            )
            if name in replaced:
                return replaced[name](self, *args)
            return getattr(super(cls, self), name)(*args)

        return method

    methods = {name: hook(name) for name in HOOKS if hasattr(base, name)}
    cls: Any = type("Recording", (base,), methods)
    return cls


def names(server: Any) -> list[str]:
    """The names of the hooks that were called, in order."""
    return [call.name for call in server.calls]


def of_request(server: Any) -> list[Hook]:
    """The calls that had to do with a request."""
    return [call for call in server.calls if call.name in STEPS or call.name == "handle_error"]


def ask_to_stop(server: Any) -> None:
    """What ``shutdown()`` does, without its wait: for the stdlib's classes by a name that programs know."""
    if hasattr(server, "request_shutdown"):
        server.request_shutdown()
    else:
        server._BaseServer__shutdown_request = True


def wake_up(server: Any) -> None:
    """Be a client of a server that may have been closed."""
    with socket.socket(server.address_family, server.socket_type) as client, contextlib.suppress(OSError):
        client.connect(server.server_address)
        client.send(b"")


def wait_until(condition: Callable[[], object]) -> None:
    """Wait in this thread until ``condition()`` is true; AssertionError if that takes too long."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def throw(error: BaseException) -> None:
    """Raise it; where a statement can not be."""
    raise error


def receive_all(sock: Any) -> bytes:
    """What comes up to the end of the stream."""
    data = b""
    while chunk := sock.recv(65536):
        data += chunk
    return data


def descriptors() -> set[str]:
    """The numbers of the descriptors of this process, with one for the listing itself."""
    return set(os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"))
