"""The worker itself: a fresh interpreter that makes a server, serves, and does what the parent says.

1. It is told to stop by the channel: by a message, or by its end. So a parent that is killed leaves no
   worker behind. (P5)
2. Ctrl-C means nothing to it: it is the parent's. At SIGTERM, sent to it alone, it asks to be replaced, and
   goes on until it is.
3. Standard error has the traceback of what went wrong; the parent gets one line.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import os
import signal
import socket
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final, NoReturn

import trio

from .._engine.bare_nursery import open_bare_nursery
from .._engine.describe import describe_error
from .._servers.base import BaseServer
from .._vocabulary.errors import ConfigError
from .channel import Channel, encode, receive_blocking
from .target import unpack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .channel import Message
    from .target import MakeServer

_LONGEST_TEXT: Final = 2000
"""Of an error, for the parent: what is much longer is not sent in one piece, and so not at all."""

in_worker = False
"""Whether this process is a worker."""


def main(descriptor: int) -> NoReturn:
    """Be a worker whose end of the channel is ``descriptor``."""
    global in_worker
    in_worker = True
    # Not SIG_IGN, which the processes that handlers start would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    status: Any = 0
    with contextlib.ExitStack() as stack:
        sock = _inherited(stack, descriptor)
        start = receive_blocking(sock)
        if start is None:
            sys.exit(1)  # the parent is gone
        try:
            sockets = [_inherited(stack, number) for number in start["sockets"]]
            make_server = unpack(start)
            trio.run(_serve, Channel(sock), make_server, sockets, start)
        except BaseException as error:
            _explain(error)
            with contextlib.suppress(OSError):  # the parent is gone
                sock.send(encode("failed", text=_in_one_line(error)[:_LONGEST_TEXT]))
            status = error.code if isinstance(error, SystemExit) else 1
    # What the program has left running in threads may take for ever, and the parent be gone meanwhile.
    _end_within(start["kill_timeout"])
    sys.exit(status)


def _inherited(stack: contextlib.ExitStack, descriptor: int) -> socket.socket:
    sock = stack.enter_context(socket.socket(fileno=descriptor))
    sock.set_inheritable(False)  # for the processes that handlers start
    return sock


def _explain(error: BaseException) -> None:
    if not isinstance(error, (SystemExit, ConfigError)):
        with contextlib.suppress(OSError):  # nobody reads it: then it is for the parent all the more
            traceback.print_exception(error)


def _in_one_line(error: BaseException) -> str:
    if isinstance(error, ConfigError):
        return " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    return describe_error(error)


async def _serve(
    channel: Channel, make_server: MakeServer, sockets: list[socket.socket], start: Message
) -> None:
    told = trio.Event()
    # If the parent goes while the server is made, that may take for ever, with a socket on which others wait.
    with trio.CancelScope() as starting:
        trio.lowlevel.spawn_system_task(_wait_told, channel, told, starting, start)
        await _serve_when_told(channel, told, make_server, sockets, start)


async def _wait_told(channel: Channel, told: trio.Event, starting: trio.CancelScope, start: Message) -> None:
    """Wait for the parent's word; if it goes instead, so does the worker."""
    if await channel.receive() is None:
        starting.cancel()
        _end_within(start["kill_timeout"])
    else:
        told.set()


async def _serve_when_told(
    channel: Channel, told: trio.Event, make_server: MakeServer, sockets: list[socket.socket], start: Message
) -> None:
    # Now: whoever makes the server may close those that it does not use.
    given = {sock.getsockname() for sock in sockets}
    async with contextlib.AsyncExitStack() as stack:
        server = await _enter(stack, make_server(sockets))
        channel.tell("loaded")
        await told.wait()
        try:
            await _serve_until_told(channel, server, start, given)
        finally:
            counts = server.statistics()
            channel.tell(
                "ended",
                accepted=counts.accepted,
                finished=counts.finished,
                failed=counts.failed,
                cancelled=counts.cancelled,
                rejected=counts.rejected,
            )


async def _enter(stack: contextlib.AsyncExitStack, made: Any) -> BaseServer[Any]:
    """The server that ``make_server`` has made, or the one inside of the context manager that it has."""
    if inspect.isawaitable(made):
        made = await made
    if not isinstance(made, BaseServer) and isinstance(made, contextlib.AbstractAsyncContextManager):
        made = await stack.enter_async_context(made)
    if not isinstance(made, BaseServer):
        raise ConfigError(
            "make_server must return a server, or an asynchronous context manager that gives one, not "
            f"{made!r}"
        )
    return made


async def _serve_until_told(
    channel: Channel, server: BaseServer[Any], start: Message, given: set[Any]
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with open_bare_nursery() as nursery:
            nursery.start_soon(_obey, channel, server, start)
            nursery.start_soon(_ask_to_leave, channel, signals)
            nursery.start_soon(_say_when_draining, channel, server)
            # It was not entered: so its sockets are closed when it stops to accept, and clients are refused,
            # or served by whoever has the same sockets.
            await server.serve_forever(task_status=_Ready(channel, server, given))
            nursery.cancel_scope.cancel()


class _Ready(trio.TaskStatus[Any]):
    """Tells the parent that requests can come, to the addresses that it has ``given``."""

    def __init__(self, channel: Channel, server: BaseServer[Any], given: set[Any]) -> None:
        self._channel = channel
        self._server = server
        self._given = given

    def started(self, value: Any = None) -> None:
        """They can. Raises ConfigError if they would come to sockets that nobody serves."""
        sockets = getattr(self._server, "sockets", None)
        if sockets is not None and not self._given <= {sock.getsockname() for sock in sockets}:
            raise ConfigError(
                "the server does not serve on the sockets that it was given: make_server(sockets) must "
                "pass them on, as sock=sockets"
            )
        self._channel.tell("ready")


async def _obey(channel: Channel, server: BaseServer[Any], start: Message) -> None:
    """Shut down when the parent says so, or is gone."""
    while (message := await channel.receive()) is not None:
        if message["kind"] == "shutdown":
            if message["patience"]:
                server._engine.patience = message["patience"]
            else:
                server._engine.lose_patience()
            server.request_shutdown(message["grace_period"])
    grace_period = start["grace_period"]
    server.request_shutdown(grace_period)
    _end_within((math.inf if grace_period is None else grace_period) + start["kill_timeout"])


def _end_within(patience: float) -> None:
    """Be gone after so many seconds, with the processes forked here: nobody is left who would kill them."""
    if patience < threading.TIMEOUT_MAX:
        timer = threading.Timer(patience, os.killpg, (0, signal.SIGKILL))
        timer.daemon = True
        timer.start()


async def _ask_to_leave(channel: Channel, signals: AsyncIterator[int]) -> None:
    async for _ in signals:
        channel.tell("leaving")


async def _say_when_draining(channel: Channel, server: BaseServer[Any]) -> None:
    """If a handler has stopped the server, say, the next worker need not wait for the end of the drain."""
    await server.wait_draining()
    channel.tell("leaving")
