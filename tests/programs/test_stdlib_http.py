"""The standard library's HTTP servers: ``http.server``, ``wsgiref.simple_server``, ``pydoc``."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

from .kit import HOST, SECONDS, curl, get, get_to_the_end, running, script, together

if TYPE_CHECKING:
    from pathlib import Path

WSGI = """
from wsgiref.simple_server import demo_app, make_server
with make_server("127.0.0.1", 0, demo_app) as httpd:
    print("Serving on port", httpd.server_port)
    try:
        httpd.serve_forever()
    except KeyboardInterrupt:
        print("Bye")
"""


def test_http_server_when_many_ask_while_another_is_silent_then_all_are_answered(tmp_path: Path) -> None:
    """A file, a listing, an error: each in a thread; Ctrl-C does not wait for the silent one."""
    (tmp_path / "big.bin").write_bytes(bytes(range(256)) * 4000)
    command = ("-m", "http.server", "--bind", HOST, "0")
    with running(tmp_path, *command, ready=r"\(http://127\.0\.0\.1:(\d+)/\)") as program:
        with socket.create_connection((HOST, program.port), timeout=SECONDS) as silent:
            bodies = together(8, lambda _: get(f"{program.url}/big.bin"))
            assert [(tmp_path / "big.bin").read_bytes()] * 8 == bodies
            assert "big.bin</a>" in curl(program.url)
            assert curl("-o", "/dev/null", "-w", "%{http_code}", "--no-fail", f"{program.url}/no") == "404"
            program.interrupt()
            output = program.wait_clean_end()
            assert silent.recv(1) == b""
    assert output.count('"GET /big.bin HTTP/1.1" 200 -') == 8
    assert output.endswith("\nKeyboard interrupt received, exiting.\n")


def test_wsgiref_when_asked_by_curl_then_the_application_answers(tmp_path: Path) -> None:
    """One after the other, also when they come at once: it has no threads."""
    with running(tmp_path, script(tmp_path, WSGI), ready=r"on port (\d+)") as program:
        assert "Hello world!" in curl(f"{program.url}/?name=value")
        texts = together(8, lambda number: get(f"{program.url}/{number}").decode())
        assert all(f"PATH_INFO = '/{number}'" in text for number, text in enumerate(texts))
        assert b" 200 OK" in get_to_the_end(program)
        program.interrupt()
        assert program.wait_clean_end().endswith("Bye\n")


def test_pydoc_when_asked_for_a_module_then_shows_it_and_quits_when_told(tmp_path: Path) -> None:
    """It serves in a thread of its own, and ends when ``q`` is typed."""
    with running(tmp_path, "-m", "pydoc", "-p", "0", ready=r"http://localhost:(\d+)/") as program:
        url = f"http://localhost:{program.port}"
        pages = together(4, lambda number: get(f"{url}/{('json', 'socket', 'abc', 'enum')[number]}.html"))
        assert b"JSON" in pages[0]
        assert b"getaddrinfo" in pages[1]
        program.type("q\n")
        assert "Server stopped" in program.wait_clean_end()


def test_http_server_when_terminated_then_ends_at_once(tmp_path: Path) -> None:
    """Nothing of ours takes the signal: the process ends by it, as without us."""
    with running(tmp_path, "-m", "http.server", "--bind", HOST, "0", ready=r":(\d+)/\)") as program:
        program.interrupt(signal.SIGTERM)
        program.wait_clean_end(-signal.SIGTERM)
