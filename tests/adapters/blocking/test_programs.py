"""Whole programs: Ctrl-C as a terminal sends it, SIGTERM, and a server that nobody closes."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from .kit import SECONDS, run_program, start_program

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")

PROLOGUE = """
import os, signal, socket, sys, threading
import trio, trioserver
from trioserver_adapters.blocking import BlockingServer

class Handler(trioserver.StreamRequestHandler):
    async def handle(self):
        await self.wfile.write(b"r")
        await self.rfile.read(1)
        print("handled", flush=True)

    async def finish(self):
        await trio.sleep(0)
        print("finished", flush=True)

def ask():
    client = socket.create_connection(server.server_address)
    assert client.recv(1) == b"r"
    return client.detach()

server = BlockingServer(trioserver.TCPServer(("127.0.0.1", 0), Handler))
"""

SERVES = (
    PROLOGUE
    + """
def tell(event):
    if isinstance(event, trioserver.ServerDraining):
        print("draining", flush=True)

server.server.add_observer(tell)
try:
    with server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
finally:
    print(server.server.state.value, flush=True)
"""
)


@pytest.fixture
def serves() -> Iterator[Callable[..., tuple[subprocess.Popen[str], socket.socket]]]:
    """Starts a program that serves, and has a client whose request runs."""
    with contextlib.ExitStack() as stack:

        def serves(program: str = SERVES) -> tuple[subprocess.Popen[str], socket.socket]:
            process = stack.enter_context(start_program(program))
            stack.callback(process.kill)
            assert process.stdout is not None
            address = ("127.0.0.1", int(process.stdout.readline()))
            client = stack.enter_context(socket.create_connection(address, SECONDS))
            assert client.recv(1) == b"r"
            return process, client

        yield serves


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def test_ctrl_c_when_pressed_once_then_a_request_finishes_and_the_program_ends_by_it(serves: Any) -> None:
    """By SIGINT, as whoever started it expects; the only traceback is that of KeyboardInterrupt."""
    process, client = serves()
    process.send_signal(signal.SIGINT)
    assert line_of(process) == "draining\n"
    client.sendall(b"x")
    output, errors = process.communicate(timeout=SECONDS)
    assert output == "handled\nfinished\nclosed\n"
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert errors.count("Traceback") == 1
    assert process.returncode == -signal.SIGINT


def test_ctrl_c_when_pressed_twice_then_the_request_is_cancelled(serves: Any) -> None:
    """It cleans up, and the program ends as before."""
    process, _ = serves()
    process.send_signal(signal.SIGINT)
    assert line_of(process) == "draining\n"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=SECONDS)
    assert output == "finished\nclosed\n"
    assert errors.count("Traceback") == 1
    assert process.returncode == -signal.SIGINT


def test_sigterm_when_its_handler_raises_system_exit_then_that_is_the_status(serves: Any) -> None:
    """The server stops in order, first."""
    process, client = serves(
        f"import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n{SERVES}"
    )
    process.send_signal(signal.SIGTERM)
    assert line_of(process) == "draining\n"
    client.sendall(b"x")
    output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, output, errors) == (7, "handled\nfinished\nclosed\n", "")


FORGOTTEN = {
    "opened": "server.fileno(); ask = int",
    "in the background": "server.start()",
    "in the background, and dropped": "server.start(); ask(); del server; ask = int",
    "in a daemon thread": """
threading.Thread(target=lambda: (server.serve_forever(), print("returned", flush=True)), daemon=True).start()
while server.server.state is not trioserver.State.SERVING or server.fileno() == -1:
    pass
""",
    "by handle_request": """
server.fileno()
threading.Thread(target=server.handle_request, daemon=True).start()
""",
}


@pytest.mark.parametrize("how", FORGOTTEN)
def test_forgotten_when_the_interpreter_exits_then_it_is_closed_in_order(how: str) -> None:
    """With status 0 and without a word, even where all warnings are errors; handlers finish."""
    program = PROLOGUE + FORGOTTEN[how] + "\nclient = ask()\n"
    status, output, errors = run_program(program + "print('end', flush=True)\n")
    lines = output.split("\n")[:-1]
    assert (status, errors) == (0, "")
    assert lines[0] == "end"
    assert ("finished" in lines) == (how != "opened")
    assert "handled" not in lines


def test_forgotten_when_it_starts_as_the_interpreter_exits_then_does_not_hang() -> None:
    """A daemon thread begins to use it at the last moment; it may be told that it is too late."""
    program = (
        PROLOGUE
        + """
def begin():
    with contextlib.suppress(trioserver.ServerClosed, RuntimeError):
        server.start()

import contextlib, time
threading.Thread(target=begin, daemon=True).start()
"""
    )
    for milliseconds in range(4):
        status, _, errors = run_program(f"{program}\ntime.sleep({milliseconds / 1000})")
        assert (status, errors) == (0, "")


def test_forgotten_when_a_warning_is_an_error_then_collecting_it_still_ends_the_thread() -> None:
    """A warning that is raised in a finalizer is printed; and the server is closed."""
    program = (
        PROLOGUE
        + """
server.fileno()
count = threading.active_count()
native = server.server
del server
while threading.active_count() == count:
    pass
print(native.state.value, threading.active_count())
"""
    )
    status, output, errors = run_program(program)
    assert (status, output) == (0, "closed 1\n")
    assert errors.count("ResourceWarning: unclosed <BlockingServer") == 1


@pytest.mark.parametrize("method", ["serve_forever", "start"])
def test_ctrl_c_when_the_program_has_its_own_handler_then_that_is_called(method: str) -> None:
    """Which may ask for the end without an exception."""
    wait: dict[str, str] = {"start": "server.start(); done.wait()", "serve_forever": "server.serve_forever()"}
    program = (
        PROLOGUE
        + f"""
done = threading.Event()
signal.signal(signal.SIGINT, lambda *_: (server.request_shutdown(), done.set()))
with server:
    print("ready", flush=True)
    {wait[method]}
print(signal.getsignal(signal.SIGINT).__name__)
"""
    )
    status, output, errors = run_program(program, sends=signal.SIGINT)
    assert (status, output, errors) == (0, "ready\n<lambda>\n", "")
