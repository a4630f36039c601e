"""Serving in this process."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import trio

import trioserver

from .._engine.bare_nursery import open_bare_nursery
from .output import announce, print_can_not_listen, print_counts, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


def make_server(
    address: tuple[str, int] | str, handler: Callable[..., Any], mode: int | None
) -> trioserver.StreamServer:
    """The server for an address.

    Raises:
      ConfigError: It is not usable.
    """
    if isinstance(address, str):
        return trioserver.UnixStreamServer(address, handler, mode=mode)
    return trioserver.TCPServer(address, handler)


async def serve(server: trioserver.StreamServer, grace_period: float, echo: bool) -> int:
    """Serve until a signal; returns the exit code."""
    code = 0
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        # What a handler or the server raises to stop it all, sys.exit() say, comes out as it was.
        async with open_bare_nursery() as nursery:
            nursery.start_soon(_stop_at_signals, signals, server, grace_period, nursery.cancel_scope)
            code = await _serve_until_stopped(server, echo)
            nursery.cancel_scope.cancel()
    return code


async def _serve_until_stopped(server: trioserver.StreamServer, echo: bool) -> int:
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(server)
        except (OSError, UnicodeError) as error:
            print_can_not_listen(server.server_address, error)
            return 2
        announce(server.server_address, f"pid {os.getpid()}", echo=echo)
        await server.serve_forever()
    print_counts(server.statistics())
    return 0


async def _stop_at_signals(
    signals: AsyncIterator[int],
    server: trioserver.StreamServer,
    grace_period: float,
    scope: trio.CancelScope,
) -> None:
    """Drain at the first signal, cancel at the second."""
    await anext(signals)
    if server.state is trioserver.State.NEW:
        scope.cancel()  # it is still being bound: looking up a name can take long
    server.request_shutdown(grace_period)
    if server.requests:
        say(
            f"Waiting at most {grace_period:g} s for the requests that run ({len(server.requests)}); "
            "Ctrl-C again to cancel them."
        )
    async for _ in signals:
        say("Cancelling them.")
        server.request_shutdown(0.0)
