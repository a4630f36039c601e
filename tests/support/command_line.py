"""Running ``python -m trioserver`` in a test."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from harness import receive_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "trioserver"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=False
    )


class Running:
    """A command line that serves."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.output = ""

    async def read_until(self, pattern: str) -> re.Match[str]:
        """Read what it prints until that matches."""
        assert self.process.stdout is not None
        while (match := re.search(pattern, self.output)) is None:
            chunk = await self.process.stdout.receive_some()
            assert chunk, self.output
            self.output += chunk.decode()
        return match

    async def end(self) -> tuple[int, str]:
        """Wait for its end: the exit code, and what it printed last."""
        assert self.process.stdout is not None
        self.output += (await receive_all(self.process.stdout)).decode()
        return await self.process.wait(), self.output.splitlines()[-1]


@asynccontextmanager
async def serving(folder: Path, *arguments: str) -> AsyncIterator[Running]:
    """Run it in the background, killed at the end if it still runs."""
    process = await trio.lowlevel.open_process(
        [*COMMAND, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with process.stdout, process.stderr:
        try:
            running = Running(process)
            await running.read_until(r"Stop it with")
            yield running
        finally:
            if process.poll() is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


async def connect(running: Running) -> trio.SocketStream:
    """A client of the address that it printed."""
    match = await running.read_until(r"Listening on 127\.0\.0\.1:(\d+)")
    return await trio.open_tcp_stream("127.0.0.1", int(match[1]))
