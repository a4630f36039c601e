"""The arguments of the command line."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

import trioserver

DEFAULT_ADDRESS = "tcp://127.0.0.1:0"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def make_parser() -> Parser:
    """The parser of the command line."""
    parser = Parser(
        prog="python -m trioserver",
        description="Serve connections, TCP or Unix streams without TLS, each in a task of its own.",
        allow_abbrev=False,
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
        help="how many connections to serve at once, in each process (no limit); others wait in the kernel's "
        "queue",
    )
    parser.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="how many processes serve, with this one as their parent (without it this one serves); SIGHUP "
        "replaces them one by one while others accept",
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
    """A number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds, at least 0, not {text}")
    return value


def permissions(text: str) -> int:
    """Permissions of a file."""
    try:
        value = int(text, 8)
    except ValueError:
        value = -1
    if not 0 <= value <= 0o777:
        raise argparse.ArgumentTypeError(f"must be octal permissions such as 600, not {text}")
    return value


def count(text: str) -> int:
    """A number of requests, or of processes."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, not {text}")
    return value


def parse_address(text: str) -> tuple[str, int] | str:
    """What ``tcp://HOST:PORT`` or ``unix:PATH`` stands for: a host and port, or a path.

    Raises:
      ConfigError: It has neither form.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path:
            raise trioserver.ConfigError("--bind unix:PATH needs a path")
        return "\0" + path[1:] if path.startswith("@") else path
    match = re.fullmatch(r"tcp://(?:\[([0-9A-Fa-f:.%\w]+)\]|([^/:?#\[\]]*)):(\d+)", text)
    if match is None:
        raise trioserver.ConfigError(f"--bind must be tcp://HOST:PORT or unix:PATH, not {text!r}")
    ipv6, host, port = match.groups()
    if int(port) > 65535:
        raise trioserver.ConfigError(f"the port of --bind must be 0 to 65535, not {port}")
    return ipv6 or host, int(port)
