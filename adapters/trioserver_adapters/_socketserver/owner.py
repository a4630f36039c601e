"""Who owns the requests that run in threads and processes: a native server, with a task for each."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

import trio

import trioserver

from .._options import check_seconds
from .linger import linger

if TYPE_CHECKING:
    import collections
    from collections.abc import Callable

KILL_AFTER: Final = 5.0
"""Seconds from SIGTERM to SIGKILL, as ``finish_timeout`` is for the native servers' processes."""


class Owned:
    """A request that runs elsewhere.

    Attributes:
      client_address: Who asks.
      timeout: Seconds that it may take; None is no bound.
      ended: Whether it has ended.
    """

    ended = False

    def __init__(self, client_address: Any, timeout: float | None) -> None:
        check_seconds("request_timeout", timeout, "no bound")
        self.client_address = client_address
        self.timeout = timeout

    def adopt(self) -> None:
        """It gets a task."""

    async def wait(self) -> None:
        """Wait until it has ended."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Make it end, and wait until it has."""
        raise NotImplementedError


class InThread(Owned):
    """A request in a thread, which says itself when it has ended.

    Attributes:
      begun: Whether it knows its request, see `begin`.
      taken: Whether a thread serves it already.
    """

    begun = False
    taken = False
    _request: Any = None
    _identity: tuple[int, object] | None = None
    _event: trio.Event | None = None

    def __init__(self, client_address: Any, timeout: float | None, daemon: bool) -> None:
        super().__init__(client_address, timeout)
        self._daemon = daemon

    def begin(self, request: Any) -> None:
        """Its request is this one; another one when a subclass has wrapped it."""
        known, self.begun = self.begun, True
        if self._request is not request and (not known or isinstance(request, socket.socket)):
            self._request = request
            self._identity = _identity(request)

    def adopt(self) -> None:
        self._event = trio.Event()

    def wait_no_more(self) -> None:
        """It is not to be waited for by `stop`: its own thread is the one that asks."""
        self._daemon = True

    def finish(self, soon: Callable[..., object]) -> None:
        """It has ended; for its thread."""
        self.ended = True
        self._request = None
        if self._event is not None:  # or the one who adopts it will see; one of us sees the other
            soon(self._event.set)

    async def wait(self) -> None:
        assert self._event is not None
        if not self.ended:
            await self._event.wait()

    async def stop(self) -> None:
        request, identity = self._request, self._identity
        if isinstance(request, socket.socket):
            with contextlib.suppress(OSError):  # it was closed, or the client is gone
                # Not the method of an SSLSocket, which another thread is using.
                if request.fileno() != -1:
                    socket.socket.shutdown(request, socket.SHUT_RDWR)
                elif identity is not None:
                    _shut_down_detached(request, *identity)
        if not self._daemon:
            await self.wait()


def _shut_down_detached(request: socket.socket, fd: int, mark: object) -> None:
    """The handler has closed it, or has wrapped it, in TLS, say: then the descriptor is the same."""
    copy = os.dup(fd)  # which nobody can close and use again while it is looked at
    try:
        sock = socket.socket(request.family, request.type, fileno=copy)
    except OSError:  # no socket at all has the number now
        os.close(copy)
        return
    with sock:
        if _mark(sock) == mark:
            sock.shutdown(socket.SHUT_RDWR)


def _identity(request: object) -> tuple[int, object] | None:
    """The descriptor of a socket, and what tells whether it still is that socket's."""
    if isinstance(request, socket.socket):
        try:
            return request.fileno(), _mark(request)
        except OSError:
            pass
    return None


if sys.platform == "linux":
    _SO_COOKIE: Final = 57  # asm-generic/socket.h; Python has no name for it

    def _mark(sock: socket.socket) -> object:
        """What no other socket has: the kernel's cookie. Unlike fstat() this keeps the GIL."""
        try:
            return socket.socket.getsockopt(sock, socket.SOL_SOCKET, _SO_COOKIE, 8)
        except OSError:  # Linux before 4.12, and what emulates it
            return os.fstat(sock.fileno()).st_ino

else:

    def _mark(sock: socket.socket) -> object:
        """What no other socket has at the same time."""
        return os.fstat(sock.fileno()).st_ino


class InProcess(Owned):
    """A request in a child process.

    It is reaped here, as soon as it ends, and nobody else's child ever is.
    """

    def __init__(
        self, pid: int, client_address: Any, timeout: float | None, reaped: Callable[[int], object]
    ) -> None:
        super().__init__(client_address, timeout)
        self._pid = pid
        self._reaped = reaped

    async def wait(self) -> None:
        while not self.ended:
            if hasattr(os, "pidfd_open"):
                with contextlib.suppress(OSError):
                    await self._wait_pidfd()
            if not self._reap() and hasattr(os, "waitid"):
                await trio.to_thread.run_sync(self._wait_in_thread, abandon_on_cancel=True, limiter=_NO_LIMIT)
            elif not self.ended:
                await trio.sleep(0.05)

    async def _wait_pidfd(self) -> None:
        pidfd = os.pidfd_open(self._pid)
        try:
            await trio.lowlevel.wait_readable(pidfd)
        finally:
            os.close(pidfd)

    def _wait_in_thread(self) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)

    def _reap(self) -> bool:
        try:
            pid, _ = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # by `collect_children`, in the thread that serves
            pid = self._pid
        if pid and not self.ended:
            self.ended = True
            self._reaped(self._pid)
        return self.ended

    async def stop(self) -> None:
        self._send(signal.SIGTERM)
        with trio.move_on_after(KILL_AFTER):
            await self.wait()
        if not self.ended:
            self._send(signal.SIGKILL)
            await self.wait()

    def _send(self, number: int) -> None:
        if not self._reap():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)


_NO_LIMIT: Final = trio.CapacityLimiter(1_000_000)


class Owner(trioserver.BaseServer[Owned]):
    """Has a task for each request that runs elsewhere.

    Attributes:
      pending: Requests that have begun, and have no task yet.
      due: How many of these are to get one, the oldest.
      closing: Whether requests are to be ended when they are cancelled: not when the interpreter exits.
    """

    def __init__(self, pending: collections.deque[Owned]) -> None:
        super().__init__(None, own)
        self.pending = pending
        self.due = 0.0
        self.closing = False
        self._told = trio.lowlevel.ParkingLot()
        self._lingering = 0
        self._lingered = trio.lowlevel.ParkingLot()

    def __repr__(self) -> str:
        return "<requests that run elsewhere>"  # part of the thread's name, which says what it is for

    def look(self, due: float = math.inf) -> None:
        """Give the oldest of those pending their tasks, so many, or all; in trio's thread."""
        self.due = max(self.due, due)
        self._told.unpark_all()

    async def get_request(self) -> tuple[Owned, Any]:
        """The next of them that still runs."""
        while True:
            while self.due and self.pending:
                self.due -= 1
                request = self.pending.popleft()
                request.adopt()
                if not request.ended:
                    return request, request.client_address
            self.due = 0.0
            await self._told.park()

    async def linger(self, sock: socket.socket, timeout: float) -> None:
        """See `linger`; a task."""
        self._lingering += 1
        try:
            await linger(sock, timeout)
        finally:
            self._lingering -= 1
            self._lingered.unpark_all()

    async def wait_lingered(self) -> None:
        """Wait until no connection lingers."""
        while self._lingering:
            await self._lingered.park()

    async def notify_closing(self, fd: int) -> None:
        """Whoever waits for ``fd`` lets go of it."""
        trio.lowlevel.notify_closing(fd)

    async def end_requests(self, grace_period: float) -> None:
        """Let requests run for so long, then end them; returns when they have ended."""
        self.closing = True
        while self.pending:
            self.look()
            await trio.lowlevel.checkpoint()
        await self.shutdown(grace_period)


async def own(request: Owned, client_address: Any, owner: Owner) -> None:
    """The task of a request."""
    try:
        with trio.CancelScope() as scope:
            if request.timeout is not None:
                scope.deadline = trio.current_time() + request.timeout
            await request.wait()
        if scope.cancelled_caught:
            await request.stop()
    except trio.Cancelled:
        if owner.closing:
            with trio.CancelScope(shield=True):
                await request.stop()
        raise
