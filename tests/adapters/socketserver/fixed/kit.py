"""What the tests of this folder share: tests in a process of their own, bounded calls, and a client."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import os
import select
import signal
import socket
import tempfile
import threading
import time
import traceback
import warnings
from typing import IO, TYPE_CHECKING, Any, NoReturn, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
SECONDS = 10.0
"""How long to wait for what comes at once."""
LIMIT = 20.0
"""Seconds for a test in a process of its own: fewer than pytest allows, so that the process is ended too."""

_alone = False
"""Whether this is such a process: then nothing needs to be put in order after a failure."""


def isolated(test: Callable[P, None]) -> Callable[P, None]:
    """Run a test in a child process: what hangs or forks in it ends with it, and with all of its own.

    AssertionError is what the test found wrong; RuntimeError is anything else, or that nothing ended it.
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        reader, writer = os.pipe()
        with tempfile.TemporaryFile() as report:
            try:
                with warnings.catch_warnings():
                    # Idle threads of earlier tests: the child needs none of them.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    pid = os.fork()
                if pid == 0:
                    _in_child(functools.partial(test, *args, **kwargs), report, writer)
                try:
                    verdict = _read(reader, LIMIT)
                    if not verdict:
                        os.kill(pid, signal.SIGUSR2)  # the stacks of its threads, into the report
                        _read(reader, 0.2)
                finally:
                    for kill in (os.killpg, os.kill):
                        with contextlib.suppress(ProcessLookupError):  # not so far as to have a group
                            kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
            finally:
                os.close(reader)
                os.close(writer)
            report.seek(0)
            what = report.read().decode(errors="replace")
        if not verdict:
            raise RuntimeError(f"no result after {LIMIT} s; {what}")
        if verdict == b"?":
            raise RuntimeError(what)
        assert verdict == b"1", what

    return run


def _read(reader: int, seconds: float) -> bytes:
    return os.read(reader, 1) if select.select([reader], [], [], seconds)[0] else b""


def _in_child(test: Callable[[], None], report: IO[bytes], writer: int) -> NoReturn:
    global _alone
    _alone = True
    verdict = b"?"
    try:
        os.setsid()
        faulthandler.register(signal.SIGUSR2, report)
        before = _sockets()
        test()
        with contextlib.suppress(AssertionError):  # what ends with a request may end a little later
            wait_until(lambda: not _sockets() - before, 2.0)
        left = _sockets() - before
        assert not left, f"left open: {left}"
        verdict = b"1"
    except BaseException as exc:
        verdict = b"0" if isinstance(exc, AssertionError) else b"?"
        report.write(traceback.format_exc().encode())
        report.flush()
    finally:
        os.write(writer, verdict)
        os._exit(0)


def _sockets() -> set[tuple[str, str]]:
    """The sockets of this process, and what else is neither a file nor a pipe; on Linux only."""
    found = set()
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with contextlib.suppress(OSError):  # the one that listing the folder needed
            what = os.readlink(f"/proc/self/fd/{name}")
            if what.startswith(("socket:", "anon_inode:")):
                found.add((name, what))
    return found


def bounded(seconds: float, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What the function returns or raises in another thread; AssertionError if it takes too long."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function(*args, **kwargs))
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"{function} has not ended after {seconds} s"
    if errors:
        raise errors[0]
    return results[0]


def wait_until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until the condition is true; AssertionError if that takes too long."""
    for _ in range(int(seconds * 500)):  # counted, as there are tests that stop all clocks
        if condition():
            return
        time.sleep(0.002)
    assert condition()


def variant(base: Any, **namespace: Any) -> Any:
    """A subclass with these methods and attributes."""
    return type(base.__name__, (base,), namespace)


def start(server: Any, poll_interval: float = 0.01) -> threading.Thread:
    """Call ``serve_forever()`` in another thread."""
    thread = threading.Thread(target=server.serve_forever, args=(poll_interval,), daemon=True)
    thread.start()
    return thread


@contextlib.contextmanager
def serving(server: Any, poll_interval: float = 0.01) -> Iterator[threading.Thread]:
    """Serve in another thread; at the end of the block the server is shut down and closed."""
    thread = start(server, poll_interval)
    try:
        yield thread
    except BaseException:
        if _alone:
            raise  # the process ends
        server.shutdown()
        raise
    else:
        bounded(SECONDS, server.shutdown)
        thread.join(SECONDS)
        assert not thread.is_alive()
    finally:
        if not _alone:
            server.server_close()
    if _alone:
        bounded(SECONDS, server.server_close)


class Client(socket.socket):
    """Closed, it is so at once, although forked children have a copy of it."""

    def close(self) -> None:
        """Shut down, too."""
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        super().close()


def client_of(server: Any, seconds: float = SECONDS) -> socket.socket:
    """A connected client that waits for so long."""
    client = Client(server.address_family, server.socket_type)
    client.settimeout(seconds)
    client.connect(server.server_address)
    return client


def receive(client: socket.socket, count: int = 65536) -> bytes:
    """One chunk; AssertionError if none comes, and b"" at the end, in whatever way that comes."""
    try:
        return client.recv(count)
    except ConnectionError:
        return b""
    except TimeoutError:
        raise AssertionError("nothing came") from None


def receive_all(client: socket.socket) -> bytes:
    """Everything up to the end of the stream or its reset."""
    return b"".join(iter(lambda: receive(client), b""))


def ask(server: Any, data: bytes = b"?\n", seconds: float = SECONDS) -> bytes:
    """Connect, send, and receive one chunk; AssertionError if nothing comes."""
    with client_of(server, seconds) as client:
        client.sendall(data)
        return receive(client)


def ask_and_settle(server: Any) -> None:
    """Be served, and give the loop a moment to wait again: what comes now has to wake it.

    Ours need not be given it. The stdlib's, before it waits, looks whether there was a shutdown.
    """
    assert ask(server, b"hello") == b"hello"
    time.sleep(0.1)


def echo(request: Any, client_address: Any, server: Any) -> None:
    """A handler that sends one chunk back."""
    request.sendall(request.recv(65536))


def echo_until_the_end(request: Any, client_address: Any, server: Any) -> None:
    """A handler of a persistent connection."""
    while data := request.recv(65536):
        request.sendall(data)
