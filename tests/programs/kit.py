"""Running a program on us as its users do: unmodified, as a process, with a real client, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import trustme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

HOST = "127.0.0.1"
SECONDS = 15
"""How long anything may take that is to come at once; imports on a busy machine included."""
PLAIN = os.environ.get("TRIOSERVER_PROGRAMS_PLAIN") == "1"
"""Whether to run the programs on the standard library's module: what fails there, too, is not our fault."""
COMMAND = [sys.executable, "-u"] + ["-m", "trioserver_adapters"] * (not PLAIN)
OURS, STDLIB = "trioserver_adapters", "socketserver"


class Program:
    """A program that runs, in a folder of its own.

    Attributes:
      folder: Where it runs.
      port: Where it listens: as it says, or as it was told to.
      process: The process.
    """

    def __init__(self, folder: Path, command: list[str], port: int, environment: dict[str, str]) -> None:
        self.folder = folder
        self.port = port
        self._witness = folder / ".witness"
        self._witness.unlink(missing_ok=True)
        paths = [str(Path(__file__).with_name("hook")), os.environ.get("PYTHONPATH", "")]
        ours = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with open(folder / ".output", "wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, *command],
                cwd=folder,
                env=os.environ | ours | {"TRIOSERVER_PROGRAMS_WITNESS": str(self._witness)} | environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has printed so far, to stdout and stderr."""
        return (self.folder / ".output").read_text(errors="replace")

    @property
    def url(self) -> str:
        """Of a server that speaks HTTP."""
        return f"http://{HOST}:{self.port}"

    @property
    def witnessed(self) -> dict[str, set[str]]:
        """Which module has bound sockets, started threads, forked: by the name of the audit event."""
        found: dict[str, set[str]] = {}
        for line in self._witness.read_text().splitlines():
            event, _, module = line.partition(" ")
            found.setdefault(event, set()).add(module.partition(".")[0])
        return found

    def wait_output(self, pattern: str) -> re.Match[str]:
        """Wait until it has printed this; AssertionError when it ends before."""
        return self._poll(lambda: re.search(pattern, self.output), repr(pattern))

    def wait_listening(self) -> None:
        """Wait until it accepts connections; AssertionError when it ends before."""
        self._poll(lambda: listens(self.port), f"port {self.port}")

    def _poll(self, condition: Callable[[], T | None], what: str) -> T:
        def look() -> T | None:
            if not (found := condition()):
                assert self.process.poll() is None, f"it ended, without {what}:\n{self.output}"
            return found

        return wait_until(look, lambda: f"no {what} in:\n{self.output}")

    def interrupt(self, signum: int = signal.SIGINT) -> None:
        """Press Ctrl-C: its children get the signal, too, as from a terminal."""
        os.killpg(self.process.pid, signum)

    def type(self, text: str) -> None:
        """On its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_end(self, code: int = 0) -> str:
        """Wait for its end, with this exit code; returns all that it has printed.

        Everything that bound a socket, or started a thread or process for one, has to have been our module.
        """
        try:
            status = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it goes on and on:\n{self.output}") from None
        assert status == code, self.output
        assert self.witnessed.keys() & {"socket.bind", "socket.connect"}
        assert {STDLIB if PLAIN else OURS} == set.union(*self.witnessed.values())
        return self.output

    def wait_clean_end(self, code: int = 0) -> str:
        """The same, and there was no traceback."""
        output = self.wait_end(code)
        assert "Traceback" not in output, output
        return output

    def wait_interrupted(self) -> str:
        """The same, of a program that does not catch Ctrl-C: its own last traceback is of that."""
        output = self.wait_end(-signal.SIGINT)
        assert output.count("Traceback") == 1, output
        assert output.endswith("\nKeyboardInterrupt\n"), output
        return output


@contextmanager
def running(folder: Path, *command: str, ready: str | None = None, **environment: str) -> Iterator[Program]:
    """Start a program, wait until it serves; it has to end within the block.

    Args:
      folder: Where.
      command: What stands after ``python -m trioserver_adapters``. A ``{port}`` in it is one that is free.
      ready: What it prints then. A group in it is its port. None: it is ready when it accepts connections.
      environment: Variables.
    """
    program = start(folder, command, ready, environment)
    try:
        yield program
        assert program.process.poll() is not None, "the test has to end it"
    finally:
        end(program)


def start(
    folder: Path, command: tuple[str, ...], ready: str | None, environment: dict[str, str], attempts: int = 3
) -> Program:
    """Start it; with another port if somebody was faster with the one that was free a moment ago."""
    port = free_port()
    words = [word.replace("{port}", str(port)) for word in command]
    program = Program(folder, words, port, environment)
    try:
        if ready is None:
            program.wait_listening()
        elif (match := program.wait_output(ready)).groups():
            program.port = int(match[1])
    except BaseException:
        end(program)
        if attempts > 1 and "Address already in use" in program.output:
            return start(folder, command, ready, environment, attempts - 1)
        raise
    return program


def end(program: Program) -> None:
    """Kill it and its children, unless they have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.process.pid, signal.SIGKILL)
    with program.process:
        pass


def free_port() -> int:
    """One that nothing is bound to, for TCP and UDP, a moment ago."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((HOST, 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            port: int = tcp.getsockname()[1]
            return port


def listens(port: int) -> bool:
    """Whether something does; looked up on Linux: to some a connection without a word is an error."""
    if sys.platform == "linux":
        return f":{port:04X} 00000000:0000 0A " in Path("/proc/net/tcp").read_text()
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def need(*modules: str) -> None:
    """Skip where one of them is not installed.

    With TRIOSERVER_REQUIRE_PROGRAMS in the environment a missing one is a failure.
    """
    for name in modules:
        if find_spec(name) is None:
            if os.environ.get("TRIOSERVER_REQUIRE_PROGRAMS"):
                pytest.fail(f"{name} is not installed, and TRIOSERVER_REQUIRE_PROGRAMS asks for it")
            pytest.skip(f"{name} is not installed")


def certificate(folder: Path) -> ssl.SSLContext:
    """Write ``cert.pem``, ``key.pem`` of a server and ``ca.pem``; a context for its clients."""
    ca = trustme.CA()
    issued = ca.issue_cert(HOST, "localhost")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return ssl.create_default_context(cafile=folder / "ca.pem")


def script(folder: Path, text: str) -> str:
    """Write a program to a file; its name."""
    (folder / "program.py").write_text(text)
    return "program.py"


def wait_until(condition: Callable[[], T | None], message: Callable[[], str] = lambda: "never") -> T:
    """Look again and again until ``condition()`` is true; what it returned."""
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, message()
        time.sleep(0.01)
    return found


def together(count: int, function: Callable[[int], T]) -> list[T]:
    """Call a function for each number, all at once in threads; what they return."""
    with ThreadPoolExecutor(count) as executor:
        return list(executor.map(function, range(count)))


def get(url: str, **options: Any) -> bytes:
    """What is there."""
    with urllib.request.urlopen(url, timeout=SECONDS, **options) as response:
        body: bytes = response.read()
        return body


def get_to_the_end(program: Program) -> bytes:
    """What ``/`` is, and then the end of the connection: all of the request is done by then.

    A server without threads is best interrupted after that: ``wsgiref`` takes a Ctrl-C that strikes while its
    application runs for a failure of that, whose client gets a traceback, and goes on.
    """
    with socket.create_connection((HOST, program.port), timeout=SECONDS) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with connection.makefile("rb") as file:
            return file.read()


def client(*command: str, input: bytes = b"") -> str:
    """Run a client program; what it prints. Skips where it is not installed.

    With TRIOSERVER_REQUIRE_CLIENTS=1 in the environment a missing one is a failure.
    """
    if shutil.which(command[0]) is None:
        if os.environ.get("TRIOSERVER_REQUIRE_CLIENTS") == "1":
            pytest.fail(f"{command[0]} is not installed, and TRIOSERVER_REQUIRE_CLIENTS=1 asks for it")
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, input=input, capture_output=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout.decode()


def curl(*arguments: str) -> str:
    """Run curl: what is there; an HTTP status from 400 on is a failure."""
    return client("curl", "-sS", "--fail", "--max-time", str(SECONDS), *arguments)
