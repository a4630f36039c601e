"""Flask, on the development server of Werkzeug: threads, processes, TLS, the reloader, Unix sockets."""

from __future__ import annotations

import os
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING

import pytest

from .kit import HOST, SECONDS, client, curl, get, need, running, script, together, wait_until

if TYPE_CHECKING:
    from pathlib import Path

READY = r"Running on https?://127\.0\.0\.1:(\d+)"
APP = """
import os, threading
from flask import Flask, Response, request
app = Flask(__name__)
everybody = threading.Barrier(6)
@app.post("/length")
def length():
    return str(len(request.get_data()))
@app.get("/meet")
def meet():
    return str(everybody.wait(10) >= 0)
@app.get("/lines")
def lines():
    return Response(f"{number}\\n" for number in range(1000))
@app.get("/pid")
def pid():
    return f"{os.getpid()} {os.getppid()}"
@app.get("/fail")
def fail():
    raise LookupError("no such thing")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the application."""
    need("flask")
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def test_flask_when_many_ask_at_once_then_each_has_a_thread(folder: Path) -> None:
    """A request that ends only when six are there; a body, a stream; Ctrl-C while a client is silent."""
    with running(folder, "-m", "flask", "run", "--port", "0", ready=READY) as program:
        with socket.create_connection((HOST, program.port), timeout=SECONDS):
            assert together(6, lambda _: get(f"{program.url}/meet")) == [b"True"] * 6
            lines = together(6, lambda _: get(f"{program.url}/lines"))
            assert {"".join(f"{number}\n" for number in range(1000)).encode()} == set(lines)
            (folder / "body").write_bytes(b"x" * 2_000_000)
            assert curl("--data-binary", f"@{folder}/body", f"{program.url}/length") == "2000000"
            program.interrupt()
            output = program.wait_clean_end()
    assert output.count('"GET /meet HTTP/1.1" 200 -') == 6


@pytest.mark.parametrize("threads", ["--with-threads", "--without-threads"])
def test_flask_when_it_speaks_tls_then_curl_and_openssl_are_answered(folder: Path, threads: str) -> None:
    """With a certificate of its own making, with and without threads."""
    need("cryptography")
    command = ("-m", "flask", "run", "--port", "0", "--cert", "adhoc", threads)
    with running(folder, *command, ready=READY) as program:
        url = f"https://{HOST}:{program.port}"
        assert curl("--insecure", "--data", "12345", f"{url}/length") == "5"
        shown = client("openssl", "s_client", "-connect", f"{HOST}:{program.port}", "-brief")
        assert shown == ""
        context = ssl._create_unverified_context()
        texts = together(6, lambda _: get(f"{url}/lines", context=context))
        assert {3890} == {len(text) for text in texts}
        program.interrupt()
        program.wait_clean_end()


def test_flask_when_the_application_fails_then_says_so_and_goes_on(folder: Path) -> None:
    """The client gets a 500, the log the traceback, and the next client its answer."""
    with running(folder, "-m", "flask", "run", "--port", "0", ready=READY) as program:
        shown = curl("--no-fail", "-w", "%{http_code}", "-o", "/dev/null", f"{program.url}/fail")
        assert shown == "500"
        assert len(get(f"{program.url}/lines")) == 3890
        program.interrupt()
        assert "LookupError: no such thing" in program.wait_end()


def test_flask_when_it_reloads_then_the_new_process_runs_on_us_as_well(folder: Path) -> None:
    """Werkzeug starts itself again by the whole command line, and hands the listening socket on."""
    command = ("-m", "flask", "run", "--port", "0", "--reload")
    with running(folder, *command, ready=f"(?s){READY}.*Restarting with stat") as program:
        before = get(f"{program.url}/pid")
        (folder / "app.py").write_text(APP + "\n")
        program.wait_output("Detected change")
        program.wait_output("(?s)Restarting.*Restarting")
        assert before != get(f"{program.url}/pid")
        program.interrupt()
        program.wait_clean_end()


PROCESSES = """
import werkzeug
from app import app
werkzeug.run_simple("127.0.0.1", 0, app, processes=4)
"""


def test_werkzeug_when_it_has_processes_then_each_request_runs_in_a_child(folder: Path) -> None:
    """Children of the server, a new one for each; none is left as a zombie."""
    with running(folder, script(folder, PROCESSES), ready=READY) as program:
        pairs = [text.split() for text in together(6, lambda _: get(f"{program.url}/pid"))]
        assert {str(program.process.pid).encode()} == {parent for _, parent in pairs}
        assert len({child for child, _ in pairs}) == 6
        for child, _ in pairs:
            wait_until(partial(is_gone, int(child)))
        program.interrupt()
        program.wait_clean_end()
    assert "os.fork" in program.witnessed


def is_gone(pid: int) -> bool:
    """Whether a process has ended and was reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


UNIX = """
import werkzeug
from app import app
werkzeug.run_simple("unix://http.sock", 0, app, threaded=True)
"""


def test_werkzeug_when_on_a_unix_socket_then_curl_is_answered(folder: Path) -> None:
    """The file is the program's: it is still there at the end."""
    with running(folder, script(folder, UNIX), ready="Running on unix:.*") as program:
        path = str(folder / "http.sock")
        texts = together(4, lambda _: curl("--unix-socket", path, "http://localhost/lines"))
        assert {3890} == {len(text) for text in texts}
        program.interrupt()
        program.wait_clean_end()
