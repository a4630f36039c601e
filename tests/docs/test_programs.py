"""The programs of the page "from socketserver to trioserver": each runs as it stands, and echoes."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from pathlib import Path
from typing import Any

import pytest
import trio

import trioserver

PAGE = Path(__file__).parents[2] / "docs" / "from-socketserver.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""

if not TEXT:
    pytest.skip("the pages are not beside the installed package", allow_module_level=True)

PROGRAMS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


class Started:
    """Waits for the one server of a program, and knows how to talk to it and how to stop it."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.server: Any = None
        self.token: trio.lowlevel.TrioToken | None = None

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Be told of the servers that are made."""
        ours, theirs = trioserver.BaseServer.__init__, socketserver.TCPServer.__init__

        def init_ours(server: Any, *args: Any, **options: Any) -> None:
            ours(server, *args, **options)
            self.server, self.token = server, trio.lowlevel.current_trio_token()
            server.add_observer(self.on_event)

        def init_theirs(server: Any, *args: Any, **options: Any) -> None:
            theirs(server, *args, **options)
            self.server = server
            self.event.set()

        monkeypatch.setattr(trioserver.BaseServer, "__init__", init_ours)
        monkeypatch.setattr(socketserver.TCPServer, "__init__", init_theirs)
        monkeypatch.setattr(socketserver.BaseServer.serve_forever, "__defaults__", (0.001,))  # it polls

    def on_event(self, event: trioserver.ServerEvent) -> None:
        if isinstance(event, trioserver.ServerStarted):
            self.event.set()

    def stop(self) -> None:
        """Stop the server, from this thread."""
        if self.token is None:
            self.server.shutdown()
        else:
            trio.from_thread.run_sync(self.server.request_shutdown, trio_token=self.token)


def test_there_are_programs() -> None:
    """Five, of which one is the stdlib's."""
    assert len(PROGRAMS) == 5
    assert sum("trioserver" not in program for program in PROGRAMS) == 1


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_programs_of_the_page_run_and_echo(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as it stands, but for the port, in a thread; it is a server that sends back what it gets."""
    program = PROGRAMS[number].replace('("127.0.0.1", 8000)', '("127.0.0.1", 0)')
    assert program != PROGRAMS[number]
    started = Started()
    started.watch(monkeypatch)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            exec(compile(program, f"{PAGE.name}, program {number + 1}", "exec"), {"__name__": "__main__"})
        except BaseException as error:
            failures.append(error)
        finally:
            started.event.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        started.event.wait(10)
        assert failures == []
        server = started.server
        kind = server.socket_type
        with socket.socket(type=kind) as client:
            client.settimeout(10)
            client.connect(server.server_address)
            client.sendall(b"hello\n")
            assert client.recv(100) == b"hello\n"
    finally:
        if started.server is not None and not failures:
            started.stop()
        thread.join(10)
    assert not thread.is_alive()
    assert failures == []
