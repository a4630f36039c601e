"""What the command line prints."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import trioserver


def announce(address: Any, who: str, *, echo: bool) -> None:
    """Say where the server is, how to talk to it, and how to stop it."""
    print(f"Listening on {trioserver.format_address(address)}, {who}.")
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


def print_can_not_listen(address: Any, error: Exception) -> None:
    """Say why, in one line."""
    reason = getattr(error, "strerror", None) or str(error)
    print_error(f"can not listen on {trioserver.format_address(address)}: {reason}")


def print_error(text: str) -> None:
    """An error of the command line, in one line."""
    print(f"python -m trioserver: error: {text}", file=sys.stderr)


def print_counts(numbers: trioserver.ServerStatistics | trioserver.ShutdownReport) -> None:
    """What became of the requests."""
    print(
        f"Stopped. Requests: {numbers.accepted} accepted, {numbers.finished} finished, "
        f"{numbers.failed} failed, {numbers.cancelled} cancelled, {numbers.rejected} rejected.",
        flush=True,
    )


def _quote(value: object) -> str:
    """A literal with double quotes, which need no escaping in a shell's single ones."""
    return repr(value).replace("'", '"')
