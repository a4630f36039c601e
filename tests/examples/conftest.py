"""Running an example as its readers do: as a process, which is stopped by Ctrl-C."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

EXAMPLES = Path(__file__).parents[2] / "examples"


class Example:
    """An example that runs."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.output = b""
        self.interrupted = False

    async def read_addresses(self, count: int) -> None:
        """Read the first lines that it prints."""
        assert self.process.stdout is not None
        while self.output.count(b"\n") < count:
            chunk = await self.process.stdout.receive_some()
            if not chunk:
                assert self.process.stderr is not None
                errors = b"".join([part async for part in self.process.stderr])
                raise AssertionError(f"it ended after {self.output!r}:\n{errors.decode()}")
            self.output += chunk

    @property
    def ports(self) -> list[int]:
        """The ports that it printed, one a line."""
        return [int(port) for port in re.findall(rb":(\d+)$", self.output, re.MULTILINE)]

    def interrupt(self, signum: int = signal.SIGINT) -> None:
        """Press Ctrl-C."""
        self.interrupted = True
        self.process.send_signal(signum)

    async def connect(self, which: int = 0) -> trio.SocketStream:
        """A client of the port that was printed."""
        return await trio.open_tcp_stream("127.0.0.1", self.ports[which])

    async def wait_clean_end(self) -> None:
        """Wait until it has ended; the exit code has to be 0, and nothing may be on stderr."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        errors = b"".join([part async for part in self.process.stderr])
        self.output += b"".join([part async for part in self.process.stdout])
        assert (await self.process.wait(), errors.decode()) == (0, "")


class RunExample(Protocol):
    """How tests start an example."""

    def __call__(self, name: str, *args: str, lines: int = 1) -> AbstractAsyncContextManager[Example]:
        """Start ``name``, wait until it has printed so many lines; at the end of the block, Ctrl-C."""
        ...


@asynccontextmanager
async def _run_example(name: str, *args: str, lines: int = 1) -> AsyncIterator[Example]:
    command = [sys.executable, "-u", "-W", "error", str(EXAMPLES / f"{name}.py"), *args]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    async with process.stdout, process.stderr:
        example = Example(process)
        try:
            await example.read_addresses(lines)
            yield example
            if not example.interrupted:
                example.interrupt()
            await example.wait_clean_end()
        finally:
            if process.poll() is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


@pytest.fixture
def run_example() -> RunExample:
    """Runs an example; checks that Ctrl-C ends it with exit code 0 and nothing on stderr."""
    return _run_example


@pytest.fixture
def run_client() -> Callable[..., str]:
    """Runs a client program and returns what it prints; skips where the program is not installed.

    With TRIOSERVER_REQUIRE_CLIENTS=1 in the environment a missing one is a failure.
    """

    def run(*command: str, input: bytes = b"") -> str:
        if shutil.which(command[0]) is None:
            if os.environ.get("TRIOSERVER_REQUIRE_CLIENTS") == "1":
                pytest.fail(f"{command[0]} is not installed, and TRIOSERVER_REQUIRE_CLIENTS=1 asks for it")
            pytest.skip(f"{command[0]} is not installed")
        done = subprocess.run(command, input=input, capture_output=True, check=False, timeout=20)
        assert (done.returncode, done.stderr.decode()) == (0, ""), command
        return done.stdout.decode()

    return run
