"""``python -m trioserver``: what it prints, what it serves, how it stops, and how it fails."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest
import trio
from command_line import connect, run, serving
from harness import receive_all, receive_exactly

if TYPE_CHECKING:
    from pathlib import Path

HANDLERS = """
import sys
import trio, trioserver

class Shout(trioserver.StreamRequestHandler):
    async def handle(self):
        async for line in self.rfile:
            await self.wfile.write(line.upper())

async def count(request, client_address, server):
    async for chunk in request:
        await request.send_all(b"%d" % len(chunk))

async def leave(request, client_address, server):
    sys.exit(3)

def synchronous(request, client_address, server):
    pass

import socketserver
class OfTheStdlib(socketserver.BaseRequestHandler): ...
"""

ELSEWHERE = """
import sys, trioserver
if not any("trioserver" in argument for argument in sys.orig_argv[:3]):
    raise RuntimeError("it is not the parent that imports this")
class Handler(trioserver.StreamRequestHandler): ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with modules to serve from."""
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "broken.py").write_text("raise RuntimeError('two\\nlines')")
    (tmp_path / "misspelt.py").write_text("import os\nprint(\n")
    (tmp_path / "lazy.py").write_text("def __getattr__(name): raise RuntimeError('two\\nlines')")
    (tmp_path / "lacking.py").write_text("import os\nimport nosuch\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit")
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    return tmp_path


async def test_cli_when_nothing_is_named_then_echoes_and_says_how_to_talk_to_it(folder: Path) -> None:
    """The program that it prints gets an answer, and SIGINT stops it with exit code 0."""
    async with serving(folder) as running:
        program = (await running.read_until(r"python3 -c '([^']+)'"))[1]
        talk = await trio.run_process([sys.executable, "-c", program], capture_stdout=True)
        assert talk.stdout == b"b'hello\\n'\n"
        running.process.send_signal(signal.SIGINT)
        code, last = await running.end()
        assert (code, last) == (
            0,
            "Stopped. Requests: 1 accepted, 1 finished, 0 failed, 0 cancelled, 0 rejected.",
        )


@pytest.mark.parametrize(
    ("handler", "reply"),
    [("handlers:Shout", b"HELLO\n"), ("handlers:count", b"6")],
    ids=["class", "function"],
)
async def test_cli_when_a_handler_is_named_then_serves_it(folder: Path, handler: str, reply: bytes) -> None:
    """A class or an async function of a module in the current folder."""
    async with serving(folder, handler) as running, await connect(running) as client:
        await client.send_all(b"hello\n")
        assert await receive_exactly(client, len(reply)) == reply


async def test_cli_when_given_a_unix_path_then_serves_there_with_its_mode(folder: Path) -> None:
    """The socket file has the permissions that were asked for, and is gone at the end."""
    path = folder / "s"
    async with serving(folder, "handlers:Shout", "--bind", f"unix:{path}", "--mode", "600") as running:
        assert path.stat().st_mode & 0o777 == 0o600
        async with await trio.open_unix_socket(str(path)) as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"HELLO\n"
        running.process.send_signal(signal.SIGTERM)
        assert (await running.end())[0] == 0
    assert not path.exists()


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
async def test_cli_when_signalled_twice_then_drains_and_then_cancels(
    folder: Path, second: signal.Signals
) -> None:
    """The first signal waits for a busy client, the second does not."""
    async with serving(folder, "handlers:Shout", "--grace-period", "600") as running:
        async with await connect(running) as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"HELLO\n"
            running.process.send_signal(signal.SIGTERM)
            await running.read_until("Waiting at most 600 s")
            await client.send_all(b"again\n")
            assert await receive_exactly(client, 6) == b"AGAIN\n"
            running.process.send_signal(second)
            code, last = await running.end()
        assert code == 0
        assert "1 cancelled" in last


async def test_cli_when_a_handler_exits_then_so_does_the_server(folder: Path) -> None:
    """``sys.exit(3)`` in a handler is the exit code, and no traceback of groups."""
    async with serving(folder, "handlers:leave") as running, await connect(running) as client:
        assert await receive_all(client) == b""
        assert running.process.stderr is not None
        errors = await receive_all(running.process.stderr)
        assert (await running.process.wait(), errors) == (3, b"")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch:Handler"], "there is no module 'nosuch'"),
        (["handlers.py:Handler"], "there is no module 'handlers.py': a module has no .py in its name"),
        (["handlers:Nosuch"], "module 'handlers' has no 'Nosuch'"),
        (["handlers"], "MODULE:HANDLER"),
        (["handlers:synchronous"], "handlers:synchronous is not a handler"),
        (["broken:Handler"], "RuntimeError at .*broken.py:1: two lines"),
        (["misspelt:Handler"], "SyntaxError at .*misspelt.py:2: '\\(' was never closed"),
        (["lacking:Handler"], "ModuleNotFoundError at .*lacking.py:2: No module named 'nosuch'"),
        (["leaves:Handler"], "it called sys.exit"),
        (["lazy:Handler"], "getting lazy:Handler failed: RuntimeError at .*lazy.py:1: two lines"),
        (["--bind", "127.0.0.1:80"], "tcp://HOST:PORT or unix:PATH"),
        (["--bind", "tcp://[::1"], "tcp://HOST:PORT or unix:PATH"),
        (["--bind", "tcp://127.0.0.1:80#x"], "tcp://HOST:PORT or unix:PATH"),
        (["--bind", "tcp://127.0.0.1:99999"], "the port of --bind must be 0 to 65535, not 99999"),
        (["--bind", "tcp://a..b:80"], "can not listen on a..b:80"),
        (["--bind", "unix:"], "needs a path"),
        (["--bind", "unix:/nosuch/folder/s"], "can not listen on /nosuch/folder/s"),
        (["--bind", "unix:/nosuch/two\nlines/s"], "can not listen on /nosuch/two lines/s"),
        (["handlers:OfTheStdlib"], "synchronous handler .* trioserver.ThreadingTCPServer"),
        (
            ["handlers:Shout.handle"],
            "is called with a request, a client address and a server",
        ),
        (["--max-request", "5"], "unrecognized arguments: --max-request"),
        (["--mode", "rw"], "argument --mode: must be octal permissions such as 600, not rw"),
        (["--mode", "600"], "--mode is for unix:PATH"),
        (
            ["--grace-period", "soon"],
            "argument --grace-period: must be a number of seconds, at least 0, not soon",
        ),
        (["--max-requests", "0"], "argument --max-requests: must be a whole number, at least 1, not 0"),
        (["--workers", "0"], "argument --workers: must be a whole number, at least 1, not 0"),
        (["--workers", "two"], "argument --workers: must be a whole number, at least 1, not two"),
        (["--workers", "2", "nosuch:Handler"], "there is no module 'nosuch'"),
        (["--workers", "2", "--bind", "tcp://a..b:80"], "can not listen on a..b:80"),
        (["--workers", "2", "--bind", "unix:/nosuch/folder/s"], "can not listen on /nosuch/folder/s"),
        (["--workers", "2", "elsewhere:Handler"], "a worker could not start: importing 'elsewhere' failed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_cli_when_it_can_not_serve_then_says_why_in_one_line(
    folder: Path, arguments: list[str], message: str
) -> None:
    """Exit code 2, nothing on stdout, one line on stderr."""
    done = run(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert re.search(message, done.stderr), done.stderr


async def test_cli_when_the_address_is_in_use_then_says_so(folder: Path) -> None:
    """The error names the address."""
    async with serving(folder) as running:
        port = (await running.read_until(r"Listening on 127\.0\.0\.1:(\d+)"))[1]
        arguments = ["--bind", f"tcp://127.0.0.1:{port}"]
        done = await trio.to_thread.run_sync(run, folder, *arguments)
        assert done.returncode == 2
        assert f"can not listen on 127.0.0.1:{port}: {os.strerror(errno.EADDRINUSE)}" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="workers and such signals are for POSIX")
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_cli_when_nobody_reads_what_it_prints_any_more_then_drains_all_the_same(
    folder: Path, workers: str
) -> None:
    """As with ``| tee log``: Ctrl-C ends that, too."""
    async with serving(folder, "handlers:count", "--workers", workers) as running:
        async with await connect(running) as client:
            await client.send_all(b"one")
            assert await receive_exactly(client, 1) == b"3"
            assert running.process.stdout is not None
            assert running.process.stderr is not None
            await running.process.stdout.aclose()
            running.process.send_signal(signal.SIGINT)
            with trio.move_on_after(0.3):
                assert not await running.process.stderr.receive_some()
            await client.send_all(b"more")
            assert await receive_exactly(client, 1) == b"4"
        assert await running.process.wait() == 0
