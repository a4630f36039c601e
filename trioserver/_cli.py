"""The command line: what to serve, where, and how to stop it.

Exit codes: 0 after an orderly stop, 2 when the arguments can not be used or the address can not be
bound, with one line that says why.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import logging
import os
import re
import shlex
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

import trio

import trioserver

from ._engine.exceptions import without_our_layer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

DEFAULT_ADDRESS = "tcp://127.0.0.1:0"


class EchoHandler(trioserver.StreamRequestHandler):
    """Sends every line back: what is served when nothing else is named."""

    async def handle(self) -> None:
        """Answer until the client is done, or the server drains."""
        while await self.wait_request():
            await self.wfile.write(await self.rfile.readline())


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = _make_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=options.log_level.upper())
    try:
        handler = EchoHandler if options.handler is None else _load_handler(options.handler)
        server = _make_server(options.bind, handler, options.mode)
        server.max_requests = options.max_requests
    except trioserver.ConfigError as error:
        parser.error(str(error))
    return trio.run(_serve, server, options.grace_period, handler is EchoHandler)


def _make_parser() -> _Parser:
    parser = _Parser(
        prog="python -m trioserver",
        description="Serve connections, each in a task of its own.",
    )
    parser.add_argument(
        "handler",
        nargs="?",
        metavar="MODULE:HANDLER",
        help="a subclass of trioserver.BaseRequestHandler or an async function; without it, lines are echoed",
    )
    parser.add_argument(
        "--bind",
        default=DEFAULT_ADDRESS,
        metavar="ADDRESS",
        help="tcp://HOST:PORT or unix:PATH; the default is a free port of 127.0.0.1",
    )
    parser.add_argument(
        "--grace-period",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long requests may still take after SIGINT or SIGTERM (10); a second signal cancels them",
    )
    parser.add_argument(
        "--max-requests",
        type=count,
        metavar="N",
        help="how many connections to serve at once (no limit); others wait in the kernel's queue",
    )
    parser.add_argument(
        "--mode",
        type=permissions,
        metavar="OCTAL",
        help="the permissions of the socket file of unix:PATH, 600 for the owner alone (the umask decides)",
    )
    parser.add_argument(
        "--log-level",
        default="warning",
        choices=["debug", "info", "warning", "error"],
        help="which log records to show (warning)",
    )
    return parser


def seconds(text: str) -> float:
    """A number of seconds; the name is what argparse calls it in an error."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds, at least 0, not {text}")
    return value


def permissions(text: str) -> int:
    """Permissions of a file."""
    value = int(text, 8)
    if not 0 <= value <= 0o777:
        raise argparse.ArgumentTypeError(f"must be octal permissions such as 600, not {text}")
    return value


def count(text: str) -> int:
    """A number of requests."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def _load_handler(name: str) -> Callable[..., Any]:
    """Import ``MODULE:HANDLER``.

    Raises:
      ConfigError: There is no such thing, its import fails, or it is no handler.
    """
    module_name, colon, path = name.partition(":")
    if not colon or not module_name or not path:
        raise trioserver.ConfigError(f"the handler must be given as MODULE:HANDLER, not {name!r}")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except SystemExit as error:
        raise trioserver.ConfigError(f"importing {module_name!r} failed: it called sys.exit()") from error
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise trioserver.ConfigError(f"there is no module {module_name!r}") from error
        raise trioserver.ConfigError(f"importing {module_name!r} failed: {error}") from error
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} at {where.filename}:{where.lineno}: {error}"
        raise trioserver.ConfigError(f"importing {module_name!r} failed: {what}") from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise trioserver.ConfigError(f"module {module_name!r} has no {path!r}") from None
    awaitable_class = inspect.isclass(found) and hasattr(found, "__await__")
    if not (awaitable_class or inspect.iscoroutinefunction(found)):
        raise trioserver.ConfigError(
            f"{name} is not a handler: it must be an async function or a subclass of "
            "trioserver.BaseRequestHandler"
        )
    handler: Callable[..., Any] = found
    return handler


def _make_server(address: str, handler: Callable[..., Any], mode: int | None) -> trioserver.StreamServer:
    """The server for ``tcp://HOST:PORT`` or ``unix:PATH``.

    Raises:
      ConfigError: The address has neither form.
    """
    if address.startswith("unix:"):
        path = address.removeprefix("unix:").removeprefix("//")
        if not path:
            raise trioserver.ConfigError("--bind unix:PATH needs a path")
        if path.startswith("@"):
            path = "\0" + path[1:]
        return trioserver.UnixStreamServer(path, handler, mode=mode)
    if mode is not None:
        raise trioserver.ConfigError("--mode is for unix:PATH alone")
    match = re.fullmatch(r"tcp://(?:\[([0-9A-Fa-f:.%\w]+)\]|([^/:?#\[\]]*)):(\d+)", address)
    if match is None:
        raise trioserver.ConfigError(f"--bind must be tcp://HOST:PORT or unix:PATH, not {address!r}")
    ipv6, host, port = match.groups()
    return trioserver.TCPServer((ipv6 or host, int(port)), handler)


async def _serve(server: trioserver.StreamServer, grace_period: float, echo: bool) -> int:
    code = 0
    failure: BaseException | None = None
    try:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop_at_signals, signals, server, grace_period, nursery.cancel_scope)
                code = await _serve_until_stopped(server, echo)
                nursery.cancel_scope.cancel()
        return code
    except BaseExceptionGroup as group:
        failure = without_our_layer(group)
    raise failure  # what a handler or the server raised to stop it all, sys.exit() say, as it was


async def _serve_until_stopped(server: trioserver.StreamServer, echo: bool) -> int:
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(server)
        except (OSError, UnicodeError) as error:
            where = trioserver.format_address(server.server_address)
            reason = getattr(error, "strerror", None) or str(error)
            print(f"python -m trioserver: error: can not listen on {where}: {reason}", file=sys.stderr)
            return 2
        _announce(server, echo)
        await server.serve_forever()
    numbers = server.statistics()
    print(
        f"Stopped. Requests: {numbers.accepted} accepted, {numbers.finished} finished, "
        f"{numbers.failed} failed, {numbers.cancelled} cancelled, {numbers.rejected} rejected."
    )
    return 0


def _announce(server: trioserver.StreamServer, echo: bool) -> None:
    """Say where the server is, how to talk to it, and how to stop it."""
    address = server.server_address
    print(f"Listening on {trioserver.format_address(address)}, pid {os.getpid()}.")
    if echo:
        if isinstance(address, tuple):
            command = f"nc {address[0]} {address[1]}"
            connect = f"socket.create_connection({_quote(address[:2])})"
        else:
            command = f"nc -U {shlex.quote(trioserver.format_address(address))}"
            connect = f"socket.socket(socket.AF_UNIX); s.connect({_quote(address)})"
        program = f'import socket; s = {connect}; s.sendall(b"hello\\n"); print(s.recv(100))'
        print("Talk to it from another terminal; every line comes back:")
        print(f"    {command}")
        print(f"    python3 -c {shlex.quote(program)}")
    print("Stop it with Ctrl-C; a second one does not wait for the clients.", flush=True)


def _quote(value: object) -> str:
    """A literal with double quotes, which need no escaping in a shell's single ones."""
    return repr(value).replace("'", '"')


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
        print(
            f"Waiting at most {grace_period:g} s for the requests that run ({len(server.requests)}); "
            "Ctrl-C again to cancel them.",
            flush=True,
        )
    async for _ in signals:
        print("Cancelling them.", flush=True)
        server.request_shutdown(0.0)
