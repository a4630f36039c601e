"""What the command line prints."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

import trioserver


def say(text: str, *, error: bool = False) -> None:
    """Print lines. If nobody reads them any more, nothing is said from then on, and serving goes on.

    Ctrl-C in ``python -m trioserver | tee log`` ends tee as well, and the requests are still to be drained.
    """
    try:
        print(text, file=sys.stderr if error else sys.stdout, flush=True)
    except OSError:
        # What is left in the old one's buffer would make the interpreter fail at its end.
        nowhere = open(os.devnull, "w")  # noqa: SIM115
        if error:
            sys.stderr = nowhere
        else:
            sys.stdout = nowhere


def announce(address: Any, who: str, *, echo: bool) -> None:
    """Say where the server is, how to talk to it, and how to stop it."""
    say(f"Listening on {trioserver.format_address(address)}, {who}.")
    if echo:
        if isinstance(address, tuple):
            command = f"nc {address[0]} {address[1]}"
            connect = f"socket.create_connection({_quote(address[:2])})"
        else:
            command = f"nc -U {shlex.quote(trioserver.format_address(address))}"
            connect = f"socket.socket(socket.AF_UNIX); s.connect({_quote(address)})"
        program = f'import socket; s = {connect}; s.sendall(b"hello\\n"); print(s.recv(100))'
        say("Talk to it from another terminal; every line comes back:")
        say(f"    {command}")
        say(f"    python3 -c {shlex.quote(program)}")
    say("Stop it with Ctrl-C; a second one does not wait for the clients.")


def print_can_not_listen(address: Any, error: Exception) -> None:
    """Say why, in one line."""
    reason = getattr(error, "strerror", None) or str(error)
    print_error(f"can not listen on {trioserver.format_address(address)}: {reason}")


def print_error(text: str) -> None:
    """An error of the command line, in one line."""
    say(f"python -m trioserver: error: {' '.join(text.split())}", error=True)


def print_counts(numbers: trioserver.ServerStatistics | trioserver.ShutdownReport) -> None:
    """What became of the requests."""
    say(
        f"Stopped. Requests: {numbers.accepted} accepted, {numbers.finished} finished, "
        f"{numbers.failed} failed, {numbers.cancelled} cancelled, {numbers.rejected} rejected."
    )


def _quote(value: object) -> str:
    """A literal with double quotes, which need no escaping in a shell's single ones."""
    return repr(value).replace("'", '"')
