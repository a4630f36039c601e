"""The page on servers for programs without trio: its programs run as they stand, and its names exist."""

from __future__ import annotations

import inspect
import re
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import trio

import trioserver
from trioserver_adapters.blocking import BlockingServer

PAGE = Path(__file__).parents[2] / "docs" / "blocking.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""

if not TEXT:
    pytest.skip("the pages are not beside the installed package", allow_module_level=True)

PROGRAMS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def test_there_are_programs() -> None:
    """Four."""
    assert len(PROGRAMS) == 4


def test_the_table_has_every_method() -> None:
    """And no other: of those that are public."""
    table = TEXT[TEXT.index("## The methods") : TEXT.index("## Ctrl-C")]
    named = set(re.findall(r"`(\w+)\(", "\n".join(re.findall(r"^\| .*? \|", table, re.MULTILINE))))
    methods = inspect.getmembers(BlockingServer, inspect.isfunction)
    assert named == {name for name, _ in methods if not name.startswith("_")}


def test_the_defaults_that_the_page_has_are_those() -> None:
    """Of the grace period after Ctrl-C."""
    assert inspect.signature(BlockingServer).parameters["grace_period"].default == 10
    assert "10 seconds by default" in TEXT


def talk(server: BlockingServer[Any]) -> bytes:
    """Say hello, and be answered, or see the end of the connection."""
    with socket.create_connection(server.server_address, 10) as client:
        client.sendall(b"hello\n")
        return client.recv(100)


@pytest.mark.parametrize("number", [0, 2])
def test_programs_that_serve_forever_echo_until_they_are_stopped(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they stand, but for the port; the one with a signal handler by that signal, the other by Ctrl-C."""
    program = PROGRAMS[number].replace('("127.0.0.1", 8000)', '("127.0.0.1", 0)')
    assert program != PROGRAMS[number]
    signum = signal.SIGTERM if "SIGTERM" in program else signal.SIGINT
    before = signal.getsignal(signum)
    answers: list[bytes] = []
    clients: list[threading.Thread] = []

    def client(server: BlockingServer[Any]) -> None:
        answers.append(talk(server))
        signal.pthread_kill(threading.main_thread().ident or 0, signum)

    serve_forever = BlockingServer.serve_forever

    def serve(self: BlockingServer[Any]) -> None:
        clients.append(threading.Thread(target=client, args=(self,)))
        clients[0].start()
        serve_forever(self)

    monkeypatch.setattr(BlockingServer, "serve_forever", serve)
    try:
        if signum is signal.SIGINT:
            with pytest.raises(KeyboardInterrupt):
                run(program)
        else:
            run(program)
    finally:
        signal.signal(signum, before)
        clients[0].join(10)
    assert answers == [b"hello\n"]


def test_the_program_with_a_server_in_the_background_does_what_it_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its three dots are a client."""
    program = PROGRAMS[1].replace('("127.0.0.1", 8000)', '("127.0.0.1", 0)')
    line = "    ...  # whatever the program does\n"
    assert line in program
    names = run(program.replace(line, "    answer = talk(server)\n"))
    assert names["answer"] == b"hello\n"
    output = capsys.readouterr().out
    assert re.match(r"[01] requests run\nShutdownReport\(accepted=1, ", output)


def test_the_program_with_a_clock_ends_the_connection_after_an_hour_at_once() -> None:
    """Its three dots are a client, who says nothing."""
    program = PROGRAMS[3].replace('("127.0.0.1", 8000)', '("127.0.0.1", 0)')
    line = "    ...  # connect a client, and\n"
    assert line in program
    wait = "    client = connect(server)\n"
    names = run(program.replace(line, wait) + "    ended = client.recv(1)\n    client.close()\n")
    assert names["ended"] == b""


def connect(server: BlockingServer[Any]) -> socket.socket:
    """A client whose request is idle."""
    client = socket.create_connection(server.server_address, 10)

    async def until_idle() -> None:
        while [each.state for each in server.server.requests] != [trioserver.RequestState.IDLE]:
            await trio.lowlevel.checkpoint()

    server.call(until_idle)
    return client


def run(program: str) -> dict[str, Any]:
    """Run a program of the page; its names."""
    names: dict[str, Any] = {"__name__": "__main__", "talk": talk, "connect": connect}
    exec(compile(program, PAGE.name, "exec"), names)
    return names
