"""Serving in several processes, of which this one is the parent."""

from __future__ import annotations

import functools
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

import trio

import trioserver

from .._engine.bare_nursery import open_bare_nursery
from .handlers import EchoHandler, load_handler
from .output import announce, print_can_not_listen, print_counts, print_error, say

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import AsyncIterator


def make_workers(address: tuple[str, int] | str, options: argparse.Namespace) -> trioserver.Workers:
    """The workers for an address.

    Raises:
      ConfigError: It is not usable.
    """
    return trioserver.Workers(
        functools.partial(
            make_server_in_worker, options.handler, address, options.max_requests, options.log_level
        ),
        address,
        workers=options.workers,
        grace_period=options.grace_period,
        mode=options.mode,
    )


def make_server_in_worker(
    name: str | None,
    address: tuple[str, int] | str,
    max_requests: int | None,
    log_level: str,
    sockets: list[socket.socket],
) -> trioserver.StreamServer:
    """The server of a worker."""
    logging.basicConfig(format=f"%(levelname)s: worker {os.getpid()}: %(message)s", level=log_level.upper())
    handler = EchoHandler if name is None else load_handler(name)
    server = trioserver.UnixStreamServer if isinstance(address, str) else trioserver.TCPServer
    return server(None, handler, sock=sockets, max_requests=max_requests)


async def serve(workers: trioserver.Workers, grace_period: float, echo: bool) -> int:
    """Serve until a signal; returns the exit code."""
    watched = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    code = 0
    workers.add_observer(_Narrator(echo=echo))
    with trio.open_signal_receiver(*watched) as signals:
        async with open_bare_nursery() as nursery:
            nursery.start_soon(_heed_signals, signals, workers, grace_period)
            code = await _serve_until_stopped(workers)
            nursery.cancel_scope.cancel()
    return code


async def _serve_until_stopped(workers: trioserver.Workers) -> int:
    try:
        await workers.serve_forever()
    except trioserver.WorkerError as error:
        print_error(str(error))
        return 2
    except (OSError, UnicodeError) as error:
        print_can_not_listen(workers.server_address, error)
        return 2
    report = await workers.shutdown()
    if report.unreported:
        say(f"Workers that could not say what they had served: {report.unreported} of {report.workers}.")
    print_counts(report)
    return 0


async def _heed_signals(
    signals: AsyncIterator[int], workers: trioserver.Workers, grace_period: float
) -> None:
    """Restart at SIGHUP; drain at the first one of the others, cancel at the second."""
    async with trio.open_nursery() as nursery:
        draining = False
        async for signum in signals:
            if signum == getattr(signal, "SIGHUP", None):
                nursery.start_soon(_restart, workers)
            elif not draining:
                draining = True
                if workers.state is trioserver.State.SERVING:
                    say(
                        f"Waiting at most {grace_period:g} s for the requests that run; "
                        "Ctrl-C again to cancel them."
                    )
                workers.request_shutdown(grace_period)
            else:
                say("Cancelling them.")
                workers.request_shutdown(0.0)


async def _restart(workers: trioserver.Workers) -> None:
    if workers.state is not trioserver.State.SERVING:
        return
    say("Replacing the workers.")
    try:
        await workers.restart()
    except trioserver.LifecycleError:
        say("There are none yet.")  # the address is still being looked up
    except trioserver.WorkerError as error:
        say(f"Not all workers were replaced; the old ones go on: {error}", error=True)
    else:
        if workers.state is trioserver.State.SERVING:  # a shutdown ends it, too
            say("The workers were replaced.")


class _Narrator:
    """Prints what happens to the workers."""

    def __init__(self, *, echo: bool) -> None:
        self._echo = echo
        self._pids: dict[int, int] = {}

    def __call__(self, event: Any) -> None:
        match event:
            case trioserver.WorkerStarted(slot=slot, pid=pid):
                if slot in self._pids:
                    say(f"Worker {pid} has taken the place of {self._pids[slot]}.")
                self._pids[slot] = pid
            case trioserver.WorkersStarted(server_address=address):
                pids = ", ".join(str(pid) for pid in self._pids.values())
                who = f"pid {os.getpid()}, workers {pids}; kill -HUP {os.getpid()} restarts them"
                announce(address, who, echo=self._echo)
            case trioserver.WorkerDelayed(delay=delay):
                say(f"The next worker is started in {delay:g} s.")
