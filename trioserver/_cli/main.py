"""``main``: from the arguments to the exit code.

Exit codes: 0 after an orderly stop, 2 when the arguments can not be used, the address can not be bound, or a
worker can not start, with one line that says why.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

import trioserver

from .arguments import make_parser, parse_address
from .handlers import EchoHandler, load_handler
from .one_process import make_server, serve

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=options.log_level.upper())
    try:
        address = parse_address(options.bind)
        if options.mode is not None and not isinstance(address, str):
            raise trioserver.ConfigError("--mode is for unix:PATH alone")
        handler = EchoHandler if options.handler is None else load_handler(options.handler)
        if options.workers is not None:
            if not hasattr(trioserver, "Workers"):
                raise trioserver.ConfigError("--workers needs a system with POSIX processes")
            from . import several_processes

            workers = several_processes.make_workers(address, options)
            return trio.run(several_processes.serve, workers, options.grace_period, options.handler is None)
        server = make_server(address, handler, options.mode)
        server.max_requests = options.max_requests
    except trioserver.ConfigError as error:
        parser.error(str(error))
    return trio.run(serve, server, options.grace_period, handler is EchoHandler)
